/** Files of volumes that a pod can write to, read by a daemon that may read everything. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { readInside } from '../../../../../src/runtime/kubelet/volumes/sub-path.ts'

test('what is read of a volume lies in it, is a file, and is small', async () => {
  const parent = mkdtempSync(join(tmpdir(), 'mk8s-inside-'))
  try {
    const volume = join(parent, 'volume')
    mkdirSync(join(volume, 'directory'), { recursive: true })
    writeFileSync(join(parent, 'secret'), 'outside')
    writeFileSync(join(volume, 'directory/vars.env'), 'inside')
    symlinkSync('directory', join(volume, 'same'))
    symlinkSync('..', join(volume, 'up'))
    symlinkSync(join(parent, 'secret'), join(volume, 'away'))
    execFileSync('mkfifo', [join(volume, 'pipe')])
    const read = (path: string, bytesMax = 100) => readInside(volume, path, bytesMax)
    assert.equal(await read('directory/vars.env'), 'inside')
    assert.equal(await read('same/vars.env'), 'inside')
    for (const path of ['away', 'up/secret', '../secret', 'directory', 'none']) {
      await assert.rejects(read(path), `${path} was read`)
    }
    if (process.platform === 'linux') {
      await assert.rejects(read('pipe'))
      await assert.rejects(read('directory/vars.env', 5), /more than 5 bytes/)
    }
  } finally {
    rmSync(parent, { recursive: true, force: true })
  }
})
