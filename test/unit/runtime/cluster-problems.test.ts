/** What `mk8s status` says of nodes and pods that are not well. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Node, Pod, PodStatus } from '../../../src/kube/types.ts'
import { findProblems } from '../../../src/runtime/cluster-problems.ts'

const NOW = Date.parse('2026-05-01T12:00:00Z')
const at = (secondsAgo: number) => new Date(NOW - secondsAgo * 1_000).toISOString()

function pod(
  name: string,
  status: PodStatus,
  over: { node?: string; deletedAgo?: number; namespace?: string } = {},
): Pod {
  const { node = 'n1', namespace = 'default', deletedAgo } = over
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      creationTimestamp: at(300),
      ...(deletedAgo === undefined ? {} : { deletionTimestamp: at(deletedAgo) }),
    },
    spec: { ...(node === '' ? {} : { nodeName: node }), containers: [{ name: 'c' }] },
    status,
  }
}

const container = { name: 'c', image: 'i', imageID: '', ready: false, restartCount: 0 }
const notReady = (secondsAgo: number) => ({
  type: 'Ready',
  status: 'False',
  lastTransitionTime: at(secondsAgo),
})
const problemsOf = (...pods: Pod[]) => findProblems({ nodes: [], pods, nowMs: NOW })

test('a crash loop tells how the container ended, and where to read more', () => {
  const waiting = { reason: 'CrashLoopBackOff', message: 'back-off 40s restarting failed container' }
  const terminated = { exitCode: 137, reason: 'OOMKilled' }
  const status = { ...container, restartCount: 4, state: { waiting }, lastState: { terminated } }
  assert.deepEqual(problemsOf(pod('web', { phase: 'Running', containerStatuses: [status] })), [
    {
      object: 'pod/default/web',
      reason: 'CrashLoopBackOff',
      message: 'container c exited with code 137 (OOMKilled), restarted 4 times',
      next: 'mk8s kubectl -n default logs web -c c --previous',
    },
  ])
})

test('an image that cannot be pulled and a pod that fits nowhere say why', () => {
  const waiting = { reason: 'ImagePullBackOff', message: 'Back-off pulling image "nope"' }
  const image = pod('image', { containerStatuses: [{ ...container, state: { waiting } }] })
  const message = '0/1 nodes are available: 1 Insufficient cpu.'
  const scheduled = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }
  const unfit = pod(
    'unfit',
    { phase: 'Pending', conditions: [scheduled] },
    { node: '', namespace: 'kube-system' },
  )
  assert.deepEqual(
    problemsOf(image, unfit).map(({ object, reason, message: text }) => [object, reason, text]),
    [
      ['pod/kube-system/unfit', 'Unschedulable', message],
      ['pod/default/image', 'ImagePullBackOff', 'Back-off pulling image "nope"'],
    ],
    'kube-system comes first',
  )
})

test('what starts, ends or has finished is no problem until it takes too long', () => {
  const creating = { ...container, state: { waiting: { reason: 'ContainerCreating' } } }
  const starting = (secondsAgo: number) =>
    pod('slow', { phase: 'Pending', conditions: [notReady(secondsAgo)], containerStatuses: [creating] })
  assert.deepEqual(problemsOf(starting(5), pod('done', { phase: 'Succeeded' })), [])
  assert.equal(problemsOf(starting(60))[0]?.reason, 'ContainerCreating')
  assert.deepEqual(problemsOf(pod('ending', { phase: 'Running' }, { deletedAgo: 10 })), [])
  assert.equal(problemsOf(pod('stuck', { phase: 'Running' }, { deletedAgo: 90 }))[0]?.reason, 'Terminating')
})

test('a node that is not ready or under pressure is named', () => {
  const node: Node = {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n2' },
    status: {
      conditions: [
        {
          type: 'Ready',
          status: 'Unknown',
          reason: 'NodeStatusUnknown',
          message: 'Kubelet stopped posting node status.',
        },
        { type: 'DiskPressure', status: 'True', message: 'the disk is nearly full' },
      ],
    },
  }
  const found = findProblems({ nodes: [node], pods: [], nowMs: NOW })
  assert.deepEqual(
    found.map(({ object, reason }) => [object, reason]),
    [
      ['node/n2', 'NodeStatusUnknown'],
      ['node/n2', 'DiskPressure'],
    ],
  )
})

test('nodes of different versions are told of', () => {
  const node = (name: string, kubeletVersion: string) =>
    ({
      metadata: { name },
      status: { conditions: [{ type: 'Ready', status: 'True' }], nodeInfo: { kubeletVersion } },
    }) as unknown as Node
  const [old, fresh] = ['v1.36.0+mk8s.0.1.0', 'v1.36.0+mk8s.0.1.1']
  const find = (...nodes: Node[]) => findProblems({ nodes, pods: [], nowMs: NOW })
  assert.deepEqual(find(node('n1', old), node('n2', old)), [])
  const [problem] = find(node('n1', fresh), node('n2', old), node('n3', old))
  assert.equal(problem?.reason, 'VersionsDiffer')
  assert.equal(problem?.message, '0.1.0 on n2, n3; 0.1.1 on n1')
})
