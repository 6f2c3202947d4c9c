/** How often an add-on is looked at that does not work yet. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pauseAfterMs } from '../../../../src/runtime/addons/reconciler.ts'

test('what has just been enabled is looked at twice a second, what has waited long every half minute', () => {
  assert.deepEqual([0, 1_000, 10_000, 86_400_000].map(pauseAfterMs), [500, 500, 2_500, 30_000])
})
