/** Daemon sets against the real API server and scheduler, all in this process; the test plays the kubelets. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { KubeClient } from '../../src/client/kube-client.ts'
import {
  CONTROLLER_REVISIONS,
  DAEMON_SETS,
  EVENTS,
  NAMESPACES,
  NODES,
  PODS,
} from '../../src/client/resources.ts'
import type { ControllerRevision, DaemonSet, Event, Pod } from '../../src/kube/types.ts'
import {
  addNode,
  finishDeletion,
  type InProcessCluster,
  markReady,
  startInProcessCluster,
} from '../support/in-process-cluster.ts'
import { until } from '../support/until.ts'

let cluster: InProcessCluster
let client: KubeClient

before(async () => {
  cluster = await startInProcessCluster()
  client = cluster.client
  for (const name of ['node-1', 'node-2', 'node-3']) await addNode(client, name)
})
after(() => cluster.stop())

const container = (image: string) => ({ spec: { containers: [{ name: 'c', image }] } })

async function makeSet(namespace: string, spec: object = {}): Promise<DaemonSet> {
  await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
  const template = { metadata: { labels: { app: 'agent' } }, ...container('v1') }
  const selector = { matchLabels: { app: 'agent' } }
  return client.create<DaemonSet>(DAEMON_SETS, {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: 'agent', namespace },
    spec: { selector, template, ...spec },
  })
}

const podsIn = async (namespace: string) => (await client.list<Pod>(PODS, { namespace })).items
const setIn = (namespace: string) => client.get<DaemonSet>(DAEMON_SETS, { namespace, name: 'agent' })
const patchSet = (namespace: string, spec: object) =>
  client.patch<DaemonSet>(DAEMON_SETS, { namespace, name: 'agent', type: 'strategic', patch: { spec } })
const patchNode = (name: string, patch: object) => client.patch(NODES, { name, type: 'strategic', patch })
const nodesOf = (pods: readonly Pod[]) => pods.map(pod => pod.spec?.nodeName).sort()
const imagesOf = (pods: readonly Pod[]) => pods.map(pod => pod.spec?.containers[0]?.image).sort()
const isReady = (pod: Pod) =>
  pod.status?.conditions?.some(each => each.type === 'Ready' && each.status === 'True')

async function playKubelet(namespace: string): Promise<void> {
  for (const pod of await podsIn(namespace)) {
    if (pod.metadata.deletionTimestamp) await finishDeletion(client, pod)
    else if (pod.spec?.nodeName && !isReady(pod) && pod.status?.phase !== 'Failed')
      await markReady(client, pod)
  }
}

function untilSet(namespace: string, what: string, isIt: (set: DaemonSet) => boolean): Promise<DaemonSet> {
  return until(what, async () => {
    await playKubelet(namespace)
    const set = await setIn(namespace)
    return set.status?.observedGeneration === set.metadata.generation && isIt(set) && set
  })
}

const untilRolledOut = (namespace: string, count: number) =>
  untilSet(namespace, `${count} daemons of the newest template`, ({ status }) => {
    return (
      status?.desiredNumberScheduled === count &&
      status.currentNumberScheduled === count &&
      status.updatedNumberScheduled === count &&
      status.numberAvailable === count &&
      status.numberUnavailable === undefined
    )
  })

test('every node gets a pod, bound by the scheduler; nodes come, change and go', async () => {
  await makeSet('placement')
  await untilRolledOut('placement', 3)
  const pods = await podsIn('placement')
  assert.deepEqual(nodesOf(pods), ['node-1', 'node-2', 'node-3'])
  const [pod] = pods
  assert.match(pod?.metadata.name ?? '', /^agent-[a-z0-9]{5}$/)
  assert.equal(pod?.metadata.labels?.['pod-template-generation'], '1')
  assert.deepEqual(pod?.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution, {
    nodeSelectorTerms: [
      { matchFields: [{ key: 'metadata.name', operator: 'In', values: [pod?.spec?.nodeName] }] },
    ],
  })
  const tolerated = pod?.spec?.tolerations?.map(each => `${each.key?.split('/')[1]} ${each.effect}`)
  assert.deepEqual(tolerated?.slice(0, 6), [
    'not-ready NoExecute',
    'unreachable NoExecute',
    'disk-pressure NoSchedule',
    'memory-pressure NoSchedule',
    'pid-pressure NoSchedule',
    'unschedulable NoSchedule',
  ])
  await addNode(client, 'node-4')
  await untilRolledOut('placement', 4)
  await patchNode('node-4', { spec: { taints: [{ key: 'own', effect: 'NoSchedule' }] } })
  await untilSet('placement', 'a daemon that may stay but should not have come', ({ status }) => {
    return status?.numberMisscheduled === 1 && status.desiredNumberScheduled === 3
  })
  await patchNode('node-4', { spec: { taints: [{ key: 'own', effect: 'NoExecute' }] } })
  await untilSet('placement', 'it is gone', ({ status }) => status?.numberMisscheduled === 0)
  assert.deepEqual(nodesOf(await podsIn('placement')), ['node-1', 'node-2', 'node-3'])
  await client.delete(NODES, { name: 'node-4' })
})

test('a selector decides which nodes, and follows their labels', async () => {
  await makeSet('selected', {
    template: {
      metadata: { labels: { app: 'agent' } },
      spec: { ...container('v1').spec, nodeSelector: { disk: 'fast' } },
    },
  })
  await untilSet('selected', 'the set is looked at', ({ status }) => status?.desiredNumberScheduled === 0)
  assert.deepEqual(await podsIn('selected'), [])
  await patchNode('node-2', { metadata: { labels: { disk: 'fast' } } })
  await untilRolledOut('selected', 1)
  assert.deepEqual(nodesOf(await podsIn('selected')), ['node-2'])
  await patchNode('node-2', { metadata: { labels: { disk: null } } })
  await until('no pods', async () => {
    await playKubelet('selected')
    return (await podsIn('selected')).length === 0
  })
})

test('a rolling update takes one away at a time, and an old template is found again', async () => {
  await makeSet('rolling')
  await untilRolledOut('rolling', 3)
  await patchSet('rolling', { template: container('v2') })
  await until('one pod less', async () => {
    const going = (await podsIn('rolling')).filter(pod => pod.metadata.deletionTimestamp)
    assert.ok(going.length <= 1, 'never two at a time')
    return going.length === 1
  })
  const set = await untilRolledOut('rolling', 3)
  assert.deepEqual(imagesOf(await podsIn('rolling')), ['v2', 'v2', 'v2'])
  assert.equal(set.metadata.annotations?.['deprecated.daemonset.template.generation'], '2')
  await patchSet('rolling', { template: container('v1') })
  await until('the rollback', async () => {
    await playKubelet('rolling')
    return imagesOf(await podsIn('rolling')).join() === 'v1,v1,v1'
  })
  const { items } = await client.list<ControllerRevision>(CONTROLLER_REVISIONS, { namespace: 'rolling' })
  assert.deepEqual(items.map(each => each.revision).sort(), [2, 3], 'the first revision is the newest now')
})

test('with a surge the new pod runs beside the old one until it is ready', async () => {
  await makeSet('surge', { updateStrategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } } })
  await untilRolledOut('surge', 3)
  await patchSet('surge', { template: container('v2') })
  const pods = await until('a fourth pod', async () => {
    const found = await podsIn('surge')
    return found.length === 4 && found
  })
  assert.ok(pods.every(pod => pod.metadata.deletionTimestamp === undefined))
  assert.deepEqual(imagesOf(pods), ['v1', 'v1', 'v1', 'v2'])
  await untilRolledOut('surge', 3)
  await until('no old pods', async () => {
    await playKubelet('surge')
    return imagesOf(await podsIn('surge')).join() === 'v2,v2,v2'
  })
})

test('with OnDelete a pod is new when its predecessor was deleted; a failed one is replaced', async () => {
  await makeSet('manual', { updateStrategy: { type: 'OnDelete' } })
  await untilRolledOut('manual', 3)
  await patchSet('manual', { template: container('v2') })
  await untilSet('manual', 'the set is looked at', ({ status }) => status?.numberAvailable === 3)
  assert.deepEqual(imagesOf(await podsIn('manual')), ['v1', 'v1', 'v1'])
  const [first, second] = await podsIn('manual')
  await client.delete(PODS, { namespace: 'manual', name: first?.metadata.name ?? '' })
  await untilSet('manual', 'one of the new template', ({ status }) => status?.updatedNumberScheduled === 1)
  const name = second?.metadata.name ?? ''
  const failed = { status: { phase: 'Failed', reason: 'Evicted' } }
  await client.patch(PODS, {
    namespace: 'manual',
    name,
    subresource: 'status',
    type: 'strategic',
    patch: failed,
  })
  await untilSet('manual', 'a second one', ({ status }) => status?.updatedNumberScheduled === 2)
  const event = await until('the event', async () => {
    const { items } = await client.list<Event>(EVENTS, { namespace: 'manual' })
    return items.find(each => each.reason === 'FailedDaemonPod')
  })
  const node = second?.spec?.nodeName
  assert.equal(event.message, `Found failed daemon pod manual/${name} on node ${node}, will try to kill it`)
})
