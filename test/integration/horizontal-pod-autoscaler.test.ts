/**
 * Autoscalers against the real API server, in this process, on a clock sixty times as fast. Custom resources of the
 * metrics groups stand where an extension API server would: the paths and the answers are the same.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { KubeClient, ResourceRef } from '../../src/client/kube-client.ts'
import {
  CUSTOM_RESOURCE_DEFINITIONS,
  DEPLOYMENTS,
  EVENTS,
  HORIZONTAL_POD_AUTOSCALERS,
  NAMESPACES,
  PODS,
  SERVICE_ACCOUNTS,
} from '../../src/client/resources.ts'
import type { Deployment, Event, HorizontalPodAutoscaler, Pod } from '../../src/kube/types.ts'
import { fastClock } from '../support/fast-clock.ts'
import { type InProcessCluster, markReady, startInProcessCluster } from '../support/in-process-cluster.ts'
import { until } from '../support/until.ts'

const WAIT_MS = 120_000
let cluster: InProcessCluster
let client: KubeClient

before(async () => {
  cluster = await startInProcessCluster({}, fastClock(60))
  client = cluster.client
})
after(() => cluster.stop())

async function define(group: string, plural: string, kind: string): Promise<ResourceRef> {
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } }
  const annotations = { 'api-approved.kubernetes.io': 'unapproved, for a test' }
  await client.create(CUSTOM_RESOURCE_DEFINITIONS, {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}`, annotations },
    spec: {
      group,
      scope: 'Namespaced',
      names: { plural, kind, singular: kind.toLowerCase(), listKind: `${kind}List` },
      versions: [{ name: 'v1beta1', served: true, storage: true, schema }],
    },
  } as never)
  const resource = { group, version: 'v1beta1', resource: plural, namespaced: true }
  await until(
    `${plural} are served`,
    () =>
      client.list(resource).then(
        () => true,
        () => false,
      ),
    WAIT_MS,
  )
  return resource
}

async function makeTarget(namespace: string, replicas: number): Promise<void> {
  await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
  const accounts = () => client.list(SERVICE_ACCOUNTS, { namespace })
  await until('the account', async () => (await accounts()).items.length > 0, WAIT_MS)
  const resources = { requests: { cpu: '100m' } }
  const template = {
    metadata: { labels: { app: 'web' } },
    spec: { containers: [{ name: 'c', image: 'i', resources }] },
  }
  await client.create(DEPLOYMENTS, {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace },
    spec: { replicas, selector: { matchLabels: { app: 'web' } }, template },
  })
  const pods = await until(
    'the pods',
    async () => {
      const { items } = await client.list<Pod>(PODS, { namespace })
      return items.length === replicas && items
    },
    WAIT_MS,
  )
  for (const pod of pods) await markReady(client, pod)
}

const makeAutoscaler = (namespace: string, spec: object) =>
  client.create<HorizontalPodAutoscaler>(HORIZONTAL_POD_AUTOSCALERS, {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: { name: 'web', namespace },
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
      minReplicas: 1,
      maxReplicas: 6,
      ...spec,
    },
  })

const untilReplicas = (namespace: string, count: number) =>
  until(
    `${count} replicas`,
    async () =>
      (await client.get<Deployment>(DEPLOYMENTS, { namespace, name: 'web' })).spec?.replicas === count,
    WAIT_MS,
  )

const untilCondition = (namespace: string, type: string, reason: string) =>
  until(
    `${type} ${reason}`,
    async () => {
      const found = await client.get<HorizontalPodAutoscaler>(HORIZONTAL_POD_AUTOSCALERS, {
        namespace,
        name: 'web',
      })
      return found.status?.conditions?.find(each => each.type === type && each.reason === reason) ?? false
    },
    WAIT_MS,
  )

const cpu = {
  type: 'Resource',
  resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } },
}
const external = {
  type: 'External',
  external: {
    metric: { name: 'queue-lengths', selector: { matchLabels: { queue: 'work' } } },
    target: { type: 'AverageValue', averageValue: '10' },
  },
}

test('without a metrics API the conditions say so, and nothing is scaled', async () => {
  await makeTarget('absent', 2)
  await makeAutoscaler('absent', { metrics: [cpu] })
  const able = await untilCondition('absent', 'AbleToScale', 'SucceededGetScale')
  assert.equal(able.message, "the HPA controller was able to get the target's current scale")
  const active = await untilCondition('absent', 'ScalingActive', 'FailedGetResourceMetric')
  assert.equal(
    active.message,
    'the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for ' +
      'resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested ' +
      'resource (get pods.metrics.k8s.io)',
  )
  await untilReplicas('absent', 2)
})

test('a target that is not there is told', async () => {
  const namespace = 'nobody'
  await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
  await makeAutoscaler(namespace, { metrics: [cpu] })
  const able = await untilCondition(namespace, 'AbleToScale', 'FailedGetScale')
  assert.equal(
    able.message,
    `the HPA controller was unable to get the target's current scale: deployments.apps "web" not found`,
  )
})

test('bounds are kept without metrics', async () => {
  await makeTarget('bounds', 1)
  await makeAutoscaler('bounds', { minReplicas: 3, metrics: [cpu] })
  await untilReplicas('bounds', 3)
  const { items } = await client.list<Event>(EVENTS, { namespace: 'bounds' })
  const event = items.find(each => each.reason === 'SuccessfulRescale')
  assert.equal(event?.message, 'New size: 3; reason: Current number of replicas below Spec.MinReplicas')
})

test('pods that use more than the target become more, up to the maximum', async () => {
  const podMetrics = await define('metrics.k8s.io', 'pods', 'PodMetrics')
  await makeTarget('busy', 2)
  const { items } = await client.list<Pod>(PODS, { namespace: 'busy' })
  for (const pod of items) {
    await client.create(podMetrics, {
      apiVersion: 'metrics.k8s.io/v1beta1',
      kind: 'PodMetrics',
      metadata: { name: pod.metadata.name ?? '', namespace: 'busy', labels: { app: 'web' } },
      timestamp: new Date(Date.now() + 3_600_000).toISOString(),
      window: '30s',
      containers: [{ name: 'c', usage: { cpu: '80m', memory: '1Mi' } }],
    } as never)
  }
  await makeAutoscaler('busy', { metrics: [cpu] })
  await untilCondition('busy', 'ScalingActive', 'ValidMetricFound')
  await untilReplicas('busy', 4)
  const found = await client.get<HorizontalPodAutoscaler>(HORIZONTAL_POD_AUTOSCALERS, {
    namespace: 'busy',
    name: 'web',
  })
  assert.equal(found.status?.currentMetrics?.[0]?.resource?.current.averageUtilization, 80)
  assert.ok(found.status?.lastScaleTime)
})

test('an external metric is shared between the replicas, and the policies limit the way down', async () => {
  const queues = await define('external.metrics.k8s.io', 'queue-lengths', 'ExternalMetricValue')
  const put = (value: string) => ({
    apiVersion: 'external.metrics.k8s.io/v1beta1',
    kind: 'ExternalMetricValue',
    metadata: { name: 'work', namespace: 'queue', labels: { queue: 'work' } },
    value,
  })
  await makeTarget('queue', 4)
  await client.create(queues, put('5') as never)
  const policies = [{ type: 'Pods', value: 1, periodSeconds: 60 }]
  const behavior = { scaleDown: { stabilizationWindowSeconds: 0, policies } }
  await makeAutoscaler('queue', { metrics: [external], behavior })
  const limited = await untilCondition('queue', 'ScalingLimited', 'ScaleDownLimit')
  assert.equal(limited.message, 'the desired replica count is decreasing faster than the maximum scale rate')
  await untilReplicas('queue', 1)
  await client.patch(queues, { namespace: 'queue', name: 'work', type: 'merge', patch: { value: '35' } })
  await untilReplicas('queue', 4)
})
