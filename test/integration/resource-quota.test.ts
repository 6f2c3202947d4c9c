/** ResourceQuotas as clients meet them: the real API server and controllers over the memory store. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { KubeClient } from '../../src/client/kube-client.ts'
import {
  CONFIG_MAPS,
  NAMESPACES,
  PODS,
  RESOURCE_CLAIMS,
  RESOURCE_QUOTAS,
  SERVICES,
} from '../../src/client/resources.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import { StatusError } from '../../src/kube/status.ts'
import type { ResourceQuota } from '../../src/kube/types.ts'
import { type InProcessCluster, startInProcessCluster } from '../support/in-process-cluster.ts'
import { until } from '../support/until.ts'

const WAIT_MS = 120_000
let cluster: InProcessCluster
let client: KubeClient
let spaces = 0

before(async () => {
  cluster = await startInProcessCluster()
  client = cluster.client
})
after(() => cluster.stop())

interface QuotaSpec {
  readonly hard: Readonly<Record<string, string>>
  readonly scopes?: readonly string[]
  readonly scopeSelector?: unknown
}

/** A namespace of its own with a quota whose status is there. */
async function quotaIn(spec: QuotaSpec): Promise<string> {
  const namespace = `quota-${++spaces}`
  await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
  await client.create(RESOURCE_QUOTAS, {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'q', namespace },
    spec,
  })
  await untilUsed(namespace, used => Object.keys(used).length === Object.keys(spec.hard).length)
  return namespace
}

const usedIn = async (namespace: string): Promise<Record<string, string>> =>
  (await client.get<ResourceQuota>(RESOURCE_QUOTAS, { namespace, name: 'q' })).status?.used ?? {}

const untilUsed = (namespace: string, isSo: (used: Record<string, string>) => boolean) =>
  until('the count of the quota', async () => isSo(await usedIn(namespace)), WAIT_MS)

const podOf = (namespace: string, name: string, spec = {}, resources = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace },
  spec: { automountServiceAccountToken: false, containers: [{ name: 'c', image: 'i', resources }], ...spec },
})

const makePod = (namespace: string, name: string, spec = {}, resources = {}) =>
  client.create(PODS, podOf(namespace, name, spec, resources), { namespace })

async function refusalOf(attempt: Promise<unknown>): Promise<string> {
  const error = await attempt.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof StatusError, 'the write is refused')
  assert.equal(error.code, 403)
  return error.message
}

test('creates that race never exceed a quota, and its status counts those that were made', async () => {
  const namespace = await quotaIn({ hard: { pods: '5', 'count/pods': '7' } })
  const outcomes = await Promise.allSettled(
    Array.from({ length: 40 }, (_, index) => makePod(namespace, `p${index}`)),
  )
  const made = outcomes.filter(({ status }) => status === 'fulfilled')
  const reasons = outcomes.flatMap(outcome => (outcome.status === 'rejected' ? [outcome.reason] : []))
  assert.equal(made.length, 5)
  assert.ok(reasons.every(reason => reason instanceof StatusError && reason.code === 403))
  assert.deepEqual(await usedIn(namespace), { pods: '5', 'count/pods': '5' })
})

test('a write beyond the quota is forbidden in the words of upstream', async () => {
  const namespace = await quotaIn({ hard: { pods: '1' } })
  await makePod(namespace, 'one')
  assert.equal(
    await refusalOf(makePod(namespace, 'two')),
    'pods "two" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1',
  )
})

test('what is deleted or has ended makes room in the same moment', async () => {
  const namespace = await quotaIn({ hard: { pods: '1', configmaps: '3' } })
  await makePod(namespace, 'one')
  await client.patch(PODS, {
    namespace,
    name: 'one',
    subresource: 'status',
    type: 'merge',
    patch: { status: { phase: 'Succeeded' } },
  })
  assert.equal((await usedIn(namespace))['pods'], '0')
  await makePod(namespace, 'two')
  await client.delete(PODS, { namespace, name: 'two', gracePeriodSeconds: 0 })
  assert.equal((await usedIn(namespace))['pods'], '0')
})

test('CPU and memory are summed, and containers have to say what they want', async () => {
  const hard = { 'requests.cpu': '1', 'limits.memory': '1Gi' }
  const namespace = await quotaIn({ hard })
  assert.equal(
    await refusalOf(makePod(namespace, 'silent')),
    'pods "silent" is forbidden: failed quota: q: must specify limits.memory for: c; requests.cpu for: c',
  )
  const resources = { requests: { cpu: '600m', memory: '1Mi' }, limits: { memory: '512Mi' } }
  await makePod(namespace, 'one', {}, resources)
  assert.deepEqual(await usedIn(namespace), { 'requests.cpu': '600m', 'limits.memory': '512Mi' })
  assert.equal(
    await refusalOf(makePod(namespace, 'two', {}, resources)),
    'pods "two" is forbidden: exceeded quota: q, requested: requests.cpu=600m, used: requests.cpu=600m, limited: requests.cpu=1',
  )
})

test('scopes decide which pods are counted', async () => {
  const besteffort = await quotaIn({ hard: { pods: '1' }, scopes: ['BestEffort', 'NotTerminating'] })
  await makePod(besteffort, 'a')
  await makePod(besteffort, 'b', {}, { requests: { cpu: '1m' } })
  await makePod(besteffort, 'c', { activeDeadlineSeconds: 60 })
  assert.match(await refusalOf(makePod(besteffort, 'd')), /exceeded quota/)
  const selector = {
    matchExpressions: [{ scopeName: 'PriorityClass', operator: 'In', values: ['system-node-critical'] }],
  }
  const priority = await quotaIn({ hard: { pods: '0' }, scopeSelector: selector })
  await makePod(priority, 'usual')
  const critical = makePod(priority, 'critical', { priorityClassName: 'system-node-critical' })
  assert.match(
    await refusalOf(critical),
    /exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0/,
  )
})

test('a service that asks for more node ports is counted when it changes', async () => {
  const namespace = await quotaIn({ hard: { services: '2', 'services.nodeports': '1' } })
  const service = (name: string, type: string) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace },
    spec: { type, ports: [{ port: 80 }] },
  })
  await client.create(SERVICES, service('a', 'NodePort'), { namespace })
  await client.create(SERVICES, service('b', 'ClusterIP'), { namespace })
  const patch = { namespace, name: 'b', type: 'merge' as const, patch: { spec: { type: 'NodePort' } } }
  assert.match(await refusalOf(client.patch(SERVICES, patch)), /requested: services.nodeports=1/)
  await client.patch(SERVICES, { ...patch, name: 'a', patch: { spec: { type: 'ClusterIP' } } })
  await client.patch(SERVICES, patch)
  assert.deepEqual(await usedIn(namespace), { services: '2', 'services.nodeports': '1' })
})

test('a wrong count in the status is put right, and so is a changed bound', async () => {
  const namespace = await quotaIn({ hard: { configmaps: '10' } })
  const before = Number((await usedIn(namespace))['configmaps'])
  const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'm', namespace } }
  await client.create(CONFIG_MAPS, map, { namespace })
  const merge = (patch: unknown, subresource?: string) =>
    client.patch(RESOURCE_QUOTAS, { namespace, name: 'q', type: 'merge', subresource, patch })
  await merge({ status: { used: { configmaps: '9' }, hard: { configmaps: '9' } } }, 'status')
  await untilUsed(namespace, used => used['configmaps'] === String(before + 1))
  await merge({ spec: { hard: { configmaps: '10', secrets: '1', 'count/deployments.apps': '2' } } })
  await untilUsed(namespace, used => used['count/deployments.apps'] === '0' && used['secrets'] === '0')
})

test('devices are bounded by class, whatever claims ask for them', async () => {
  const name = 'gpu.deviceclass.resource.k8s.io/devices'
  const namespace = await quotaIn({ hard: { [name]: '3' } })
  const claim = (of: string, count: number) => {
    const exactly = { deviceClassName: 'gpu', count }
    return client.create(RESOURCE_CLAIMS, {
      ...{ apiVersion: 'resource.k8s.io/v1', kind: 'ResourceClaim', metadata: { name: of, namespace } },
      spec: { devices: { requests: [{ name: 'r', exactly }] } },
    })
  }
  await claim('two', 2)
  assert.deepEqual(await usedIn(namespace), { [name]: '2' })
  const why = `exceeded quota: q, requested: ${name}=2, used: ${name}=2, limited: ${name}=3`
  assert.match(await refusalOf(claim('more', 2)), new RegExp(`is forbidden: ${why.replaceAll('.', '\\.')}`))
  await client.delete(RESOURCE_CLAIMS, { namespace, name: 'two' })
  await claim('more', 2)
})
