/**
 * Horizontal pod autoscalers as operators have them: made and told by kubectl, over metrics APIs that an extension API
 * server serves behind its APIServices.
 */
import assert from 'node:assert/strict'
import test, { after, before } from 'node:test'
import { at, itemsOf, named, nameOf, type Suite, startSuite, waiting } from '../support/conformance.ts'
import { until } from '../support/until.ts'
import { startWebhookServer, type WebhookServer } from '../support/webhook-server.ts'

const NAMESPACE = 'scaled'
const ADAPTER = 'adapter.scaled.svc'
const WAIT_MS = 120_000
const HOUR_MS = 3_600_000
const SERVED = ['metrics.k8s.io', 'custom.metrics.k8s.io', 'external.metrics.k8s.io']

let suite: Suite
let adapter: WebhookServer
/** Names of the pods that the adapter knows. */
let podNames: readonly string[] = []

before(async () => {
  adapter = await startWebhookServer(answer, [ADAPTER])
  suite = await startSuite()
  await suite.kubectl.ok(['create', 'namespace', NAMESPACE])
  await apply(
    named('v1', 'Service', 'adapter', { spec: { ports: [{ port: 443, targetPort: adapter.port }] } }),
    slice(adapter.port),
    ...SERVED.map(apiService),
  )
  for (const group of SERVED) {
    await suite.kubectl.ok([
      'wait',
      `apiservice/v1beta1.${group}`,
      '--for=condition=Available',
      '--timeout=60s',
    ])
  }
})
after(async () => {
  await suite?.cluster.remove()
  await adapter?.close()
})

const apply = (...items: object[]) =>
  suite.kubectl.ok(['apply', '-n', NAMESPACE, '-f', '-'], {
    input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
  })

const slice = (port: number) => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: 'adapter', labels: { 'kubernetes.io/service-name': 'adapter' } },
  addressType: 'IPv4',
  endpoints: [{ addresses: ['127.0.0.1'] }],
  ports: [{ name: '', port }],
})

const apiService = (group: string) =>
  named('apiregistration.k8s.io/v1', 'APIService', `v1beta1.${group}`, {
    spec: {
      group,
      version: 'v1beta1',
      service: { name: 'adapter', namespace: NAMESPACE },
      groupPriorityMinimum: 100,
      versionPriority: 100,
      caBundle: adapter.caBundle,
    },
  })

/** What metrics-server and an adapter for custom and external metrics answer. */
function answer(path: string): { status?: number; body: unknown } {
  const [, , group = '', version = '', , , ...rest] = path.split('/')
  const list = (kind: string, items: object[]) => ({
    body: { apiVersion: `${group}/${version}`, kind, metadata: {}, items },
  })
  const timestamp = new Date(Date.now() + HOUR_MS).toISOString()
  if (rest.length === 0) {
    return {
      body: { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: `${group}/v1beta1`, resources: [] },
    }
  }
  if (group === 'metrics.k8s.io') {
    const containers = [{ name: 'c', usage: { cpu: '80m', memory: '40Mi' } }]
    return list(
      'PodMetricsList',
      podNames.map(name => ({
        metadata: { name, namespace: NAMESPACE },
        timestamp,
        window: '30s',
        containers,
      })),
    )
  }
  if (rest.join('/') === 'pods/*/requests') {
    const describe = (name: string) => ({ kind: 'Pod', name, namespace: NAMESPACE })
    return list(
      'MetricValueList',
      podNames.map(name => ({ describedObject: describe(name), timestamp, value: '30' })),
    )
  }
  if (rest.join('/') === 'queue') return list('ExternalMetricValueList', [{ timestamp, value: '25' }])
  const message = `the server could not find the metric ${rest.at(-1)} for pods`
  return {
    status: 404,
    body: { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'NotFound', code: 404, message },
  }
}

/** A deployment whose pods run and are known to the adapter. */
async function run(name: string, replicas: number): Promise<void> {
  const { metadata, spec } = waiting({ app: name })
  const [container] = spec.containers
  const resources = { requests: { cpu: '100m', memory: '20Mi' } }
  const template = { metadata, spec: { ...spec, containers: [{ ...container, resources }] } }
  const selector = { matchLabels: { app: name } }
  await apply(named('apps/v1', 'Deployment', name, { spec: { replicas, selector, template } }))
  await suite.kubectl.ok(['rollout', 'status', `deployment/${name}`, '-n', NAMESPACE, '--timeout=60s'])
  const pods = await suite.kubectl.json(['get', 'pods', '-n', NAMESPACE, '-l', `app=${name}`])
  podNames = itemsOf(pods).map(nameOf)
}

const autoscaler = (name: string, target: string, ...metrics: object[]) =>
  apply(
    named('autoscaling/v2', 'HorizontalPodAutoscaler', name, {
      spec: {
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: target },
        maxReplicas: 3,
        metrics,
      },
    }),
  )

const describedOnce = (name: string, text: string) =>
  until(
    `${name} tells: ${text}`,
    async () => {
      const described = await suite.kubectl.ok(['describe', 'hpa', name, '-n', NAMESPACE])
      return described.includes(text) && described
    },
    WAIT_MS,
  )

const replicasBecome = (name: string, count: number) =>
  suite.kubectl.ok([
    'wait',
    `deployment/${name}`,
    '-n',
    NAMESPACE,
    `--for=jsonpath={.spec.replicas}=${count}`,
    '--timeout=60s',
  ])

test('kubectl autoscale scales by what pods use of their request, and describe tells how', async () => {
  await run('busy', 1)
  const options = ['-n', NAMESPACE, '--min=1', '--max=3', '--cpu=50%']
  await suite.kubectl.ok(['autoscale', 'deployment', 'busy', ...options])
  await replicasBecome('busy', 2)
  const described = await describedOnce('busy', 'New size: 2')
  assert.match(described, /resource cpu on pods\s+\(as a percentage of request\):\s+80% \(80m\) \/ 50%/)
  assert.match(
    described,
    /New size: 2; reason: cpu resource utilization \(percentage of request\) above target/,
  )
  assert.match(await suite.kubectl.ok(['get', 'hpa', 'busy', '-n', NAMESPACE]), /cpu: 80%\/50%\s+1\s+3\s/)
})

test('one container of a pod may decide', async () => {
  await run('boxed', 1)
  const target = { type: 'Utilization', averageUtilization: 100 }
  const containerResource = { name: 'memory', container: 'c', target }
  await autoscaler('boxed', 'boxed', { type: 'ContainerResource', containerResource })
  await replicasBecome('boxed', 2)
  await describedOnce(
    'boxed',
    'New size: 2; reason: memory container resource utilization (percentage of request) above target',
  )
})

test('custom metrics of pods decide; what the adapter does not know is told in its words', async () => {
  await run('asked', 1)
  const target = { type: 'AverageValue', averageValue: '10' }
  const pods = (name: string) => ({ type: 'Pods', pods: { metric: { name }, target } })
  await autoscaler('asked', 'asked', pods('requests'))
  await replicasBecome('asked', 3)
  await describedOnce('asked', 'reason: pods metric requests above target')

  await run('silent', 1)
  await autoscaler('silent', 'silent', pods('nothing'))
  await describedOnce(
    'silent',
    'the HPA was unable to compute the replica count: unable to get metric nothing: unable to fetch metrics from ' +
      'custom metrics API: the server could not find the metric nothing for pods',
  )
})

test('external metrics decide, chosen by their labels; without their API the conditions say so', async () => {
  await run('queued', 1)
  const external = (type: 'Value' | 'AverageValue') => ({
    metric: { name: 'queue', selector: { matchLabels: { of: 'work' } } },
    target: type === 'Value' ? { type, value: '10' } : { type, averageValue: '10' },
  })
  await autoscaler('queued', 'queued', { type: 'External', external: external('AverageValue') })
  await replicasBecome('queued', 3)
  assert.ok(adapter.calls.some(({ path }) => path.endsWith('/queue?labelSelector=of%3Dwork')))

  await apply(slice(1))
  await suite.kubectl.ok([
    'wait',
    'apiservice/v1beta1.external.metrics.k8s.io',
    '--for=condition=Available=False',
    '--timeout=60s',
  ])
  await run('lost', 1)
  await autoscaler('lost', 'lost', { type: 'External', external: external('Value') })
  await describedOnce(
    'lost',
    `unable to get external metric ${NAMESPACE}/queue/&LabelSelector{MatchLabels:map[string]string{of: work,},` +
      'MatchExpressions:[]LabelSelectorRequirement{},}: unable to fetch metrics from external metrics API: ' +
      'the server is currently unable to handle the request (get queue.external.metrics.k8s.io)',
  )
})

test('pods that two autoscalers would scale are scaled by neither', async () => {
  await run('shared', 1)
  const target = { type: 'Utilization', averageUtilization: 1000 }
  const metric = { type: 'Resource', resource: { name: 'cpu', target } }
  await autoscaler('shared-a', 'shared', metric)
  await until('the first was looked at', async () => {
    const found = await suite.kubectl.json(['get', 'hpa', 'shared-a', '-n', NAMESPACE])
    return at(found, 'status.conditions') !== undefined
  })
  await autoscaler('shared-b', 'shared', metric)
  const text =
    'pods by selector app=shared are controlled by multiple HPAs: [scaled/shared-a scaled/shared-b]'
  const described = await describedOnce('shared-b', text)
  assert.match(described, /ScalingActive\s+False\s+AmbiguousSelector/)
})
