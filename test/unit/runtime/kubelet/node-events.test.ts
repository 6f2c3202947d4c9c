import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NodeStatus } from '../../../../src/kube/types.ts'
import { nodeEvents } from '../../../../src/runtime/kubelet/node-events.ts'

const status = (ready: string, bootID = 'b1'): NodeStatus => ({
  conditions: [
    { type: 'MemoryPressure', status: 'False' },
    { type: 'Ready', status: ready },
  ],
  nodeInfo: { bootID } as NonNullable<NodeStatus['nodeInfo']>,
})
const reasons = (change: Parameters<typeof nodeEvents>[1]) =>
  nodeEvents('n', change).map(({ reason }) => reason)

test('a new node tells that it starts and is ready; a restarted kubelet not that it is ready still', () => {
  const next = status('True')
  assert.deepEqual(reasons({ previous: undefined, next, isStart: true }), [
    'Starting',
    'NodeHasSufficientMemory',
    'NodeReady',
  ])
  assert.deepEqual(reasons({ previous: next, next, isStart: true }), ['Starting', 'NodeHasSufficientMemory'])
  assert.deepEqual(reasons({ previous: next, next, isStart: false }), [])
})

test('a change of readiness and a reboot are told', () => {
  const change = { previous: status('Unknown'), next: status('True', 'b2'), isStart: false }
  assert.deepEqual(nodeEvents('n', change), [
    { type: 'Warning', reason: 'Rebooted', message: 'Node n has been rebooted, boot id: b2' },
    { type: 'Normal', reason: 'NodeReady', message: 'Node n status is now: NodeReady' },
  ])
})
