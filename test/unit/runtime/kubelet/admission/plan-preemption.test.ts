/** Which pods end for a critical one that does not fit. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLog } from '../../../../../src/base/log.ts'
import type { Node, Pod } from '../../../../../src/kube/types.ts'
import { NodeAdmission } from '../../../../../src/runtime/kubelet/admission/node-admission.ts'

const node: Node = {
  ...{ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n', uid: 'n' }, spec: {} },
  status: { allocatable: { cpu: '2', memory: '1Gi', pods: '10' } },
}
type Amounts = Readonly<Record<string, string>>
const podOf = (name: string, requests: Amounts, more: { limits?: Amounts; priority?: number } = {}): Pod => ({
  ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'default', uid: name } },
  spec: {
    ...(more.priority === undefined ? {} : { priority: more.priority }),
    containers: [{ name: 'c', image: 'i', resources: { requests, limits: more.limits ?? {} } }],
  },
})
const sure = (name: string, amounts: Amounts) => podOf(name, amounts, { limits: amounts })
const critical = (requests: Amounts, priority = 2_000_000_000) => podOf('critical', requests, { priority })
const admissionWith = (others: readonly Pod[]) =>
  new NodeAdmission({
    refusals: [],
    view: () => ({ node, operatingSystem: 'linux', others, given: {} }),
    end: async () => {},
    log: createLog({ level: 'error', now: Date.now, write: () => {} }),
  })
const victimsOf = (pod: Pod, ...others: Pod[]) => {
  const { refusal, victims } = admissionWith(others).judge(pod)
  return refusal?.message ?? victims.map(({ metadata }) => metadata.name).sort()
}

test('a critical pod that fits ends nobody, and others end nobody ever', () => {
  assert.deepEqual(victimsOf(critical({ cpu: '1' }), podOf('a', { cpu: '1' })), [])
  assert.match(
    String(victimsOf(podOf('b', { cpu: '2' }), podOf('a', { cpu: '1' }))),
    /^Pod was rejected: Node didn't/,
  )
})

test('the class that loses least goes first, and of a class the pod that comes nearest', () => {
  const small = podOf('small', { cpu: '500m' })
  const large = podOf('large', { cpu: '1' })
  const best = podOf('best', {})
  const guaranteed = sure('guaranteed', { cpu: '500m', memory: '64Mi' })
  assert.deepEqual(victimsOf(critical({ cpu: '500m' }), small, large, best, guaranteed), ['small'])
  assert.deepEqual(victimsOf(critical({ cpu: '800m' }), small, large, best, guaranteed), ['large'])
  assert.deepEqual(victimsOf(critical({ cpu: '1500m' }), small, large, best, guaranteed), ['large', 'small'])
  const all = ['guaranteed', 'large', 'small']
  assert.deepEqual(victimsOf(critical({ cpu: '2' }), small, large, best, guaranteed), all)
})

test('for a place on the node a pod without requests goes', () => {
  const many = Array.from({ length: 9 }, (_, index) => podOf(`p${index}`, { cpu: '100m' }))
  assert.deepEqual(victimsOf(critical({}), ...many, podOf('best', {})), ['best'])
})

test('critical pods go for those of a higher priority only', () => {
  const other = podOf('other', { cpu: '2' }, { priority: 2_000_000_000 })
  assert.deepEqual(victimsOf(critical({ cpu: '1' }, 2_000_001_000), other), ['other'])
  assert.equal(
    victimsOf(critical({ cpu: '1' }), other),
    'Pod was rejected: Unexpected error while attempting to recover from admission failure: preemption: ' +
      'error finding a set of pods to preempt: no set of running pods found to reclaim resources: ' +
      '[(res: cpu, q: 1000), ]',
  )
})

test('pods that ended for a critical one are counted by the resource that was short', async () => {
  const admission = admissionWith([podOf('a', { cpu: '1' }), podOf('b', { cpu: '1' })])
  await admission.preempt(admission.judge(critical({ cpu: '2', memory: '64Mi' })))
  assert.deepEqual([...admission.preemptions], [['cpu', 2]])
  await admission.preempt(admission.judge(critical({ memory: '64Mi' })))
  assert.deepEqual([...admission.preemptions], [['cpu', 2]])
})
