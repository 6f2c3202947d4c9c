/** Which address of a pod is told first. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inFamilyOrder } from '../../../../src/runtime/kubelet/pod-addresses.ts'

test('the address of the family of the node is first, whatever the runtime says', () => {
  assert.deepEqual(inFamilyOrder(['10.1.0.2', 'fd00:1::2'], 'fd77::1'), ['fd00:1::2', '10.1.0.2'])
  assert.deepEqual(inFamilyOrder(['fd00:1::2', '10.1.0.2'], '192.0.2.1'), ['10.1.0.2', 'fd00:1::2'])
  assert.deepEqual(inFamilyOrder(['10.1.0.2'], 'fd77::1'), ['10.1.0.2'])
})
