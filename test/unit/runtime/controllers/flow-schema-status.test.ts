/** What a FlowSchema's status says of its priority level. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FlowSchema } from '../../../../src/kube/types.ts'
import { withDangling } from '../../../../src/runtime/controllers/flow-schema-status/plan.ts'

const schema: FlowSchema = {
  apiVersion: 'flowcontrol.apiserver.k8s.io/v1',
  kind: 'FlowSchema',
  metadata: { name: 'a' },
  spec: { priorityLevelConfiguration: { name: 'low' } },
}

test('a flow schema says whether its priority level is there, and since when', () => {
  const missing = withDangling(schema, false, '2026-01-01T00:00:00Z')
  assert(missing !== null)
  assert.deepEqual(missing.status?.conditions, [
    {
      type: 'Dangling',
      status: 'True',
      reason: 'NotFound',
      message:
        'This FlowSchema references the PriorityLevelConfiguration object named "low" but there is no such object',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    },
  ])
  assert.equal(withDangling(missing, false, '2026-01-02T00:00:00Z'), null)
  const found = withDangling(missing, true, '2026-01-02T00:00:00Z')
  assert.equal(found?.status?.conditions?.[0]?.status, 'False')
  assert.equal(found.status.conditions[0]?.lastTransitionTime, '2026-01-02T00:00:00Z')
})
