/** What the leader does as time passes: leases end, history is compacted. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Compactor, HISTORY_BYTES_MAX, HISTORY_KEPT_MS } from '../../../../src/runtime/store/compactor.ts'
import { LeaseKeeper } from '../../../../src/runtime/store/lease-keeper.ts'
import { createMemoryStore } from '../../../../src/runtime/store/memory-store.ts'
import { ManualClock } from '../../../support/manual-clock.ts'

test('a lease is revoked when its time is over and not before', () => {
  const clock = new ManualClock()
  const revoked: number[] = []
  const keeper = new LeaseKeeper({
    clock,
    revoke: lease => {
      revoked.push(lease)
      keeper.disarm(lease)
    },
  })
  keeper.arm(1, 10_000)
  keeper.arm(2, 5_000)
  clock.advance(4_999)
  assert.deepEqual(revoked, [])
  clock.advance(1)
  assert.deepEqual(revoked, [2])
  clock.advance(5_500)
  assert.deepEqual(revoked, [2, 1])
  assert.ok(clock.idle, 'nothing is left to wake up for')
})

test('a revocation that failed is tried again', () => {
  const clock = new ManualClock()
  let tries = 0
  const keeper = new LeaseKeeper({ clock, revoke: () => tries++ })
  keeper.arm(1, 1_000)
  clock.advance(60_000)
  assert.ok(tries > 2 && tries < 20, `${tries} tries`)
})

test('a new leader gives every lease its whole time again, one that lost counts none', () => {
  const clock = new ManualClock()
  const revoked: number[] = []
  const keeper = new LeaseKeeper({ clock, revoke: lease => revoked.push(lease) })
  keeper.arm(1, 1_000)
  clock.advance(900)
  keeper.reset([{ lease: 1, ttlMs: 1_000 }])
  clock.advance(900)
  assert.deepEqual(revoked, [])
  keeper.reset(null)
  clock.advance(10_000)
  assert.deepEqual(revoked, [])
  assert.ok(clock.idle)
})

test('history is kept for its time and then compacted, and an idle store compacts nothing', () => {
  const clock = new ManualClock()
  const compacted: number[] = []
  let revision = 1
  const compactor = new Compactor({
    clock,
    state: () => ({
      revision,
      compactedRevision: compacted.at(-1) ?? 0,
      historyBytes: 0,
      revisionToKeep: () => null,
    }),
    compact: async at => void compacted.push(at),
  })
  compactor.start()
  revision = 100
  clock.advance(HISTORY_KEPT_MS)
  assert.deepEqual(compacted, [1])
  revision = 200
  clock.advance(HISTORY_KEPT_MS)
  assert.deepEqual(compacted, [1, 100])
  clock.advance(10 * HISTORY_KEPT_MS)
  assert.deepEqual(compacted, [1, 100, 200])
  compactor.stop()
  assert.ok(clock.idle)
})

test('the memory store forgets old history by itself', async () => {
  const clock = new ManualClock()
  const store = createMemoryStore({ clock })
  await store.transact({ compares: [], operations: [{ type: 'put', key: '/a', value: Buffer.from('1') }] })
  const { revision } = store
  clock.advance(HISTORY_KEPT_MS * 2)
  assert.equal(store.compactedRevision, revision)
  await store.close()
  assert.ok(clock.idle)
})

test('of a store that is written much, history is bounded in bytes too, and its newest part stays', async () => {
  const clock = new ManualClock()
  const store = createMemoryStore({ clock })
  const value = Buffer.alloc(1024 * 1024, 1)
  const puts = (HISTORY_BYTES_MAX / value.length) * 3
  for (let put = 0; put < puts; put++)
    await store.transact({ compares: [], operations: [{ type: 'put', key: '/a', value }] })
  const kept = (store.revision - store.compactedRevision) * value.length
  assert.ok(kept <= HISTORY_BYTES_MAX * 1.02, `${kept} bytes are kept`)
  assert.ok(kept >= HISTORY_BYTES_MAX * 0.7, `${kept} bytes are kept`)
  assert.equal(store.range({ start: '/a', end: '/b', revision: store.compactedRevision }).entries.length, 1)
  await store.close()
})
