/** What conformance asks of sig-node's objects and of the lives of pods and nodes; pods are processes. */
import assert from 'node:assert/strict'
import test, { after, before, describe } from 'node:test'
import { at, itemsOf, type Namespace, named, nameOf, type Suite, startSuite } from '../support/conformance.ts'
import { GRPC_HEALTH_SERVER } from '../support/grpc-health.ts'
import { type Operated, tryOperations } from '../support/operations.ts'
import { until } from '../support/until.ts'
import { messagesOf, openWebsocket } from '../support/websocket.ts'

const WAIT_MS = 120_000
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
    name: 'PodTemplates should run the lifecycle of PodTemplates',
    ...{ group: '', resource: 'podtemplates', kind: 'PodTemplate', namespaced: true },
    body: index => named('v1', 'PodTemplate', `e2e-${index}`, { template: { spec: staying() } }),
  },
  {
    name: 'ConfigMap should run through a ConfigMap lifecycle',
    ...{ group: '', resource: 'configmaps', kind: 'ConfigMap', namespaced: true },
    body: index => named('v1', 'ConfigMap', `e2e-${index}`, { data: { one: '1' } }),
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

  test('ConfigMap should update ConfigMap successfully', async () => {
    const path = home.core('configmaps')
    const made = await suite.ok('POST', path, named('v1', 'ConfigMap', 'changed', { data: { one: '1' } }))
    await suite.ok('PUT', `${path}/changed`, { ...made, data: { one: 'uno' } })
    assert.deepEqual(at(await suite.ok('GET', `${path}/changed`), 'data'), { one: 'uno' })
    await suite.ok('DELETE', `${path}/changed`)
  })

  test('Secrets should patch a secret', async () => {
    const path = home.core('secrets')
    const labels = { patched: 'no' }
    const secret = named('v1', 'Secret', 'changed', { data: { key: 'dmFsdWU=' } })
    await suite.ok('POST', path, { ...secret, metadata: { name: 'changed', labels } })
    const patch = { metadata: { labels: { patched: 'yes' } }, data: { key: 'dmFsdWUx' } }
    await suite.ok('PATCH', `${path}/changed`, patch, 'strategic')
    const selected = `/api/v1/secrets?labelSelector=patched=yes`
    const [found] = itemsOf(await suite.ok('GET', selected))
    assert.deepEqual(at(found, 'data'), { key: 'dmFsdWUx' })
    await suite.ok('DELETE', `${path}?labelSelector=patched=yes`)
    assert.deepEqual(itemsOf(await suite.ok('GET', selected)), [])
  })

  test('PodTemplates should delete a collection of pod templates', async () => {
    const path = home.core('podtemplates')
    const metadata = (index: number) => ({ name: `set-${index}`, labels: { set: 'yes' } })
    for (const index of [1, 2, 3]) {
      const template = named('v1', 'PodTemplate', '', { template: { spec: staying() } })
      await suite.ok('POST', path, { ...template, metadata: metadata(index) })
    }
    const selected = `${path}?labelSelector=set=yes`
    assert.equal(itemsOf(await suite.ok('GET', selected)).length, 3)
    await suite.ok('DELETE', selected)
    assert.deepEqual(itemsOf(await suite.ok('GET', selected)), [])
  })

  test('PodTemplates should replace a pod template', async () => {
    const path = home.core('podtemplates')
    const body = named('v1', 'PodTemplate', 'replaced', { template: { spec: staying() } })
    const made = await suite.ok('POST', path, body)
    const metadata = { ...(at(made, 'metadata') as object), annotations: { updated: 'true' } }
    await suite.ok('PUT', `${path}/replaced`, {
      ...{ ...made, metadata },
      template: { spec: staying({ image: 'localhost/other' }) },
    })
    const found = await suite.ok('GET', `${path}/replaced`)
    assert.equal(at(found, 'metadata.annotations.updated'), 'true')
    assert.equal(at(found, 'template.spec.containers.0.image'), 'localhost/other')
    await suite.ok('DELETE', `${path}/replaced`)
  })

  test('Pods should be submitted and removed', async () => {
    const watch = await suite.watch(`${home.core('pods')}?watch=true&labelSelector=time=one`)
    await create('one', staying(), { labels: { time: 'one' } })
    assert.equal(itemsOf(await suite.ok('GET', `${home.core('pods')}?labelSelector=time=one`)).length, 1)
    await becomes('one', 'status.phase', /^Running$/)
    await suite.ok('DELETE', pathOf('one'))
    await gone('one')
    for (const type of ['ADDED', 'MODIFIED', 'DELETED']) {
      await watch.find(type, event => event.type === type && nameOf(event.object) === 'one')
    }
    watch.close()
  })

  test('Pods should be updated', async () => {
    await create('updated', staying(), { labels: { time: 'first' } })
    await becomes('updated', 'status.phase', /^Running$/)
    await until('an update that no status came before', async () => {
      const pod = await suite.ok('GET', pathOf('updated'))
      const metadata = { ...(at(pod, 'metadata') as object), labels: { time: 'second' } }
      return (
        (await suite.api(pathOf('updated'), { method: 'PUT', body: { ...pod, metadata } })).status === 200
      )
    })
    const found = itemsOf(await suite.ok('GET', `${home.core('pods')}?labelSelector=time=second`))
    assert.deepEqual(found.map(nameOf), ['updated'])
    await suite.ok('DELETE', pathOf('updated'))
  })

  test('Pods should patch a pod status', async () => {
    await create('told')
    await becomes('told', 'status.phase', /^Running$/)
    const conditions = [{ type: 'Patched', status: 'True', reason: 'ByTest' }]
    await patch('told', { status: { conditions } }, '/status')
    const pod = await suite.ok('GET', `${pathOf('told')}/status`)
    const found = itemsOf({ items: at(pod, 'status.conditions') })
    assert.ok(found.some(each => each['type'] === 'Patched' && each['reason'] === 'ByTest'))
    assert.ok(found.some(each => each['type'] === 'Ready'))
    await suite.ok('DELETE', pathOf('told'))
  })

  test('Pods should delete a collection of pods', async () => {
    const names = ['many-1', 'many-2', 'many-3']
    for (const name of names) await create(name, staying(), { labels: { many: 'yes' } })
    for (const name of names) await becomes(name, 'status.phase', /^Running$/)
    await suite.ok('DELETE', `${home.core('pods')}?labelSelector=many=yes`)
    for (const name of names) await gone(name)
  })

  test('Pods should run through the lifecycle of Pods and PodStatus', async () => {
    await create('lives')
    const running = await becomes('lives', 'status.phase', /^Running$/)
    await patch('lives', { spec: { containers: [{ name: 'main', image: 'localhost/other' }] } })
    await becomes('lives', 'status.containerStatuses.0.image', /other/)
    const status = { ...(at(running, 'status') as object), message: 'replaced' }
    const current = await suite.ok('GET', pathOf('lives'))
    const put = await suite.ok('PUT', `${pathOf('lives')}/status`, { ...current, status })
    assert.equal(at(put, 'status.message'), 'replaced')
    await suite.ok('DELETE', pathOf('lives'))
    await gone('lives')
  })

  test('Pods should support remote command execution over websockets', async () => {
    await create('remote')
    await becomes('remote', 'status.phase', /^Running$/)
    const query = 'command=/bin/cat&command=/etc/resolv.conf&container=main&stdout=1&stderr=1'
    const path = `${pathOf('remote')}/exec?${query}`
    const messages = await messagesOf(openWebsocket(suite.cluster.kubeconfig, path, ['channel.k8s.io']))
    const output = messages.filter(message => message[0] === 1).map(message => message.subarray(1))
    assert.match(Buffer.concat(output).toString(), /nameserver/)
    await suite.ok('DELETE', pathOf('remote'))
  })

  test('Pods should support retrieving logs from the container over websockets', async () => {
    const command = ['/bin/sh', '-c', 'echo container is alive; exec sleep 3600']
    await create('speaks', staying({ command }))
    await until('it has spoken', async () =>
      (await suite.api(`${pathOf('speaks')}/log`)).text.includes('alive'),
    )
    const read = (query: string, protocols: string[]) =>
      messagesOf(openWebsocket(suite.cluster.kubeconfig, `${pathOf('speaks')}/log${query}`, protocols))
    const plain = await read('?container=main', ['binary.k8s.io'])
    assert.equal(plain[0]?.length, 0)
    assert.equal(Buffer.concat(plain).toString(), 'container is alive\n')
    const encoded = Buffer.concat(await read('', ['unknown', 'base64.binary.k8s.io'])).toString()
    assert.equal(Buffer.from(encoded, 'base64').toString(), 'container is alive\n')
    await assert.rejects(read('', ['unknown']), /400/)
    await assert.rejects(read('?container=other', []), /400/)
    const following = read('?follow=true', [])
    await suite.ok('DELETE', pathOf('speaks'))
    assert.equal(Buffer.concat(await following).toString(), 'container is alive\n')
  })

  test('events of a watch come as messages of a websocket', async () => {
    const path = `${home.core('configmaps')}?watch=true&fieldSelector=metadata.name=seen&timeoutSeconds=600`
    const socket = openWebsocket(suite.cluster.kubeconfig, path)
    const types: string[] = []
    socket.on('message', data => {
      const { type, object } = JSON.parse(String(data))
      assert.equal(nameOf(object), 'seen')
      types.push(type)
    })
    await until('it is open', () => socket.readyState === socket.OPEN)
    const made = { ...named('v1', 'ConfigMap', 'seen'), data: { text: 'a\nb'.repeat(20_000) } }
    await suite.ok('POST', home.core('configmaps'), made)
    await suite.ok('DELETE', `${home.core('configmaps')}/seen`)
    await until('both events', () => types.join() === 'ADDED,DELETED')
    socket.close()
  })

  test('Pods Extended (pod generation) Pod Generation pod generation should start at 1 and increment per update', async () => {
    assert.equal(at(await create('counted'), 'metadata.generation'), 1)
    const tolerations = [{ key: 'a', operator: 'Exists' }]
    assert.equal(at(await patch('counted', { spec: { tolerations } }), 'metadata.generation'), 2)
    const labelled = await patch('counted', { metadata: { labels: { a: 'b' } } })
    assert.equal(at(labelled, 'metadata.generation'), 2)
    await becomes('counted', 'status.observedGeneration', /^2$/)
    await suite.ok('DELETE', pathOf('counted'))
  })

  test('Pods Extended (pod generation) Pod Generation custom-set generation on new pods and graceful delete', async () => {
    const made = await create('set', staying(), { generation: 100, finalizers: ['example.com/hold'] })
    assert.equal(at(made, 'metadata.generation'), 1)
    await suite.ok('DELETE', `${pathOf('set')}?gracePeriodSeconds=1`)
    const deleted = await becomes('set', 'metadata.generation', /^2$/)
    assert.ok(at(deleted, 'metadata.deletionTimestamp'))
    await patch('set', { metadata: { '$deleteFromPrimitiveList/finalizers': ['example.com/hold'] } })
    await gone('set')
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

  const runtimeClass = (name: string, rest: object = {}) =>
    suite.ok(
      'POST',
      '/apis/node.k8s.io/v1/runtimeclasses',
      named('node.k8s.io/v1', 'RuntimeClass', name, { handler: 'process', ...rest }),
    )
  const ofClass = (name: string) => create(name, staying({}, { runtimeClassName: name }))

  test('RuntimeClass should schedule a Pod requesting a RuntimeClass and initialize its Overhead', async () => {
    await runtimeClass('heavy', { overhead: { podFixed: { cpu: '10m', memory: '1Mi' } } })
    assert.deepEqual(at(await ofClass('heavy'), 'spec.overhead'), { cpu: '10m', memory: '1Mi' })
    await becomes('heavy', 'spec.nodeName', /^node-1$/)
  })

  test('RuntimeClass should schedule a Pod requesting a RuntimeClass without PodOverhead', async () => {
    await runtimeClass('light')
    assert.equal(at(await ofClass('light'), 'spec.overhead'), undefined)
    await becomes('light', 'status.phase', /^Running$/)
  })

  test('RuntimeClass should reject a Pod requesting a deleted RuntimeClass', async () => {
    await runtimeClass('brief')
    await suite.ok('DELETE', '/apis/node.k8s.io/v1/runtimeclasses/brief')
    const pod = named('v1', 'Pod', 'late', { spec: staying({}, { runtimeClassName: 'brief' }) })
    const answer = await until('its refusal', async () => {
      const refusal = await suite.api(home.core('pods'), { body: pod })
      if (refusal.status === 201) await suite.ok('DELETE', pathOf('late'))
      return refusal.status === 403 && refusal
    })
    assert.match(answer.text, /RuntimeClass \\"brief\\" not found/)
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
    const pod = await becomes('grpc', 'status.containerStatuses.0.ready', /^true$/)
    assert.equal(at(pod, 'status.containerStatuses.0.restartCount'), 0)
    await suite.ok('DELETE', pathOf('grpc'))
  })

  const tainted = (taints: object[]) =>
    suite.ok('PATCH', '/api/v1/nodes/node-1', { spec: { taints } }, 'merge')
  const EVICT = { key: 'evict', value: 'now', effect: 'NoExecute' }
  const tolerating = (tolerationSeconds: number) => [
    { key: 'evict', operator: 'Exists', effect: 'NoExecute', tolerationSeconds },
  ]

  test('NoExecuteTaintManager Multiple Pods evicts pods with minTolerationSeconds', async () => {
    await create('patient', staying({}, { tolerations: tolerating(600) }))
    await create('hasty', staying({}, { tolerations: tolerating(1) }))
    for (const name of ['patient', 'hasty']) await becomes(name, 'status.phase', /^Running$/)
    await tainted([EVICT])
    await gone('hasty')
    await tainted([])
    assert.equal(at(await suite.ok('GET', pathOf('patient')), 'metadata.deletionTimestamp'), undefined)
    await suite.ok('DELETE', pathOf('patient'))
  })

  test('NoExecuteTaintManager Single Pod removing taint cancels eviction', async () => {
    await create('kept', staying({}, { tolerations: tolerating(3) }))
    await create('clock', staying({}, { tolerations: tolerating(1) }))
    for (const name of ['kept', 'clock']) await becomes(name, 'status.phase', /^Running$/)
    await tainted([EVICT])
    await gone('clock')
    await tainted([])
    const waiting = ['kubectl', 'wait', '--for=delete', 'pod/kept', '-n', home.name, '--timeout=4s']
    const { stdout } = await suite.cluster.mk8s(waiting)
    assert.equal(stdout, '')
    assert.equal(at(await suite.ok('GET', pathOf('kept')), 'metadata.deletionTimestamp'), undefined)
    await suite.ok('DELETE', pathOf('kept'))
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
