import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FLUSH_BUCKETS, FlushTimes } from '../../../../../src/runtime/store/log/flush-times.ts'

test('flushes are counted in the buckets that etcd has', () => {
  assert.deepEqual(FLUSH_BUCKETS.slice(0, 4), [0.001, 0.002, 0.004, 0.008])
  assert.equal(FLUSH_BUCKETS.at(-1), 8.192)
  const times = new FlushTimes()
  for (const took of [0.5, 1, 1.5, 9000]) {
    times.begin(100)
    assert.equal(times.begunAt, 100)
    times.end(100 + took)
  }
  assert.equal(times.begunAt, null)
  const { counts, sumSeconds } = times.histogram
  assert.deepEqual([counts[0], counts[1], counts.at(-1)], [2, 1, 1])
  assert.equal(sumSeconds, 9.003)
  assert.deepEqual([times.medianMs, times.worstMs], [1.5, 9000])
})
