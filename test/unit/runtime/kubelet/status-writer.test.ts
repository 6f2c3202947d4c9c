import assert from 'node:assert/strict'
import { test } from 'node:test'
import { renderStatusPatch } from '../../../../src/runtime/kubelet/status-writer.ts'

test('a status patch takes back what holds no more', () => {
  const conditions = [{ type: 'Ready', status: 'True' }]
  assert.deepEqual(renderStatusPatch({ phase: 'Running', conditions }), {
    phase: 'Running',
    reason: null,
    message: null,
    podIP: null,
    podIPs: null,
    conditions: [
      { type: 'Ready', status: 'True', reason: null, message: null },
      { type: 'PodResizePending', $patch: 'delete' },
      { type: 'PodResizeInProgress', $patch: 'delete' },
    ],
  })
})

test('addresses replace those of an earlier sandbox', () => {
  const patch = renderStatusPatch({ podIP: 'a', podIPs: [{ ip: 'a' }] }) as { podIPs: unknown }
  assert.deepEqual(patch.podIPs, [{ ip: 'a' }, { $patch: 'replace' }])
})
