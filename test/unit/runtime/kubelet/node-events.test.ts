import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Node, NodeStatus } from '../../../../src/kube/types.ts'
import { cordonEvent, nodeEvents } from '../../../../src/runtime/kubelet/node-events.ts'

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

test('a node that is cordoned, and one that is no more, is told once', () => {
  const node = (unschedulable?: boolean): Node => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n' },
    spec: unschedulable === undefined ? {} : { unschedulable },
  })
  const told = (reason: string) => ({
    type: 'Normal',
    reason,
    message: `Node n status is now: ${reason}`,
  })
  assert.deepEqual(cordonEvent('n', false, node(true)), told('NodeNotSchedulable'))
  assert.equal(cordonEvent('n', true, node(true)), undefined)
  assert.deepEqual(cordonEvent('n', true, node()), told('NodeSchedulable'))
  assert.equal(cordonEvent('n', false, node()), undefined)
})
