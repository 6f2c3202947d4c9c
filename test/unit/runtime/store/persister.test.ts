/** When the persister says that all is written. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Applied } from '../../../../src/runtime/store/mvcc/command.ts'
import { Persister } from '../../../../src/runtime/store/persister.ts'
import type { StoreBatch } from '../../../../src/runtime/store/thread-messages.ts'
import { ManualClock } from '../../../support/manual-clock.ts'

function applied(index: number): Applied {
  const result: Applied['result'] = { kind: 'done', revision: index } as unknown as Applied['result']
  const nothing = { granted: null, revoked: null, compacted: null, remembered: null }
  return { index, revision: index, result, events: [], ...nothing, forgotten: [] }
}

function make(clock = new ManualClock()): { persister: Persister; batches: StoreBatch[] } {
  const batches: StoreBatch[] = []
  const post = (batch: StoreBatch) => void batches.push(batch)
  const start = { revision: 1, compacted: 0, sequence: 0 }
  return { persister: new Persister({ clock, post }, start), batches }
}

/** Whether it is settled once everything that can happen has happened. */
async function isSettled(promise: Promise<void>): Promise<boolean> {
  let settled = false
  void promise.then(() => {
    settled = true
  })
  await new Promise(resolve => setImmediate(resolve))
  return settled
}

test('what was added before is waited for, and what is added meanwhile is not', async () => {
  const { persister, batches } = make()
  persister.add(applied(1))
  const first = persister.drain()
  persister.add(applied(2))
  const second = persister.drain()
  assert.deepEqual([await isSettled(first), batches.length], [false, 1])
  persister.add(applied(3))
  persister.written()
  assert.deepEqual([await isSettled(first), await isSettled(second)], [true, false])
  persister.add(applied(4))
  persister.written()
  assert.equal(await isSettled(second), true)
  assert.deepEqual(
    batches.map(batch => batch.applied),
    [1, 3],
  )
})

test('entries that change nothing are waited for too, and nothing is when nothing was added', async () => {
  const { persister, batches } = make()
  assert.equal(await isSettled(persister.drain()), true)
  persister.skip(7)
  const drained = persister.drain()
  assert.equal(await isSettled(drained), false)
  persister.written()
  assert.equal(await isSettled(drained), true)
  assert.equal(batches[0]?.applied, 7)
})

test('nobody waits for a persister that has stopped', async () => {
  const { persister } = make()
  persister.add(applied(1))
  const drained = persister.drain()
  persister.stop()
  assert.equal(await isSettled(drained), true)
})

test('a store thread that never writes the last batch is not waited for for ever', async () => {
  const clock = new ManualClock()
  const { persister, batches } = make(clock)
  persister.add(applied(1))
  const ended = persister.end()
  clock.advance(9_999)
  assert.deepEqual([await isSettled(ended), batches.length], [false, 1])
  clock.advance(1)
  assert.equal(await isSettled(ended), true)
})
