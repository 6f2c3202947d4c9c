/** Who leaves for whom. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../../../src/base/random.ts'
import type { Node, Pod, PodDisruptionBudget } from '../../../../src/kube/types.ts'
import { NodeInfo } from '../../../../src/runtime/scheduler/node-info.ts'
import { schedule } from '../../../../src/runtime/scheduler/schedule.ts'

const pod = (name: string, priority: number, cpu: string, over: object = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, uid: name },
  spec: { priority, containers: [{ name: 'c', resources: { requests: { cpu } } }], ...over },
})
const node = (name: string, ...pods: Pod[]): NodeInfo => {
  const object: Node = {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name },
    status: { allocatable: { cpu: '2', memory: '4Gi', pods: '10' } },
  }
  return new NodeInfo(object, pods)
}
const decide = (
  wanted: Pod,
  nodes: readonly NodeInfo[],
  nominated: readonly Pod[] = [],
  budgets: readonly PodDisruptionBudget[] = [],
) => {
  const result = schedule(wanted, nodes, seededRandom(1), nominated, { budgets })
  if (result.kind === 'node') return result.name
  const { preemption, message } = result
  if (preemption?.kind !== 'victims') return message
  return `${preemption.node}: ${preemption.victims.map(each => each.metadata.name).join()}`
}

test('as few and as unimportant pods as possible leave', () => {
  const crowd = node('n1', pod('a', 5, '500m'), pod('b', 1, '500m'), pod('c', 3, '1'))
  assert.equal(decide(pod('new', 10, '500m'), [crowd]), 'n1: b')
  assert.equal(decide(pod('new', 10, '1'), [crowd]), 'n1: c')
  assert.equal(decide(pod('new', 10, '2'), [crowd]), 'n1: a,c,b')
})

test('the node is chosen where the least important pods leave', () => {
  const nodes = [node('n1', pod('a', 5, '2')), node('n2', pod('b', 2, '2')), node('n3', pod('c', 20, '2'))]
  assert.equal(decide(pod('new', 10, '1'), nodes), 'n2: b')
})

test('nobody leaves for a pod that is no more important, that may not preempt, or that fits nowhere', () => {
  const full = node('n1', pod('a', 10, '2'))
  const head = '0/1 nodes are available: 1 Insufficient cpu.'
  assert.equal(
    decide(pod('new', 10, '1'), [full]),
    `${head} no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.`,
  )
  assert.equal(
    decide(pod('new', 20, '1', { preemptionPolicy: 'Never' }), [full]),
    `${head} no new claims to deallocate, preemption: not eligible due to preemptionPolicy=Never.`,
  )
  assert.equal(
    decide(pod('new', 20, '3'), [full]),
    `${head} no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.`,
  )
  const mixed = node('n1', pod('a', 30, '1500m'), pod('b', 1, '500m'))
  assert.equal(
    decide(pod('new', 20, '1'), [mixed]),
    `${head} no new claims to deallocate, preemption: 0/1 nodes are available: 1 Insufficient cpu.`,
  )
})

test('a pod whose victims are still leaving waits, and the room is kept for it', () => {
  const leaving = pod('a', 1, '2')
  leaving.metadata.deletionTimestamp = '2026-05-01T12:00:00Z'
  const condition = { type: 'DisruptionTarget', status: 'True', reason: 'PreemptionByScheduler' }
  leaving.status = { conditions: [condition] }
  const waiting: Pod = { ...pod('new', 10, '1'), status: { nominatedNodeName: 'n1' } }
  assert.match(
    decide(waiting, [node('n1', leaving)]),
    /not eligible due to a terminating pod on the nominated/,
  )
  const empty = node('n1')
  const big: Pod = { ...pod('big', 10, '1500m'), status: { nominatedNodeName: 'n1' } }
  assert.match(decide(pod('small', 1, '1'), [empty], [big]), /Insufficient cpu/)
  assert.equal(decide(pod('more', 20, '1'), [empty], [big]), 'n1', 'the more important does not wait')
  assert.equal(decide(big, [empty], [big]), 'n1')
})

const labelled = (name: string, priority: number, cpu: string): Pod => {
  const made = pod(name, priority, cpu)
  return { ...made, metadata: { ...made.metadata, labels: { app: 'web' } } }
}
const budget = (disruptionsAllowed: number, over: object = {}): PodDisruptionBudget => ({
  apiVersion: 'policy/v1',
  kind: 'PodDisruptionBudget',
  metadata: { name: 'web' },
  spec: { selector: { matchLabels: { app: 'web' } } },
  status: { currentHealthy: 1, desiredHealthy: 1, expectedPods: 1, disruptionsAllowed, ...over },
})

test('pods whose budget forbids it stay where others can leave', () => {
  const crowd = node('n1', labelled('guarded', 1, '1'), pod('free', 5, '1'))
  assert.equal(decide(pod('new', 10, '1'), [crowd]), 'n1: guarded')
  assert.equal(decide(pod('new', 10, '1'), [crowd], [], [budget(0)]), 'n1: free')
  assert.equal(decide(pod('new', 10, '1'), [crowd], [], [budget(1)]), 'n1: guarded')
  assert.equal(decide(pod('new', 10, '2'), [crowd], [], [budget(0)]), 'n1: guarded,free')
  const disruptedPods = { guarded: '2026-01-01T00:00:00Z' }
  assert.equal(decide(pod('new', 10, '1'), [crowd], [], [budget(0, { disruptedPods })]), 'n1: guarded')
})

test('the node is chosen where no budget is violated, even if more important pods leave', () => {
  const nodes = [node('n1', labelled('guarded', 1, '2')), node('n2', pod('free', 5, '2'))]
  assert.equal(decide(pod('new', 10, '1'), nodes), 'n1: guarded')
  assert.equal(decide(pod('new', 10, '1'), nodes, [], [budget(0)]), 'n2: free')
  const two = node('n1', labelled('a', 1, '1'), labelled('b', 1, '1'))
  assert.equal(decide(pod('new', 10, '2'), [two, nodes[1] ?? two], [], [budget(1)]), 'n2: free')
})
