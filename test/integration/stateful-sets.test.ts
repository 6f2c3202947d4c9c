/** Stateful sets against the real API server, all in this process; the test plays the kubelet. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { KubeClient } from '../../src/client/kube-client.ts'
import {
  CONTROLLER_REVISIONS,
  EVENTS,
  NAMESPACES,
  PERSISTENT_VOLUME_CLAIMS,
  PODS,
  STATEFUL_SETS,
} from '../../src/client/resources.ts'
import type {
  ControllerRevision,
  Event,
  PersistentVolumeClaim,
  Pod,
  StatefulSet,
} from '../../src/kube/types.ts'
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
  await addNode(client, 'node-1')
})
after(() => cluster.stop())

async function makeSet(namespace: string, spec: object = {}): Promise<StatefulSet> {
  await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
  return createSet(namespace, spec)
}

function createSet(namespace: string, spec: object): Promise<StatefulSet> {
  const template = {
    metadata: { labels: { app: 'web' } },
    spec: { containers: [{ name: 'c', image: 'v1' }] },
  }
  const selector = { matchLabels: { app: 'web' } }
  return client.create<StatefulSet>(STATEFUL_SETS, {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: 'web', namespace },
    spec: { replicas: 2, serviceName: 'peers', selector, template, ...spec },
  })
}

const podsIn = async (namespace: string) => (await client.list<Pod>(PODS, { namespace })).items
const setIn = (namespace: string) => client.get<StatefulSet>(STATEFUL_SETS, { namespace, name: 'web' })
const patchSet = (namespace: string, spec: object) =>
  client.patch<StatefulSet>(STATEFUL_SETS, { namespace, name: 'web', type: 'strategic', patch: { spec } })
const claimsIn = async (namespace: string) =>
  (await client.list<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS, { namespace })).items
const namesOf = (objects: readonly { readonly metadata: { readonly name?: string } }[]) =>
  objects.map(each => each.metadata.name).sort()
const isReady = (pod: Pod) =>
  pod.status?.conditions?.some(each => each.type === 'Ready' && each.status === 'True')

/** Plays the kubelet once: starts what there is, ends what is deleted. */
async function playKubelet(namespace: string): Promise<void> {
  for (const pod of await podsIn(namespace)) {
    if (pod.metadata.deletionTimestamp) await finishDeletion(client, pod)
    else if (!isReady(pod) && pod.status?.phase !== 'Failed') await markReady(client, pod)
  }
}

/** Plays the kubelet until the set looks as asked. */
function untilSet(
  namespace: string,
  what: string,
  isIt: (set: StatefulSet) => boolean,
): Promise<StatefulSet> {
  return until(what, async () => {
    await playKubelet(namespace)
    const set = await setIn(namespace)
    return set.status?.observedGeneration === set.metadata.generation && isIt(set) && set
  })
}

const untilReady = (namespace: string, count: number) =>
  untilSet(namespace, `${count} ready pods`, ({ status }) => {
    return status?.replicas === count && status.readyReplicas === count && status.availableReplicas === count
  })

test('pods start one after the other, with names, hostnames and labels of their own', async () => {
  await makeSet('ordered')
  const [first] = await until('the first pod', async () => {
    const pods = await podsIn('ordered')
    return pods.length > 0 && pods
  })
  assert.equal(first?.metadata.name, 'web-0')
  assert.equal(first?.spec?.hostname, 'web-0')
  assert.equal(first?.spec?.subdomain, 'peers')
  const set = await until('the first in the status', async () => {
    const found = await setIn('ordered')
    return found.status?.replicas === 1 && found
  })
  assert.equal((await podsIn('ordered')).length, 1, 'the second waits for the first')
  assert.deepEqual(first?.metadata.labels, {
    app: 'web',
    'apps.kubernetes.io/pod-index': '0',
    'controller-revision-hash': set.status?.updateRevision,
    'statefulset.kubernetes.io/pod-name': 'web-0',
  })
  const ready = await untilReady('ordered', 2)
  assert.deepEqual(namesOf(await podsIn('ordered')), ['web-0', 'web-1'])
  assert.equal(ready.status?.currentRevision, ready.status?.updateRevision)
  assert.equal(ready.status?.currentReplicas, 2)
  assert.equal(ready.status?.collisionCount, 0)
  const { items: events } = await client.list<Event>(EVENTS, { namespace: 'ordered' })
  const messages = events.filter(each => each.involvedObject.kind === 'StatefulSet').map(each => each.message)
  assert.deepEqual(messages, [
    'create Pod web-0 in StatefulSet web successful',
    'create Pod web-1 in StatefulSet web successful',
  ])
})

test('an update replaces pods from the highest number down to the partition, and an old template is found again', async () => {
  await makeSet('rolling', { replicas: 3, updateStrategy: { rollingUpdate: { partition: 2 } } })
  const { status: before } = await untilReady('rolling', 3)
  const container = (image: string) => ({ spec: { containers: [{ name: 'c', image }] } })
  await patchSet('rolling', { template: container('v2') })
  const canary = await untilSet('rolling', 'one new pod', ({ status }) => {
    return status?.updatedReplicas === 1 && status.readyReplicas === 3
  })
  assert.equal(canary.status?.currentRevision, before?.currentRevision)
  assert.notEqual(canary.status?.updateRevision, before?.currentRevision)
  const images = async () =>
    Object.fromEntries(
      (await podsIn('rolling')).map(pod => [pod.metadata.name, pod.spec?.containers[0]?.image]),
    )
  assert.deepEqual(await images(), { 'web-0': 'v1', 'web-1': 'v1', 'web-2': 'v2' })
  await client.delete(PODS, { namespace: 'rolling', name: 'web-0' })
  await client.delete(PODS, { namespace: 'rolling', name: 'web-2' })
  await untilReady('rolling', 3)
  assert.deepEqual(
    await images(),
    { 'web-0': 'v1', 'web-1': 'v1', 'web-2': 'v2' },
    'each comes back as it was',
  )
  await patchSet('rolling', { updateStrategy: { rollingUpdate: { partition: 0 } } })
  const isDone = ({ status }: StatefulSet) =>
    status?.readyReplicas === 3 && status.currentRevision === status.updateRevision
  await untilSet('rolling', 'the rollout', set => isDone(set) && set.status?.updatedReplicas === 3)
  await patchSet('rolling', { template: container('v1') })
  const back = await untilSet('rolling', 'the rollback', set => {
    return isDone(set) && set.status?.updateRevision === before?.updateRevision
  })
  assert.equal(back.status?.currentReplicas, 3)
  const { items } = await client.list<ControllerRevision>(CONTROLLER_REVISIONS, { namespace: 'rolling' })
  assert.deepEqual(
    items.map(each => each.revision).sort(),
    [2, 3],
    'no third revision, and the first is the newest',
  )
})

test('claims come before pods and go when the retention policy says so', async () => {
  const templates = [
    {
      metadata: { name: 'data', labels: { kind: 'disk' } },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
    },
  ]
  await makeSet('claims', {
    volumeClaimTemplates: templates,
    persistentVolumeClaimRetentionPolicy: { whenScaled: 'Delete', whenDeleted: 'Retain' },
    ordinals: { start: 5 },
  })
  await untilReady('claims', 2)
  const [claim] = await claimsIn('claims')
  assert.equal(claim?.metadata.name, 'data-web-5')
  assert.deepEqual(claim?.metadata.labels, { kind: 'disk', app: 'web' })
  assert.deepEqual(claim?.metadata.ownerReferences ?? [], [])
  const [pod] = await podsIn('claims')
  assert.deepEqual(pod?.spec?.volumes?.[0], {
    name: 'data',
    persistentVolumeClaim: { claimName: 'data-web-5' },
  })
  await patchSet('claims', { replicas: 1 })
  await untilReady('claims', 1)
  await until('the claim of the pod that was scaled away is gone', async () => {
    for (const one of await claimsIn('claims')) {
      const { finalizers = [], deletionTimestamp } = one.metadata
      if (deletionTimestamp === undefined || finalizers.length === 0) continue
      const patch = { metadata: { finalizers: null } }
      const name = one.metadata.name ?? ''
      await client.patch(PERSISTENT_VOLUME_CLAIMS, { namespace: 'claims', name, type: 'merge', patch })
    }
    return namesOf(await claimsIn('claims')).join() === 'data-web-5'
  })
  await patchSet('claims', {
    persistentVolumeClaimRetentionPolicy: { whenScaled: 'Retain', whenDeleted: 'Delete' },
  })
  await until('the set owns the claim', async () => {
    const [one] = await claimsIn('claims')
    return one?.metadata.ownerReferences?.[0]?.kind === 'StatefulSet'
  })
})

test('a failed pod is replaced, a foreign one is adopted, and one that fits no more is let go', async () => {
  await makeSet('owners', { podManagementPolicy: 'Parallel' })
  await untilReady('owners', 2)
  const status = { phase: 'Failed', reason: 'Evicted' }
  const target = { namespace: 'owners', name: 'web-0' }
  const { metadata } = await client.get<Pod>(PODS, target)
  await client.patch(PODS, { ...target, subresource: 'status', type: 'strategic', patch: { status } })
  await until('another pod of that name', async () => {
    await playKubelet('owners')
    const [pod] = await podsIn('owners')
    return pod?.metadata.name === 'web-0' && pod.metadata.uid !== metadata.uid
  })
  await untilReady('owners', 2)
  const labels = (app: string) => ({ metadata: { labels: { app } } })
  const second = { namespace: 'owners', name: 'web-1', type: 'strategic' as const }
  await client.patch(PODS, { ...second, patch: labels('other') })
  await until('it is let go', async () => {
    const pod = await client.get<Pod>(PODS, second)
    return (pod.metadata.ownerReferences ?? []).length === 0
  })
  await client.patch(PODS, { ...second, patch: labels('web') })
  await until('it is adopted', async () => {
    const pod = await client.get<Pod>(PODS, second)
    return pod.metadata.ownerReferences?.[0]?.kind === 'StatefulSet'
  })
  await untilReady('owners', 2)
})

test('a name that is taken by another template is counted, and old revisions go beyond the limit', async () => {
  await makeSet('history', { replicas: 1, revisionHistoryLimit: 1 })
  const { status } = await untilReady('history', 1)
  const image = (name: string) => ({ template: { spec: { containers: [{ name: 'c', image: name }] } } })
  const isOf = (name: string) => async () => {
    await playKubelet('history')
    const [pod] = await podsIn('history')
    return pod?.spec?.containers[0]?.image === name && pod.status?.phase === 'Running'
  }
  const revisions = async () =>
    (await client.list<ControllerRevision>(CONTROLLER_REVISIONS, { namespace: 'history' })).items
  await patchSet('history', image('v2'))
  await until('the second template', isOf('v2'))
  const taken = (await revisions()).find(each => each.metadata.name !== status?.currentRevision)
  const name = taken?.metadata.name ?? ''
  await patchSet('history', image('v1'))
  await until('the first template', isOf('v1'))
  await client.delete(CONTROLLER_REVISIONS, { namespace: 'history', name })
  await client.create<ControllerRevision>(CONTROLLER_REVISIONS, {
    apiVersion: 'apps/v1',
    kind: 'ControllerRevision',
    metadata: { name, namespace: 'history' },
    data: { spec: { template: { $patch: 'replace' } } },
    revision: 1,
  })
  await patchSet('history', image('v2'))
  const after = await untilSet('history', 'another name', set => set.status?.collisionCount === 1)
  assert.notEqual(after.status?.updateRevision, name)
  await until('the second template again', isOf('v2'))
  await patchSet('history', image('v3'))
  await until('the third template', isOf('v3'))
  await untilSet('history', 'the rollout', set => set.status?.currentRevision === set.status?.updateRevision)
  const own = async () => (await revisions()).filter(each => each.metadata.ownerReferences?.length === 1)
  await until('the present revision and one before it', async () => (await own()).length === 2)
})

test('a set that is deleted with orphans leaves its pods to the next of its name', async () => {
  await makeSet('orphans', { podManagementPolicy: 'Parallel' })
  await untilReady('orphans', 2)
  const uids = async () => (await podsIn('orphans')).map(pod => pod.metadata.uid).sort()
  const before = await uids()
  await client.delete(STATEFUL_SETS, { namespace: 'orphans', name: 'web', propagationPolicy: 'Orphan' })
  await until('pods of nobody', async () => {
    const pods = await podsIn('orphans')
    return pods.length === 2 && pods.every(pod => (pod.metadata.ownerReferences ?? []).length === 0)
  })
  await createSet('orphans', { podManagementPolicy: 'Parallel' })
  await untilReady('orphans', 2)
  assert.deepEqual(await uids(), before, 'none was started anew')
})
