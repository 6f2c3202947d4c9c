import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  adaptPace,
  ELECTION_MS_MAX,
  ELECTION_MS_MIN,
  LOWER_AFTER_MS,
  type Pace,
  SlowDelay,
} from '../../../../src/runtime/raft/timing.ts'

const usual: Pace = { electionMs: ELECTION_MS_MIN, since: 0 }
const fast = { flushMs: 1, roundTripMs: 1 }

test('a fast disk and network leave the election timeout as short as may be', () => {
  assert.equal(adaptPace(usual, fast, 1e9), usual)
  assert.equal(adaptPace(usual, { flushMs: 30, roundTripMs: 0 }, 5).electionMs, 300)
})

test('a slow disk, or slow members, raise the election timeout at once, up to a limit', () => {
  assert.deepEqual(adaptPace(usual, { flushMs: 31, roundTripMs: 1 }, 5), { electionMs: 450, since: 5 })
  assert.deepEqual(adaptPace(usual, { flushMs: 1, roundTripMs: 120 }, 5), { electionMs: 1500, since: 5 })
  assert.equal(adaptPace(usual, { flushMs: 1e6, roundTripMs: 1 }, 5).electionMs, ELECTION_MS_MAX)
})

test('the election timeout is lowered slowly, step by step', () => {
  let pace: Pace = { electionMs: 5000, since: 0 }
  assert.equal(adaptPace(pace, fast, LOWER_AFTER_MS - 1), pace)
  const seen: number[] = []
  for (let now = LOWER_AFTER_MS; pace.electionMs > ELECTION_MS_MIN; now += LOWER_AFTER_MS) {
    pace = adaptPace(pace, fast, now)
    seen.push(pace.electionMs)
  }
  assert.deepEqual(seen, [3300, 2200, 1500, 1000, 700, 450, 300])
})

test('one hiccup changes nothing, a slow phase is noticed soon and remembered for a while', () => {
  const delay = new SlowDelay()
  for (let n = 0; n < 100; n++) delay.add(1)
  delay.add(2000)
  delay.add(1)
  assert.ok(delay.ms < 2)
  for (let n = 0; n < 12; n++) delay.add(100)
  assert.ok(delay.ms > 80, `${delay.ms}`)
  for (let n = 0; n < 20; n++) delay.add(1)
  assert.ok(delay.ms > 50, `${delay.ms}`)
  for (let n = 0; n < 400; n++) delay.add(1)
  assert.ok(delay.ms < 5, `${delay.ms}`)
})
