import assert from 'node:assert/strict'
import test from 'node:test'
import { WakingLoop } from '../../../src/base/waking-loop.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { until } from '../../support/until.ts'

/** A loop whose looks are counted and end when they are told to. */
function countedLoop(clock: ManualClock, waitMs = 100, settleMs = 0) {
  const ends: (() => void)[] = []
  const loop = new WakingLoop({
    look: async () => {
      await new Promise<void>(resolve => ends.push(resolve))
      return waitMs
    },
    settleMs,
    clock,
  })
  return { loop, ends, looks: (count: number) => until(`${count} looks`, () => ends.length === count) }
}

test('what wakes a loop during a look makes it look once more, and no more', async () => {
  const { loop, ends, looks } = countedLoop(new ManualClock())
  loop.wake()
  loop.wake()
  loop.wake()
  await looks(1)
  ends[0]?.()
  await looks(2)
  ends[1]?.()
  await loop.stop()
  assert.equal(ends.length, 2)
})

test('a loop looks again after the time that its last look gave, unless it is woken before', async () => {
  const clock = new ManualClock()
  const { loop, ends, looks } = countedLoop(clock)
  loop.wake()
  await looks(1)
  ends[0]?.()
  await until('the loop waits', () => !clock.idle)
  clock.advance(100)
  await looks(2)
  ends[1]?.()
  await until('the loop waits', () => !clock.idle)
  loop.wake()
  await looks(3)
  assert.equal(clock.idle, true)
  ends[2]?.()
  await loop.stop()
})

test('a loop that is stopped waits for its look and begins none any more', async () => {
  const clock = new ManualClock()
  const { loop, ends, looks } = countedLoop(clock)
  loop.wake()
  await looks(1)
  let stopped = false
  const stopping = loop.stop().then(() => {
    stopped = true
  })
  loop.wake()
  assert.equal(stopped, false)
  ends[0]?.()
  await stopping
  loop.wake()
  assert.equal(ends.length, 1)
  assert.equal(clock.idle, true)
})

test('what comes within the time to settle is one look, and what comes during it is the next one', async () => {
  const clock = new ManualClock()
  const { loop, ends, looks } = countedLoop(clock, 1_000, 100)
  loop.wake()
  clock.advance(60)
  loop.wake()
  assert.equal(ends.length, 0)
  clock.advance(40)
  await looks(1)
  loop.wake()
  ends[0]?.()
  await until('it settles again', () => !clock.idle)
  assert.equal(ends.length, 1)
  clock.advance(100)
  await looks(2)
  ends[1]?.()
  await until('it waits', () => !clock.idle)
  loop.wake()
  clock.advance(100)
  await looks(3)
  ends[2]?.()
  await loop.stop()
})
