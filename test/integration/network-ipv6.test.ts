/** A cluster of IPv6 alone with real containers: nobody in it has an address of IPv4 but loopback. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type ContainerCluster, IMAGE, startContainerCluster } from '../support/container-cluster.ts'
import { realRuntimes } from '../support/oci.ts'
import { until } from '../support/until.ts'

const NETWORKS = ['--pod-cidr', 'fd00:1::/48', '--service-cidr', 'fd00:2::/112']
const SCRIPT = 'mkdir /www; hostname >/www/index.html; exec httpd -f -p 8080 -h /www'
const tried = realRuntimes().toReversed()
const { runtime = '', why } = tried.find(each => each.why === undefined) ?? tried[0] ?? {}

const pod = (name: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels: { app: name } },
  spec: {
    terminationGracePeriodSeconds: 0,
    containers: [
      {
        ...{ name: 'c', image: IMAGE, command: ['sh', '-c', SCRIPT] },
        ports: [{ containerPort: 8080, ...(name === 'web' && { hostPort: 54_321 }) }],
        readinessProbe: { httpGet: { port: 8080 }, periodSeconds: 1 },
      },
    ],
  },
})
const service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web' },
  spec: {
    type: 'NodePort',
    selector: { app: 'web' },
    ports: [{ port: 80, targetPort: 8080, nodePort: 30_080 }],
  },
}
const policy = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'closed' },
  spec: { podSelector: { matchLabels: { app: 'web' } }, ingress: [] },
}

describe(`IPv6 alone with ${runtime}`, { skip: why ?? false }, () => {
  let cluster: ContainerCluster
  const kubectl = (...args: string[]) => cluster.kubectl.ok(args)
  const fieldOf = (object: string, path: string) => kubectl('get', object, '-o', `jsonpath={${path}}`)
  const fromPod = async (url: string) =>
    (await cluster.kubectl.try(['exec', 'asker', '--', 'timeout', '3', 'wget', '-qO-', url])).stdout.trim()
  const fromNode = async (url: string) =>
    (await cluster.inside('timeout', ['3', '/bin/busybox', 'wget', '-qO-', url])).stdout.trim()

  before(async () => {
    cluster = await startContainerCluster(runtime, 'six', NETWORKS, 'IPv6')
    await cluster.apply(pod('web'), pod('asker'), service)
    await kubectl('wait', '--for=condition=Ready', 'pod', '--all', '--timeout=120s')
  })
  after(async () => {
    if (cluster === undefined) return
    await cluster.uninstall()
    const { stdout } = await cluster.inside('ip', ['-6', 'addr', 'show', 'dev', 'lo'])
    await cluster.remove()
    assert.doesNotMatch(stdout, /fd00:2::/)
  })

  test('the node, its pods, Services and the API have addresses of IPv6', async () => {
    const { address6 } = cluster.namespace
    assert.equal(await fieldOf('node/n1', '.status.addresses[?(@.type=="InternalIP")].address'), address6)
    assert.equal(await fieldOf('node/n1', '.spec.podCIDRs'), '["fd00:1::/64"]')
    assert.match(await fieldOf('pod/web', '.status.podIPs'), /^\[\{"ip":"fd00:1::[0-9a-f]+"\}\]$/)
    assert.equal(await fieldOf('service/kubernetes', '.spec.clusterIPs'), '["fd00:2::1"]')
    assert.equal(await fieldOf('service/web', '.spec.ipFamilies'), '["IPv6"]')
    assert.equal(await fieldOf('endpointslice/kubernetes', '.endpoints[*].addresses[*]'), address6)
    const refused = await cluster.kubectl.try(['create', '-f', '-'], {
      input: JSON.stringify({
        ...service,
        metadata: { name: 'old' },
        spec: { ...service.spec, ipFamilies: ['IPv4'] },
      }),
    })
    assert.match(
      refused.stderr,
      /spec\.ipFamilies\[0\]: Invalid value: "IPv4": not configured on this cluster/,
    )
  })

  test('names and Services lead pods and the node to it, node ports and host ports those from outside', async () => {
    const { address6 } = cluster.namespace
    const clusterIp = await fieldOf('service/web', '.spec.clusterIP')
    await until('its name', async () => (await fromPod('http://web/')) === 'web')
    for (const url of [`http://[${clusterIp}]/`, `http://[${address6}]:30080/`]) {
      assert.equal(await fromPod(url), 'web', url)
      assert.equal(await fromNode(url), 'web', url)
    }
    assert.equal(await fromNode(`http://[${address6}]:54321/`), 'web')
    assert.match(await kubectl('exec', 'asker', '--', 'nslookup', clusterIp), /name = web\.default\.svc/)
  })

  test('exec, logs, forwarded ports and proxies reach the kubelet and the pods', async () => {
    assert.equal((await kubectl('exec', 'web', '--', 'hostname')).trim(), 'web')
    const proxied = await kubectl('get', '--raw', '/api/v1/namespaces/default/services/web:80/proxy/')
    assert.equal(proxied.trim(), 'web')
    assert.match(await kubectl('get', '--raw', '/api/v1/nodes/n1/proxy/healthz'), /ok/)
  })

  test('a network policy closes a pod', async () => {
    await cluster.apply(policy)
    await until('the asker to be kept out', async () => (await fromPod('http://web/')) === '')
  })
})
