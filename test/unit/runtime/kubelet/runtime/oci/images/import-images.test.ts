/** An archive of images that does not fit on the disk. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { renderTar } from '../../../../../../../src/base/tar.ts'
import { ImageStore } from '../../../../../../../src/runtime/kubelet/runtime/oci/images/image-store.ts'
import { importImages } from '../../../../../../../src/runtime/kubelet/runtime/oci/images/import-images.ts'

const isRoot = process.platform === 'linux' && process.geteuid?.() === 0

test('an archive that does not fit is not called damaged, and nothing of it stays', {
  skip: isRoot ? false : 'mounting needs root on Linux',
}, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-import-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', directory])
  try {
    const store = new ImageStore(directory)
    const names = ['small', 'large']
    const bytes = [randomBytes(1_000), randomBytes(1_000_000)]
    const entries = names.map((name, index) => ({
      ...({ type: 'file', name, mode: 0o644 } as const),
      content: bytes[index] ?? Buffer.alloc(0),
    }))
    await assert.rejects(
      importImages(store, renderTar(entries)),
      (error: { code?: string; message?: string }) => {
        assert.deepEqual([error.code, error.message], ['host/disk', 'there is no room for the archive'])
        return true
      },
    )
    assert.deepEqual(await store.blobs.list(), [])
  } finally {
    execFileSync('umount', [directory])
    rmSync(directory, { recursive: true, force: true })
  }
})
