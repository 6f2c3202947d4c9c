import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Attention } from '../../../../src/runtime/controllers/node-lifecycle/attention.ts'
import { ManualClock } from '../../../support/manual-clock.ts'

test('a process that stood still begins anew to listen, whoever notices first', () => {
  const clock = new ManualClock()
  const attention = new Attention(clock)
  attention.start()
  for (let i = 0; i < 30; i++) clock.advance(1_000)
  assert.equal(attention.heardMs(), 30_000)
  attention.stop()
  clock.advance(60_000)
  assert.equal(attention.heardMs(), 0)
  clock.advance(2_000)
  assert.equal(attention.heardMs(), 2_000)
})
