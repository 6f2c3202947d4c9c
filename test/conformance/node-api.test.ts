/** What conformance asks of sig-node's objects and of the lives of pods and nodes; pods are processes. */
import assert from 'node:assert/strict'
import test, { after, before, describe } from 'node:test'
import { at, itemsOf, type Namespace, named, nameOf, type Suite, startSuite } from '../support/conformance.ts'
import { GRPC_HEALTH_SERVER } from '../support/grpc-health.ts'
import { type Operated, tryOperations } from '../support/operations.ts'
import { until } from '../support/until.ts'

const WAIT_MS = 60_000
const DEVICES = 'resource.k8s.io'
const requests = { devices: { requests: [{ name: 'r', exactly: { deviceClassName: 'none' } }] } }
const devices = (resource: string, kind: string, namespaced: boolean, spec: object): Operated => ({
  ...{ group: DEVICES, resource, kind, namespaced },
  body: index => named(`${DEVICES}/v1`, kind, `e2e-${index}`, { spec }),
})

const operated: readonly (Operated & { readonly name: string })[] = [
  {
    name: 'CRUD Tests resource.k8s.io/v1 DeviceClass',
    ...devices('deviceclasses', 'DeviceClass', false, {}),
  },
  {
    name: 'CRUD Tests resource.k8s.io/v1 ResourceClaim',
    ...devices('resourceclaims', 'ResourceClaim', true, requests),
  },
  {
    name: 'CRUD Tests resource.k8s.io/v1 ResourceClaimTemplate',
    ...devices('resourceclaimtemplates', 'ResourceClaimTemplate', true, { spec: requests }),
  },
  {
    name: 'CRUD Tests resource.k8s.io/v1 ResourceSlice',
    ...devices('resourceslices', 'ResourceSlice', false, {
      ...{ driver: 'driver.example.com', nodeName: 'nowhere', devices: [{ name: 'one' }] },
      pool: { name: 'pool', generation: 1, resourceSliceCount: 1 },
    }),
  },
  {
    name: 'Lease lease API should be available',
    ...{ group: 'coordination.k8s.io', resource: 'leases', kind: 'Lease', namespaced: true },
    body: index =>
      named('coordination.k8s.io/v1', 'Lease', `e2e-${index}`, {
        spec: { holderIdentity: 'somebody', leaseDurationSeconds: 30, leaseTransitions: 0 },
      }),
  },
  {
    name: 'RuntimeClass should support RuntimeClasses API operations',
    ...{ group: 'node.k8s.io', resource: 'runtimeclasses', kind: 'RuntimeClass', namespaced: false },
    body: index => named('node.k8s.io/v1', 'RuntimeClass', `e2e-${index}`, { handler: 'somehow' }),
  },
  {
    name:
      'PodTemplates should run the lifecycle of PodTemplates; should delete a collection of pod templates; ' +
      'should replace a pod template',
    ...{ group: '', resource: 'podtemplates', kind: 'PodTemplate', namespaced: true },
    body: index => named('v1', 'PodTemplate', `e2e-${index}`, { template: { spec: staying() } }),
  },
  {
    name: 'ConfigMap should run through a ConfigMap lifecycle; should update ConfigMap successfully',
    ...{ group: '', resource: 'configmaps', kind: 'ConfigMap', namespaced: true },
    body: index => named('v1', 'ConfigMap', `e2e-${index}`, { data: { one: '1' } }),
  },
  {
    name: 'Secrets should patch a secret',
    ...{ group: '', resource: 'secrets', kind: 'Secret', namespaced: true },
    body: index => named('v1', 'Secret', `e2e-${index}`, { stringData: { one: '1' } }),
  },
]

/** The spec of a pod that waits, unless the container says otherwise. */
function staying(container: object = {}, spec: object = {}) {
  const main = { name: 'main', image: 'localhost/sleep', command: ['/bin/sleep', '3600'], ...container }
  return { terminationGracePeriodSeconds: 0, containers: [main], ...spec }
}

describe('[sig-node]', () => {
  let suite: Suite
  let home: Namespace
  before(async () => {
    suite = await startSuite()
    home = await suite.namespace('node')
  })
  after(() => suite?.cluster.remove())

  const pathOf = (name: string) => `${home.core('pods')}/${name}`
  const create = (name: string, spec: object = staying(), metadata: object = {}) =>
    suite.ok('POST', home.core('pods'), {
      ...named('v1', 'Pod', name, { spec }),
      metadata: { name, ...metadata },
    })
  const becomes = (name: string, path: string, wanted: RegExp) =>
    until(
      `${path} of ${name}`,
      async () => {
        const pod = await suite.ok('GET', pathOf(name))
        if (wanted.test(String(at(pod, path)))) return pod
        throw new Error(JSON.stringify(at(pod, 'status')))
      },
      WAIT_MS,
    )
  const gone = (name: string) =>
    until(`${name} is gone`, async () => !(await suite.exists(pathOf(name))), WAIT_MS)
  const patch = (name: string, body: object, part = '') =>
    suite.ok('PATCH', `${pathOf(name)}${part}`, body, 'strategic')

  for (const { name, ...one } of operated) test(name, () => tryOperations(suite, home, one))

  for (const [label, kind] of [
    ['ConfigMap should fail to create ConfigMap with empty key', 'ConfigMap'],
    ['Secrets should fail to create secret due to empty secret key', 'Secret'],
  ] as const) {
    test(label, async () => {
      const path = home.core(kind === 'Secret' ? 'secrets' : 'configmaps')
      const answer = await suite.refused(
        'POST',
        path,
        named('v1', kind, 'empty', { data: { '': 'dmFsdWU=' } }),
      )
      assert.equal(answer.status, 422)
      assert.match(answer.text, /data\[\]/)
    })
  }

  test('Pods should be submitted and removed; should be updated; should patch a pod status', async () => {
    const watch = await suite.watch(`${home.core('pods')}?watch=true&labelSelector=time=one`)
    await create('one', staying(), { labels: { time: 'one' } })
    await becomes('one', 'status.phase', /^Running$/)
    const relabelled = await patch('one', { metadata: { labels: { more: 'two' } } })
    assert.equal(at(relabelled, 'metadata.labels.more'), 'two')
    const conditions = [{ type: 'Patched', status: 'True', reason: 'ByTest' }]
    await patch('one', { status: { conditions } }, '/status')
    const pod = await suite.ok('GET', `${pathOf('one')}/status`)
    const found = itemsOf({ items: at(pod, 'status.conditions') })
    assert.ok(found.some(each => each['type'] === 'Patched' && each['reason'] === 'ByTest'))
    assert.ok(found.some(each => each['type'] === 'Ready'))
    await suite.ok('DELETE', pathOf('one'))
    await gone('one')
    for (const type of ['ADDED', 'MODIFIED', 'DELETED']) {
      await watch.find(type, event => event.type === type && nameOf(event.object) === 'one')
    }
    watch.close()
  })

  test('Pods should run through the lifecycle of Pods and PodStatus; should delete a collection of pods', async () => {
    const labels = { many: 'yes' }
    for (const name of ['many-1', 'many-2', 'many-3']) await create(name, staying(), { labels })
    const running = await becomes('many-1', 'status.phase', /^Running$/)
    const image = { spec: { containers: [{ name: 'main', image: 'localhost/other' }] } }
    await patch('many-1', image)
    await becomes('many-1', 'status.containerStatuses.0.image', /other/)
    const status = { ...(at(running, 'status') as object), message: 'replaced' }
    const current = await suite.ok('GET', pathOf('many-1'))
    const put = await suite.ok('PUT', `${pathOf('many-1')}/status`, { ...current, status })
    assert.equal(at(put, 'status.message'), 'replaced')
    await suite.ok('DELETE', `${home.core('pods')}?labelSelector=many=yes`)
    for (const name of ['many-1', 'many-2', 'many-3']) await gone(name)
  })

  test('Pods Extended (pod generation) Pod Generation pod generation should start at 1 and increment per update; custom-set generation on new pods and graceful delete', async () => {
    const made = await create('counted', staying(), { generation: 100, finalizers: ['example.com/hold'] })
    assert.equal(at(made, 'metadata.generation'), 1)
    const tolerations = [{ key: 'a', operator: 'Exists' }]
    assert.equal(at(await patch('counted', { spec: { tolerations } }), 'metadata.generation'), 2)
    const labelled = await patch('counted', { metadata: { labels: { a: 'b' } } })
    assert.equal(at(labelled, 'metadata.generation'), 2)
    await becomes('counted', 'status.observedGeneration', /^2$/)
    await suite.ok('DELETE', `${pathOf('counted')}?gracePeriodSeconds=1`)
    const deleted = await becomes('counted', 'metadata.generation', /^3$/)
    assert.ok(at(deleted, 'metadata.deletionTimestamp'))
    await patch('counted', { metadata: { '$deleteFromPrimitiveList/finalizers': ['example.com/hold'] } })
    await gone('counted')
  })

  test('Pods Extended (pod generation) Pod Generation issue 500 podspec updates and verify generation and observedGeneration eventually converge', async () => {
    const init = { name: 'first', image: 'localhost/true:0', command: ['/bin/true'] }
    await create('busy', staying({}, { initContainers: [init] }))
    const lane = async (first: number) => {
      for (let index = first; index < first + 50; index++) {
        const image = `localhost/true:${index}`
        await patch('busy', { spec: { initContainers: [{ name: 'first', image }] } })
      }
    }
    await Promise.all(Array.from({ length: 10 }, (_, index) => lane(1 + index * 50)))
    const pod = await becomes('busy', 'status.observedGeneration', /^501$/)
    assert.equal(at(pod, 'metadata.generation'), 501)
    await suite.ok('DELETE', pathOf('busy'))
  })

  test('RuntimeClass should schedule a Pod requesting a RuntimeClass and initialize its Overhead; without PodOverhead; should reject a Pod requesting a deleted RuntimeClass', async () => {
    const classes = '/apis/node.k8s.io/v1/runtimeclasses'
    const body = (name: string, rest: object) =>
      named('node.k8s.io/v1', 'RuntimeClass', name, { handler: 'process', ...rest })
    await suite.ok('POST', classes, body('heavy', { overhead: { podFixed: { cpu: '10m', memory: '1Mi' } } }))
    await suite.ok('POST', classes, body('light', {}))
    const heavy = await create('heavy', staying({}, { runtimeClassName: 'heavy' }))
    assert.deepEqual(at(heavy, 'spec.overhead'), { cpu: '10m', memory: '1Mi' })
    const light = await create('light', staying({}, { runtimeClassName: 'light' }))
    assert.equal(at(light, 'spec.overhead'), undefined)
    for (const name of ['heavy', 'light']) await becomes(name, 'spec.nodeName', /^node-1$/)
    await suite.ok('DELETE', `${classes}/light`)
    const pod = named('v1', 'Pod', 'late', { spec: staying({}, { runtimeClassName: 'light' }) })
    const answer = await until('its refusal', async () => {
      const refusal = await suite.api(home.core('pods'), { body: pod })
      if (refusal.status === 201) await suite.ok('DELETE', pathOf('late'))
      return refusal.status === 403 && refusal
    })
    assert.match(answer.text, /RuntimeClass \\"light\\" not found/)
  })

  test('Probing container should *not* be restarted with a GRPC liveness probe', async () => {
    const probe = { grpc: { port: 9_090 }, periodSeconds: 1 }
    const env = [{ name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }]
    const command = [process.execPath, '-e', GRPC_HEALTH_SERVER]
    const probes = { startupProbe: { ...probe, failureThreshold: 60 }, livenessProbe: probe }
    await create(
      'grpc',
      staying({ command, env, ...probes, readinessProbe: { ...probe, successThreshold: 3 } }),
    )
    const pod = await until(`it is ready`, async () => {
      const now = await suite.ok('GET', pathOf('grpc'))
      return at(now, 'status.containerStatuses.0.ready') === true && now
    })
    assert.equal(at(pod, 'status.containerStatuses.0.restartCount'), 0)
    await suite.ok('DELETE', pathOf('grpc'))
  })

  const tainted = (taints: object[]) =>
    suite.ok('PATCH', '/api/v1/nodes/node-1', { spec: { taints } }, 'merge')
  const EVICT = { key: 'evict', value: 'now', effect: 'NoExecute' }
  const tolerating = (tolerationSeconds: number) => [
    { key: 'evict', operator: 'Exists', effect: 'NoExecute', tolerationSeconds },
  ]

  test('NoExecuteTaintManager Single Pod removing taint cancels eviction; Multiple Pods evicts pods with minTolerationSeconds', async () => {
    await create('patient', staying({}, { tolerations: tolerating(6) }))
    await create('hasty', staying({}, { tolerations: tolerating(1) }))
    for (const name of ['patient', 'hasty']) await becomes(name, 'status.phase', /^Running$/)
    await tainted([EVICT])
    await gone('hasty')
    await tainted([])
    const { stdout } = await suite.cluster.mk8s([
      'kubectl',
      'wait',
      '--for=delete',
      'pod/patient',
      '-n',
      home.name,
      '--timeout=6s',
    ])
    assert.equal(stdout, '')
    const patient = await suite.ok('GET', pathOf('patient'))
    assert.equal(at(patient, 'metadata.deletionTimestamp'), undefined)
  })

  test('Node Lifecycle should run through the lifecycle of a node', async () => {
    const nodes = '/api/v1/nodes'
    const path = `${nodes}/e2e-fake`
    const labels = { 'e2e-fake': 'yes' }
    await suite.ok('POST', nodes, {
      ...named('v1', 'Node', 'e2e-fake'),
      metadata: { name: 'e2e-fake', labels },
    })
    assert.equal(itemsOf(await suite.ok('GET', `${nodes}?labelSelector=e2e-fake=yes`)).length, 1)
    const patched = await suite.ok('PATCH', path, { metadata: { annotations: { a: 'b' } } }, 'merge')
    assert.equal(at(patched, 'metadata.annotations.a'), 'b')
    const capacity = { 'example.com/thing': '3' }
    await suite.ok('PATCH', `${path}/status`, { status: { capacity } }, 'merge')
    const seen = await suite.ok('GET', path)
    assert.deepEqual(at(seen, 'status.capacity'), capacity)
    await suite.ok('DELETE', `${nodes}?labelSelector=e2e-fake=yes`)
    assert.equal(await suite.exists(path), false)
  })
})
