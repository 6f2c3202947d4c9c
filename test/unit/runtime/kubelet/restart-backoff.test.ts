import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decideRestart, goDuration, restoreBackoff } from '../../../../src/runtime/kubelet/restart-backoff.ts'

test('the first restart is at once, then 10 s doubling to 5 min', () => {
  let now = 0
  let backoff = restoreBackoff(0, 0)
  const waits: number[] = []
  for (let crash = 0; crash < 8; crash++) {
    const decision = decideRestart(backoff, { finishedAtMs: now, nowMs: now })
    if (decision.kind === 'restart') {
      waits.push(0)
      backoff = decision.next
      continue
    }
    waits.push(decision.delayMs / 1_000)
    const later = decideRestart(backoff, { finishedAtMs: now, nowMs: decision.untilMs })
    assert.equal(later.kind, 'restart')
    if (later.kind === 'restart') backoff = later.next
    now = decision.untilMs
  }
  assert.deepEqual(waits, [0, 10, 20, 40, 80, 160, 300, 300])
})

test('ten minutes of running well are forgiveness', () => {
  const backoff = { delayMs: 300_000, updatedAtMs: 0 }
  const decision = decideRestart(backoff, { finishedAtMs: 600_001, nowMs: 600_001 })
  assert.deepEqual(decision, { kind: 'restart', next: { delayMs: 10_000, updatedAtMs: 600_001 } })
})

test('a restarted kubelet goes on where the back-off was', () => {
  assert.equal(restoreBackoff(0, 5), undefined)
  assert.deepEqual(restoreBackoff(3, 5), { delayMs: 40_000, updatedAtMs: 5 })
  assert.equal(restoreBackoff(1_000, 5)?.delayMs, 300_000)
})

test('durations read as Go prints them', () => {
  assert.deepEqual([10_000, 80_000, 300_000].map(goDuration), ['10s', '1m20s', '5m0s'])
})
