/** A survivor's directory becomes the store of a new generation: nothing of its log is lost, and the old one stays. */

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { systemClock } from '../../../../src/base/clock.ts'
import type { Mk8sError } from '../../../../src/base/errors.ts'
import { silentLog } from '../../../../src/base/log.ts'
import { systemRandom } from '../../../../src/base/random.ts'
import {
  createEntry,
  ENTRY_HEADER_BYTES,
  type Entry,
  entryTypes,
  writeEntryHeader,
} from '../../../../src/runtime/raft/entry.ts'
import { encodeConfiguration } from '../../../../src/runtime/raft/membership.ts'
import { createDirectoryDisk } from '../../../../src/runtime/store/log/disk.ts'
import { WriteAheadLog } from '../../../../src/runtime/store/log/write-ahead-log.ts'
import { sizeOfCommand, writeCommand } from '../../../../src/runtime/store/mvcc/codec.ts'
import type { Command } from '../../../../src/runtime/store/mvcc/command.ts'
import { openRaftStore } from '../../../../src/runtime/store/open-raft-store.ts'
import { REVISION_GAP, recoverStore } from '../../../../src/runtime/store/recover-store.ts'
import { StateDatabase } from '../../../../src/runtime/store/sqlite/database.ts'

const OLD = '00000000-0000-4000-8000-000000000001'
const NEW = '00000000-0000-4000-8000-000000000002'
const SURVIVOR = 1
const base = { clock: systemClock, random: systemRandom, log: silentLog }

function temporary(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-recover-'))
  context.after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

const put = (key: string, value: string): Command => ({
  type: 'transaction',
  transaction: { compares: [], operations: [{ type: 'put', key, value: Buffer.from(value) }] },
})

function entryOf(command: Command, index: number, term: number): Entry {
  const payloadBytes = sizeOfCommand(command)
  const bytes = Buffer.alloc(ENTRY_HEADER_BYTES + payloadBytes)
  writeEntryHeader(bytes, 0, { type: entryTypes.transaction, payloadBytes, index, term })
  writeCommand(bytes, ENTRY_HEADER_BYTES, command)
  return { type: entryTypes.transaction, index, term, bytes }
}

/** The directory of a member of three that was killed: its log is ahead of its database, and of what is committed. */
async function makeSurvivor(directory: string, writes: number, commit: number): Promise<void> {
  const identity = { member: SURVIVOR, cluster: OLD }
  const path = join(directory, 'state.sqlite')
  new StateDatabase({ path, bootId: '', identity, resultsMax: 10 }).close()
  const wal = await WriteAheadLog.create(
    {
      ...base,
      disk: createDirectoryDisk(join(directory, 'wal')),
      identity: { member: SURVIVOR, cluster: Buffer.from(OLD.replaceAll('-', ''), 'hex') },
      onFailed: assert.fail,
    },
    { index: 0, term: 0, configuration: { voters: [], outgoing: [], learners: [] } },
  )
  const payload = encodeConfiguration({ voters: [SURVIVOR, 2, 3], outgoing: [], learners: [4] })
  const membership = createEntry(entryTypes.membership, payload, { index: 1, term: 1 })
  const puts = Array.from({ length: writes }, (_, at) => entryOf(put(`/k/${at % 7}`, `v${at}`), at + 2, 5))
  const hardState = { term: 6, vote: 2, commit }
  await new Promise<void>(done => wal.append({ hardState, entries: [membership, ...puts], done }))
  await wal.close()
}

function fingerprint(directory: string): Record<string, string> {
  const files = globSync('**/*', { cwd: directory }).filter(name => !name.endsWith('wal'))
  const hash = (name: string) =>
    createHash('sha256')
      .update(readFileSync(join(directory, name)))
      .digest('hex')
  const walFiles = globSync('wal/*.wal', { cwd: directory })
  return Object.fromEntries([...files, ...walFiles].map(name => [name, hash(name)]))
}

test('every entry of the log survives, committed or not, under a new cluster id with one voter', async context => {
  const parent = temporary(context)
  const [from, to] = [join(parent, 'old'), join(parent, 'new')]
  mkdirSync(from)
  await makeSurvivor(from, 50, 30)
  const before = fingerprint(from)
  const edit = () => [{ type: 'put', key: '/mk8s/note', value: Buffer.from('new') } as const]
  const found = await recoverStore({ ...base, from, to, clusterId: NEW, edit })
  assert.deepEqual(fingerprint(from), before)
  assert.equal(found.lastIndex, 51)
  assert.equal(found.commit, 30)
  assert.equal(found.revision, 51)
  assert.deepEqual(found.membership, { voters: [1, 2, 3], outgoing: [], learners: [4] })

  const store = await openRaftStore({ ...base, directory: to, clusterId: NEW, onFatal: assert.fail })
  context.after(() => store.close())
  await store.barrier()
  const { entries } = store.range({ start: '/k/', end: '/k0' })
  assert.deepEqual(
    entries.map(({ key, value, modRevision }) => [key, value.toString(), modRevision]),
    Array.from({ length: 7 }, (_, at) => {
      const last = 49 - ((49 - at) % 7)
      return [`/k/${at}`, `v${last}`, last + 2]
    }),
  )
  assert.equal(store.get('/mk8s/note')?.modRevision, 51 + REVISION_GAP + 1)
  assert.ok(store.status().term > 6)
  assert.equal(store.status().memberId, SURVIVOR)
  assert.throws(() => store.watch({ start: '/', end: '0', after: 51 }, { onEvents() {}, onClosed() {} }), {
    code: 'store/compacted',
  })
  const { revision } = await store.transact({
    compares: [],
    operations: [{ type: 'put', key: '/k/new', value: Buffer.from('x') }],
  })
  assert.equal(revision, 51 + REVISION_GAP + 2)
})

test('a recovery over the rest of an interrupted one gives the same', async context => {
  const parent = temporary(context)
  const [from, to] = [join(parent, 'old'), join(parent, 'new')]
  mkdirSync(from)
  await makeSurvivor(from, 5, 2)
  await recoverStore({ ...base, from, to, clusterId: NEW, edit: () => [] })
  truncateSync(join(to, 'state.sqlite'), 100)
  const found = await recoverStore({ ...base, from, to, clusterId: NEW, edit: () => [] })
  assert.equal(found.keys, 5)
})

test('a log that is missing is an error, and nothing is made up', async context => {
  const parent = temporary(context)
  const [from, to] = [join(parent, 'old'), join(parent, 'new')]
  mkdirSync(join(from, 'wal'), { recursive: true })
  const recover = recoverStore({ ...base, from, to, clusterId: NEW, edit: () => [] })
  await assert.rejects(recover, (error: unknown) => (error as Mk8sError).code === 'store/corrupt')
})
