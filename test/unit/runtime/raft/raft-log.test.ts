/** The entries in memory, against an array that is never cleared. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../../../src/base/random.ts'
import { createEntry, type Entry, entryTypes } from '../../../../src/runtime/raft/entry.ts'
import { RaftLog } from '../../../../src/runtime/raft/raft-log.ts'
import { soundRules } from '../../../../src/runtime/raft/rules.ts'

const STEPS = 4_000
const BYTES_MAX = 2_000

function entryAt(index: number, term: number): Entry {
  return createEntry(entryTypes.transaction, Buffer.alloc(index % 7), { index, term })
}

test('entries are found, replaced and forgotten as in a list, however many were dropped', () => {
  const random = seededRandom(7)
  const upTo = (max: number) => Math.floor(random.float() * (max + 1))
  const configuration = { voters: [1, 2, 3], outgoing: [], learners: [] }
  const log = new RaftLog({ previousIndex: 0, previousTerm: 0, configuration, entries: [], commit: 0 })
  const model: Entry[] = []
  let [dropped, term, write] = [0, 1, 0]
  for (let step = 0; step < STEPS; step++) {
    const replaces = step % 50 === 0 && log.lastIndex > log.committed
    if (replaces) term++
    const first = replaces ? log.committed + 1 : log.lastIndex + 1
    const entries = Array.from({ length: 1 + upTo(4) }, (_, at) => entryAt(first + at, term))
    log.merge(entries, soundRules)
    model.splice(first - 1, model.length, ...entries)
    assert.deepEqual(log.takeToPersist(++write), entries)
    log.persisted(write)
    const applied = log.committed
    log.commitTo(applied + upTo(log.lastIndex - applied))
    assert.deepEqual(log.takeToApply(), model.slice(applied, log.committed))
    const before = dropped
    dropped = Math.max(dropped, Math.min(log.committed, log.lastBeyond(BYTES_MAX)))
    log.dropTo(dropped)
    if (step % 7 === 0) log.pack(log.committed, 16 * BYTES_MAX, 1 + upTo(20))
    assert.equal(log.firstIndex, dropped + 1)
    assert.equal(log.lastIndex, model.length)
    assert.equal(log.termAt(dropped), dropped === 0 ? 0 : model[dropped - 1]?.term)
    if (dropped > 0) assert.equal(log.termAt(dropped - 1), null)
    const some = Math.min(log.lastIndex, dropped + 1 + upTo(log.lastIndex - dropped))
    if (some > 0) assert.equal(log.termAt(some), model[some - 1]?.term)
    assert.deepEqual(log.from(dropped + 1, Number.MAX_SAFE_INTEGER), model.slice(dropped))
    const bytes = model.slice(dropped).reduce((sum, entry) => sum + entry.bytes.length, 0)
    assert.equal(log.bytes, bytes)
    assert.ok(before <= dropped)
  }
  assert.ok(dropped > STEPS)
})
