/** What a running store says about its own files, whole and damaged. */

import assert from 'node:assert/strict'
import { mkdtemp, open, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import { openRaftStore } from '../../src/runtime/store/open-raft-store.ts'
import type { RaftStore } from '../../src/runtime/store/raft-store.ts'

const PAGE_BYTES = 16_384

function openAt(directory: string): Promise<RaftStore> {
  const onFatal = (error: Error) => {
    throw error
  }
  return openRaftStore({ directory, clock: systemClock, random: systemRandom, log: silentLog, onFatal })
}

async function withStore(use: (store: RaftStore, directory: string) => Promise<RaftStore>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'mk8s-check-'))
  const first = await openAt(directory)
  let last = first
  try {
    last = await use(first, directory)
  } finally {
    await last.close()
    await rm(directory, { recursive: true })
  }
}

async function put(store: RaftStore, count: number): Promise<void> {
  const value = Buffer.alloc(1000, 7)
  for (let n = 0; n < count; n++) {
    await store.transact({ compares: [], operations: [{ type: 'put', key: `/k/${n}`, value }] })
  }
}

async function damage(path: string, position: number): Promise<void> {
  const file = await open(path, 'r+')
  await file.write(Buffer.alloc(64, 0xa5), 0, 64, position)
  await file.close()
}

test('a store that is written to all the time is found to be well', async () => {
  await withStore(async store => {
    const writing = Promise.all([put(store, 300), put(store, 300)])
    for (let n = 0; n < 30; n++) {
      const { log, databaseFindings } = await store.check()
      assert.deepEqual([log.findings, databaseFindings], [[], []])
      assert.ok(log.segments >= 1 && log.bytes > 0)
    }
    await writing
    return store
  })
})

test('damage in the middle of the log is found and told', async () => {
  await withStore(async (store, directory) => {
    await put(store, 50)
    const wal = join(directory, 'wal')
    const [segment] = (await readdir(wal)).filter(name => /^\d+\.wal$/.test(name)).sort()
    assert.ok(segment !== undefined)
    await damage(join(wal, segment), 30_000)
    const { log } = await store.check()
    assert.equal(log.findings.length, 1)
    assert.match(log.findings[0] ?? '', new RegExp(`log segment ${segment} is damaged: the frame at byte`))
    return store
  })
})

test('a damaged database is found and told, and the store goes on', async () => {
  await withStore(async (first, directory) => {
    await put(first, 1_500)
    await first.close()
    const store = await openAt(directory)
    const path = join(directory, 'state.sqlite')
    assert.deepEqual((await store.check()).databaseFindings, [])
    const { size } = await stat(path)
    assert.ok(size > 20 * PAGE_BYTES)
    await damage(path, size - 4 * PAGE_BYTES)
    assert.notDeepEqual((await store.check()).databaseFindings, [])
    await put(store, 1)
    return store
  })
})
