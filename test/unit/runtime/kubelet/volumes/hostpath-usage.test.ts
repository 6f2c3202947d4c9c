import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { mountMemory, unmountBelow } from '../../../../../src/host/mounts.ts'
import { removeHostpathDirectory } from '../../../../../src/runtime/kubelet/volumes/hostpath-directories.ts'
import { overuse } from '../../../../../src/runtime/kubelet/volumes/hostpath-usage.ts'

const isRoot = process.platform === 'linux' && process.geteuid?.() === 0

async function inDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'mk8s-hostpath-'))
  try {
    await body(directory)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

test('a volume that holds more than its claim asks for is named with both sizes', () => {
  const MIB = 1024 ** 2
  assert.equal(overuse('pvc-1', { usedBytes: MIB, sizeBytes: MIB }), null)
  assert.match(
    overuse('pvc-1', { usedBytes: 3 * MIB + 1, sizeBytes: 2 * MIB }) ?? '',
    /^volume "pvc-1" holds 4Mi, more than the 2Mi that the claim asks for; .*not enforced/,
  )
})

test('what a link in a volume leads to outlives the volume', () =>
  inDirectory(async directory => {
    await mkdir(join(directory, 'volumes/v/d'), { recursive: true })
    await mkdir(join(directory, 'kept'))
    await writeFile(join(directory, 'kept/file'), 'data')
    await symlink(join(directory, 'kept'), join(directory, 'volumes/v/link'))
    await symlink(join(directory, 'kept/file'), join(directory, 'volumes/v/d/link'))
    await removeHostpathDirectory(join(directory, 'volumes'), 'v')
    assert.equal(existsSync(join(directory, 'volumes/v')), false)
    assert.equal(await readFile(join(directory, 'kept/file'), 'utf8'), 'data')
  }))

test(
  'what somebody mounted in a volume is not emptied with it',
  { skip: isRoot ? false : 'mounting needs root on Linux' },
  () =>
    inDirectory(async directory => {
      const mounted = join(directory, 'volumes/v/m')
      await mkdir(mounted, { recursive: true })
      try {
        await mountMemory(mounted, 1024 ** 2)
        await writeFile(join(mounted, 'file'), 'data')
        await assert.rejects(
          removeHostpathDirectory(join(directory, 'volumes'), 'v'),
          /is mounted in the volume/,
        )
        assert.equal(await readFile(join(mounted, 'file'), 'utf8'), 'data')
      } finally {
        await unmountBelow([mounted])
      }
    }),
)
