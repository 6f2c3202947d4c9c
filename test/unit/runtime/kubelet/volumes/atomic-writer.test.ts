import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { writeVolume } from '../../../../../src/runtime/kubelet/volumes/atomic-writer.ts'

const files = (values: Record<string, string>) =>
  new Map(Object.entries(values).map(([path, text]) => [path, { data: Buffer.from(text), mode: 0o640 }]))

async function withDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'mk8s-volume-'))
  try {
    await body(directory)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

test('files appear through ..data, change together, and vanish when they are no more', () =>
  withDirectory(async directory => {
    assert.equal(await writeVolume(directory, files({ a: '1', 'deep/b': '2' })), true)
    assert.equal(await readFile(join(directory, 'deep/b'), 'utf8'), '2')
    assert.equal(await readlink(join(directory, 'a')), '..data/a')
    assert.equal((await stat(join(directory, 'a'))).mode & 0o777, 0o640)
    const before = await readlink(join(directory, '..data'))
    assert.equal(await writeVolume(directory, files({ a: '1', 'deep/b': '2' })), false)
    assert.equal(await readlink(join(directory, '..data')), before)
    assert.equal(await writeVolume(directory, files({ a: '3', c: '4' })), true)
    assert.equal(await readFile(join(directory, 'a'), 'utf8'), '3')
    const names = (await readdir(directory)).filter(name => !name.startsWith('..'))
    assert.deepEqual(names.sort(), ['a', 'c'])
    assert.equal((await readdir(directory)).length, 4)
  }))

test('a path that leaves the volume is refused', () =>
  withDirectory(async directory => {
    for (const path of ['../x', '/x', 'a/../../x', '..x/y', '']) {
      await assert.rejects(writeVolume(directory, files({ [path]: '' })), /would leave the volume/)
    }
  }))

test('what a writer left that was cut short is in nobody’s way, and is taken away', () =>
  withDirectory(async directory => {
    await writeVolume(directory, files({ a: '1' }))
    await mkdir(join(directory, '..2026_01_01_00_00_00.begun'))
    await symlink('..2026_01_01_00_00_00.begun', join(directory, '..data_tmp'))
    assert.equal(await writeVolume(directory, files({ a: '2' })), true)
    assert.equal(await readFile(join(directory, 'a'), 'utf8'), '2')
    assert.equal((await readdir(directory)).length, 3)
  }))

test('names that a writer which was cut short had not come to are there after the next one', () =>
  withDirectory(async directory => {
    await writeVolume(directory, files({ a: '1', gone: 'x' }))
    await writeVolume(directory, files({ a: '1', b: '2' }))
    // Cut short between `..data` and the names.
    await rm(join(directory, 'b'))
    await symlink('..data/gone', join(directory, 'gone'))
    await mkdir(join(directory, '..2026_01_01_00_00_00.before'))
    assert.equal(await writeVolume(directory, files({ a: '1', b: '2' })), false)
    assert.equal(await readFile(join(directory, 'b'), 'utf8'), '2')
    const names = (await readdir(directory)).filter(name => !name.startsWith('..2'))
    assert.deepEqual(names.sort(), ['..data', 'a', 'b'])
    assert.equal((await readdir(directory)).length, 4)
  }))
