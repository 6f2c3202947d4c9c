/** What the leader does as time passes: leases end, history is compacted. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '../../../../src/base/clock.ts'
import { Compactor, HISTORY_KEPT_MS } from '../../../../src/runtime/store/compactor.ts'
import { LeaseKeeper } from '../../../../src/runtime/store/lease-keeper.ts'
import { createMemoryStore } from '../../../../src/runtime/store/memory-store.ts'

/** Time that passes when it is told to. */
class HandClock implements Clock {
  #now = 0
  #timers: { readonly at: number; readonly callback: () => void }[] = []

  now = () => this.#now
  monotonic = () => this.#now

  after(delayMs: number, callback: () => void) {
    const timer = { at: this.#now + delayMs, callback }
    this.#timers.push(timer)
    const cancel = () => {
      this.#timers = this.#timers.filter(other => other !== timer)
    }
    return { cancel }
  }

  pass(ms: number): void {
    const until = this.#now + ms
    for (;;) {
      const next = this.#timers.filter(timer => timer.at <= until).sort((a, b) => a.at - b.at)[0]
      if (next === undefined) break
      this.#timers = this.#timers.filter(timer => timer !== next)
      this.#now = next.at
      next.callback()
    }
    this.#now = until
  }

  get idle(): boolean {
    return this.#timers.length === 0
  }
}

test('a lease is revoked when its time is over and not before', () => {
  const clock = new HandClock()
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
  clock.pass(4_999)
  assert.deepEqual(revoked, [])
  clock.pass(1)
  assert.deepEqual(revoked, [2])
  clock.pass(5_500)
  assert.deepEqual(revoked, [2, 1])
  assert.ok(clock.idle, 'nothing is left to wake up for')
})

test('a revocation that failed is tried again', () => {
  const clock = new HandClock()
  let tries = 0
  const keeper = new LeaseKeeper({ clock, revoke: () => tries++ })
  keeper.arm(1, 1_000)
  clock.pass(60_000)
  assert.ok(tries > 2 && tries < 20, `${tries} tries`)
})

test('a new leader gives every lease its whole time again, one that lost counts none', () => {
  const clock = new HandClock()
  const revoked: number[] = []
  const keeper = new LeaseKeeper({ clock, revoke: lease => revoked.push(lease) })
  keeper.arm(1, 1_000)
  clock.pass(900)
  keeper.reset([{ lease: 1, ttlMs: 1_000 }])
  clock.pass(900)
  assert.deepEqual(revoked, [])
  keeper.reset(null)
  clock.pass(10_000)
  assert.deepEqual(revoked, [])
  assert.ok(clock.idle)
})

test('history is kept for its time and then compacted, and an idle store compacts nothing', () => {
  const clock = new HandClock()
  const compacted: number[] = []
  let revision = 1
  const compactor = new Compactor({
    clock,
    revision: () => revision,
    compactedRevision: () => compacted.at(-1) ?? 0,
    compact: at => compacted.push(at),
  })
  compactor.start()
  revision = 100
  clock.pass(HISTORY_KEPT_MS)
  assert.deepEqual(compacted, [1])
  revision = 200
  clock.pass(HISTORY_KEPT_MS)
  assert.deepEqual(compacted, [1, 100])
  clock.pass(10 * HISTORY_KEPT_MS)
  assert.deepEqual(compacted, [1, 100, 200])
  compactor.stop()
  assert.ok(clock.idle)
})

test('the memory store forgets old history by itself', async () => {
  const clock = new HandClock()
  const store = createMemoryStore({ clock })
  await store.transact({ compares: [], operations: [{ type: 'put', key: '/a', value: Buffer.from('1') }] })
  const { revision } = store
  clock.pass(HISTORY_KEPT_MS * 2)
  assert.equal(store.compactedRevision, revision)
  await store.close()
  assert.ok(clock.idle)
})
