/** What openRaftStore says about a directory that it cannot or must not use. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, open, readdir, rm, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { Mk8sError } from '../../src/base/errors.ts'
import { silentLog } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import { openRaftStore } from '../../src/runtime/store/open-raft-store.ts'

const onFatal = (error: Error) => {
  throw error
}
const openAt = (directory: string, clusterId?: string) => {
  const parts = { directory, clock: systemClock, random: systemRandom, log: silentLog, onFatal }
  return openRaftStore(clusterId === undefined ? parts : { ...parts, clusterId })
}

async function inDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'mk8s-faults-'))
  try {
    await body(directory)
  } finally {
    await rm(directory, { recursive: true })
  }
}

async function fill(directory: string): Promise<void> {
  const store = await openAt(directory)
  for (let n = 0; n < 200; n++) {
    const value = Buffer.alloc(1000, n)
    await store.transact({ compares: [], operations: [{ type: 'put', key: `/k/${n}`, value }] })
  }
  await store.close()
}

async function refusal(directory: string, clusterId?: string): Promise<Mk8sError> {
  try {
    const store = await openAt(directory, clusterId)
    await store.close()
  } catch (error) {
    assert.ok(error instanceof Mk8sError, `${error}`)
    return error
  }
  return assert.fail('the store was opened')
}

async function overwrite(path: string, position: number, bytes: Buffer): Promise<void> {
  const file = await open(path, 'r+')
  await file.write(bytes, 0, bytes.length, position)
  await file.close()
}

test('a directory in use is refused with the process that has it', () =>
  inDirectory(async directory => {
    const store = await openAt(directory)
    const own = await refusal(directory)
    assert.equal(own.code, 'store/locked')
    assert.equal(own.fields['pid'], process.pid)
    await store.transact({ compares: [], operations: [{ type: 'put', key: '/a', value: Buffer.from('1') }] })
    await store.close()
  }))

test('a directory is free as soon as its holder is killed', () =>
  inDirectory(async directory => {
    const script = join(import.meta.dirname, 'store-kill-writer.ts')
    const child = spawn(process.execPath, [script, directory, '1'], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(child.stdout, 'data')
    const error = await refusal(directory)
    assert.equal(error.code, 'store/locked')
    assert.equal(error.fields['pid'], child.pid)
    child.stdout.resume()
    child.kill('SIGKILL')
    await once(child, 'exit')
    const store = await openAt(directory)
    await store.close()
  }))

test('a damaged database stops the node', () =>
  inDirectory(async directory => {
    await fill(directory)
    await overwrite(join(directory, 'state.sqlite'), 0, Buffer.alloc(100, 0xff))
    const error = await refusal(directory)
    assert.equal(error.code, 'store/corrupt')
    assert.ok(error.hint)
  }))

test('a database of a later format is refused', () =>
  inDirectory(async directory => {
    await fill(directory)
    const database = new DatabaseSync(join(directory, 'state.sqlite'))
    database.exec('PRAGMA user_version = 99')
    database.close()
    assert.equal((await refusal(directory)).code, 'store/version')
  }))

test('a missing log stops the node', () =>
  inDirectory(async directory => {
    await fill(directory)
    for (const name of await readdir(join(directory, 'wal'))) await unlink(join(directory, 'wal', name))
    assert.equal((await refusal(directory)).code, 'store/corrupt')
  }))

test('a log damaged in the middle stops the node', () =>
  inDirectory(async directory => {
    await fill(directory)
    await overwrite(join(directory, 'wal', '0000000000000001.wal'), 20_000, Buffer.alloc(8, 0xff))
    assert.equal((await refusal(directory)).code, 'store/corrupt')
  }))

test('data of another cluster is refused', () =>
  inDirectory(async directory => {
    await fill(directory)
    const error = await refusal(directory, '00000000-0000-4000-8000-000000000000')
    assert.equal(error.code, 'store/corrupt')
    assert.match(error.message, /another cluster/)
  }))

test('a directory that cannot be made is one clear error', () =>
  inDirectory(async directory => {
    await writeFile(join(directory, 'file'), '')
    assert.equal((await refusal(join(directory, 'file', 'datastore'))).code, 'store/disk')
  }))
