/** What the kubelet's port tells, who may ask it, and the metrics API that is made of it. */
import assert from 'node:assert/strict'
import { request } from 'node:https'
import { after, before, describe, test } from 'node:test'
import { at, itemsOf, named, nameOf, type Suite, startSuite } from '../support/conformance.ts'
import { until } from '../support/until.ts'

const busy = 'while :; do i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done; sleep 0.05; done'
const pod = named('v1', 'Pod', 'busy', {
  spec: {
    terminationGracePeriodSeconds: 1,
    containers: [
      {
        ...{ name: 'loop', image: 'localhost/sh', command: ['sh', '-c', busy] },
        readinessProbe: { exec: { command: ['true'] }, periodSeconds: 1 },
      },
    ],
  },
})

describe('the kubelet port', () => {
  let suite: Suite

  before(async () => {
    suite = await startSuite()
    await suite.ok('POST', '/api/v1/namespaces/default/pods', pod)
    await suite.kubectl.ok(['wait', '--for=condition=Ready', 'pod/busy', '--timeout=120s'])
  })
  after(() => suite?.cluster.remove())

  const nodeName = async () => nameOf(itemsOf(await suite.ok('GET', '/api/v1/nodes'))[0])
  const node = async () => suite.ok('GET', `/api/v1/nodes/${await nodeName()}`)
  const proxied = async (path: string) => suite.api(`/api/v1/nodes/${await nodeName()}/proxy${path}`)

  test('the summary has the node and each container with its usage', async () => {
    const summary = await suite.ok('GET', `/api/v1/nodes/${await nodeName()}/proxy/stats/summary`)
    assert.ok(Number(at(summary, 'node.memory.workingSetBytes')) > 0)
    assert.ok(Number(at(summary, 'node.fs.capacityBytes')) > 0)
    const pods = at(summary, 'pods') as { podRef: { name: string }; containers: object[] }[]
    const own = pods.find(({ podRef }) => podRef.name === 'busy')
    assert.equal(at(own?.containers[0], 'name'), 'loop')
    assert.ok(Number(at(own?.containers[0], 'memory.workingSetBytes')) > 0)
    assert.ok(Number(at(own?.containers[0], 'cpu.usageCoreNanoSeconds')) > 0)
  })

  test('metrics, pods and configuration are told under their paths', async () => {
    const resource = String((await proxied('/metrics/resource')).text)
    assert.match(
      resource,
      /container_cpu_usage_seconds_total\{container="loop",namespace="default",pod="busy"\} \d/,
    )
    assert.match(resource, /node_memory_working_set_bytes \d/)
    assert.match(
      String((await proxied('/metrics/cadvisor')).text),
      /container_memory_working_set_bytes\{container="loop"/,
    )
    const own = String((await proxied('/metrics')).text)
    assert.match(own, /^kubelet_running_containers\{container_state="running"\} 1$/m)
    const probed = 'container="loop",namespace="default",pod="busy",pod_uid="[^"]+",probe_type="Readiness"'
    const probes = String((await proxied('/metrics/probes')).text)
    assert.match(probes, new RegExp(`^prober_probe_total\\{${probed},result="successful"\\} [1-9]`, 'm'))
    assert.equal(String((await proxied('/healthz/syncloop')).text), 'ok')
    const path = `/api/v1/nodes/${await nodeName()}/proxy`
    assert.equal(at(await suite.ok('GET', `${path}/configz`), 'kubeletconfig.maxPods'), 110)
    const running = itemsOf(await suite.ok('GET', `${path}/runningpods/`))
    assert.deepEqual(running.map(nameOf), ['busy'])
  })

  test('logs of the machine are listed and read, and a container that cannot be checkpointed says so', async () => {
    const path = `/api/v1/nodes/${await nodeName()}/proxy`
    assert.match(await suite.kubectl.ok(['get', '--raw', `${path}/logs/`]), /<pre>\n(<a href=.*\n)*<\/pre>/)
    assert.equal((await proxied('/logs/no-such-file')).status, 404)
    assert.equal((await proxied('/logs/..%2f..%2fetc%2fpasswd')).status, 404)
    assert.equal(String((await proxied('/healthz')).text), 'ok')
    const names = itemsOf(await suite.ok('GET', `${path}/pods`)).map(nameOf)
    assert.deepEqual(names, ['busy'])
    const refused = await suite.api(`${path}/checkpoint/default/busy/loop`, { method: 'POST' })
    assert.equal(refused.status, 500)
    assert.match(
      String(refused.text),
      /checkpointing of default\/busy\/loop failed \(the runtime process cannot/,
    )
  })

  test('kubectl top shows nodes and pods, also of one label', async () => {
    const nodes = await suite.kubectl.ok(['top', 'nodes', '--no-headers'])
    assert.match(nodes, /^\S+\s+\d+m\s+\d+%\s+\d+Mi\s+\d+%/)
    const pods = await until('usage of the pod', async () => {
      const text = await suite.kubectl.ok(['top', 'pods', '--containers', '--no-headers'])
      return /busy\s+loop\s+[1-9]\d*m\s+\d+Mi/.test(text) ? text : null
    })
    assert.equal(pods.trim().split('\n').length, 1)
    const list = await suite.ok(
      'GET',
      '/apis/metrics.k8s.io/v1beta1/namespaces/default/pods?labelSelector=a%3Db',
    )
    assert.deepEqual(itemsOf(list), [])
    const missing = await suite.refused('GET', '/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/none')
    assert.equal(missing.status, 404)
  })

  test('the metrics API is part of discovery and has an APIService', async () => {
    assert.match(
      await suite.kubectl.ok(['api-resources', '--api-group=metrics.k8s.io']),
      /NodeMetrics[\s\S]*PodMetrics/,
    )
    const service = await suite.ok(
      'GET',
      '/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io',
    )
    assert.equal(at(service, 'spec.service'), undefined)
  })

  test('a service account gets what its role says, and others nothing', async () => {
    await suite.ok(
      'POST',
      '/api/v1/namespaces/default/serviceaccounts',
      named('v1', 'ServiceAccount', 'reader'),
    )
    const role = { rules: [{ apiGroups: [''], resources: ['nodes/metrics'], verbs: ['get'] }] }
    const rbac = 'rbac.authorization.k8s.io/v1'
    await suite.ok('POST', `/apis/${rbac}/clusterroles`, named(rbac, 'ClusterRole', 'scrape', role))
    const binding = {
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'scrape' },
      subjects: [{ kind: 'ServiceAccount', name: 'reader', namespace: 'default' }],
    }
    await suite.ok(
      'POST',
      `/apis/${rbac}/clusterrolebindings`,
      named(rbac, 'ClusterRoleBinding', 'scrape', binding),
    )
    const token = (await suite.kubectl.ok(['create', 'token', 'reader'])).trim()
    const [address] = at(await node(), 'status.addresses') as { address: string }[]
    const port = Number(at(await node(), 'status.daemonEndpoints.kubeletEndpoint.Port'))
    const ask = (path: string, headers: Record<string, string> = {}) =>
      new Promise<number>((resolve, reject) => {
        const host = address?.address ?? ''
        const sent = request(
          { host, port, path, headers, rejectUnauthorized: false, agent: false },
          answer => {
            answer.resume()
            resolve(answer.statusCode ?? 0)
          },
        )
        sent.on('error', reject)
        sent.end()
      })
    const authorization = `Bearer ${token}`
    assert.equal(await ask('/metrics/resource', { authorization }), 200)
    assert.equal(await ask('/stats/summary', { authorization }), 403)
    assert.equal(await ask('/pods', { authorization }), 403)
    assert.equal(await ask('/pods', { authorization: 'Bearer nonsense' }), 401)
    assert.equal(await ask('/pods'), 401)
    assert.equal(await ask('/healthz'), 200)
  })
})
