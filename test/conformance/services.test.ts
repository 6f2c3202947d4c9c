/** sig-network behaviours of Services, Networking and HostPort, seen by packets of real containers, with real kubectl. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type ContainerCluster, IMAGE, startContainerCluster } from '../support/container-cluster.ts'
import { realRuntimes } from '../support/oci.ts'
import { until } from '../support/until.ts'

const WAIT_MS = 30_000
const SCRIPT = 'mkdir /www; hostname >/www/index.html; httpd -p 8081 -h /www; exec httpd -f -p 8080 -h /www'

interface Fields {
  readonly [field: string]: unknown
}

const pod = (name: string, labels: Record<string, string>, over: Fields = {}, container: Fields = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels, ...over },
  spec: {
    terminationGracePeriodSeconds: 0,
    containers: [{ name: 'c', image: IMAGE, command: ['sh', '-c', SCRIPT], ...container }],
  },
})
const service = (name: string, spec: Fields) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }], ...spec },
})
const both = [
  { name: 't', port: 80, targetPort: 8080, protocol: 'TCP' },
  { name: 'u', port: 80, targetPort: 8080, protocol: 'UDP' },
]
const hostPort = (hostIP: string, protocol: string) => ({
  ports: [{ containerPort: 8080, hostPort: 54_323, hostIP, protocol }],
})

const tried = realRuntimes().toReversed()
const { runtime = '', why } = tried.find(each => each.why === undefined) ?? tried[0] ?? {}

describe(`Services with ${runtime}`, { skip: why ?? false }, () => {
  let cluster: ContainerCluster
  let address = ''

  const inside = (program: string, args: readonly string[]) => cluster.inside(program, args)
  const kubectl = (args: readonly string[]) => cluster.kubectl.ok(args)
  const apply = (...items: object[]) => cluster.apply(...items)
  const fieldOf = (object: string, path: string) => kubectl(['get', object, '-o', `jsonpath={${path}}`])
  const patch = (name: string, spec: Fields) =>
    kubectl(['patch', 'service', name, '--type=merge', '-p', JSON.stringify({ spec })])
  const fetching = (url: string) => ['timeout', '2', 'wget', '-qO-', url]
  /** What a pod gets; empty when it gets nothing. */
  const fromPod = async (url: string, name = 'asker') =>
    (await cluster.kubectl.try(['exec', name, '--', ...fetching(url)])).stdout.trim()
  const fromNode = async (url: string) => {
    const [, ...words] = fetching(url)
    return (
      await inside('/bin/busybox', ['timeout', words[0] as string, '/bin/busybox', ...words.slice(1)])
    ).stdout.trim()
  }
  const becomes = (what: string, wanted: RegExp, ask: () => Promise<string>) =>
    until(what, async () => wanted.test(await ask()), WAIT_MS)
  /** Who answers a number of requests of one pod. */
  const answering = async (url: string) => {
    const script = `for i in 1 2 3 4 5 6 7 8 9 10; do timeout 5 wget -qO- ${url}; done`
    const answers = await kubectl(['exec', 'asker', '--', 'sh', '-c', script])
    return [...new Set(answers.trim().split('\n'))].sort()
  }
  const keepsTo = (url: string, count: number) =>
    until(`${count} answer at ${url}`, async () => (await answering(url)).length === count, WAIT_MS)

  before(async () => {
    cluster = await startContainerCluster(runtime, 'svc')
    address = cluster.namespace.address
    await apply(pod('first', { app: 'web' }), pod('second', { app: 'web' }), pod('asker', { app: 'asker' }))
    await kubectl(['wait', '--for=condition=Ready', 'pod', '--all', '--timeout=120s'])
  })
  after(async () => {
    if (cluster === undefined) return
    await cluster.uninstall()
    const left = (await inside('iptables-save', ['-t', 'nat'])).stdout
    await cluster.remove()
    assert.doesNotMatch(left, /CNI-HOSTPORT/)
  })

  test('Networking should function for intra-pod and node-pod communication: http', async () => {
    for (const name of ['first', 'second']) {
      const address = await fieldOf(`pod/${name}`, '.status.podIP')
      await becomes(`${name} by http`, new RegExp(`^${name}$`), () => fromPod(`http://${address}:8080/`))
      assert.equal(await fromNode(`http://${address}:8080/`), name)
    }
  })

  test('should serve a basic endpoint from pods; endpoints on same port and different protocols', async () => {
    await apply(service('web', { ports: both }))
    await keepsTo('http://web/', 2)
    await kubectl(['delete', 'pod', 'second', '--now'])
    await keepsTo('http://web/', 1)
    await apply(pod('second', { app: 'web' }))
    await keepsTo('http://web/', 2)
  })

  test('should serve multiport endpoints from pods', async () => {
    const ports = [
      { name: 'one', port: 80, targetPort: 8080 },
      { name: 'two', port: 81, targetPort: 8081 },
    ]
    await apply(service('many', { ports }))
    for (const port of [80, 81]) await keepsTo(`http://many:${port}/`, 2)
    await kubectl(['delete', 'service', 'many'])
  })

  test('should have session affinity work, and switch it, for type clusterIP and NodePort', async () => {
    await patch('web', { type: 'NodePort' })
    const nodePort = await fieldOf('service/web', '.spec.ports[0].nodePort')
    const urls = ['http://web/', `http://${address}:${nodePort}/`]
    await patch('web', { sessionAffinity: 'ClientIP' })
    for (const url of urls) await keepsTo(url, 1)
    await patch('web', { sessionAffinity: 'None', sessionAffinityConfig: null })
    for (const url of urls) await keepsTo(url, 2)
  })

  test('should be able to create a functioning NodePort service', async () => {
    const nodePort = await fieldOf('service/web', '.spec.ports[0].nodePort')
    for (const host of [address, '127.0.0.1']) {
      assert.match(await fromNode(`http://${host}:${nodePort}/`), /^(first|second)$/)
    }
    assert.match(await fromPod(`http://${address}:${nodePort}/`), /^(first|second)$/)
  })

  test('should be able to change the type from NodePort and ClusterIP to ExternalName and back', async () => {
    const nodePort = await fieldOf('service/web', '.spec.ports[0].nodePort')
    await apply(service('usual', {}))
    const name = 'usual.default.svc.cluster.local'
    await patch('web', { type: 'ExternalName', externalName: name, clusterIP: null, clusterIPs: null })
    assert.equal(await fieldOf('service/web', '.spec.clusterIP'), '')
    await becomes('another name', /usual\.default/, () =>
      cluster.kubectl
        .try(['exec', 'asker', '--', 'nslookup', '-type=cname', 'web.default.svc.cluster.local'])
        .then(ran => ran.stdout),
    )
    await until(
      'the node port to be free',
      async () => (await fromNode(`http://127.0.0.1:${nodePort}/`)) === '',
    )
    const ports = [{ port: 80, targetPort: 8080, protocol: 'TCP' }]
    await patch('web', { type: 'NodePort', externalName: null, ports })
    assert.match(await fieldOf('service/web', '.spec.clusterIP'), /^10\.152\.183\./)
    const again = await fieldOf('service/web', '.spec.ports[0].nodePort')
    await becomes('the node port', /^(first|second)$/, () => fromNode(`http://127.0.0.1:${again}/`))
    await becomes('its name', /^(first|second)$/, () => fromPod('http://web/'))
    await patch('web', { type: 'ClusterIP' })
    await until('no node port', async () => (await fromNode(`http://127.0.0.1:${again}/`)) === '')
  })

  test('should support a Service with multiple endpoint IPs specified in multiple EndpointSlices', async () => {
    const slice = (name: string, address: string) => ({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name, labels: { 'kubernetes.io/service-name': 'mine' } },
      addressType: 'IPv4',
      ports: [{ name: '', port: 8080, protocol: 'TCP' }],
      endpoints: [{ addresses: [address] }],
    })
    const addresses = [
      await fieldOf('pod/first', '.status.podIP'),
      await fieldOf('pod/second', '.status.podIP'),
    ]
    const mine = { ...service('mine', {}), spec: { ports: [{ port: 80, targetPort: 8080 }] } }
    await apply(mine, ...addresses.map((address, index) => slice(`mine-${index}`, address)))
    await keepsTo('http://mine/', 2)
  })

  test('HostPort: no conflict between pods with same hostPort but different hostIP and protocol', async () => {
    const where = address
    await apply(
      pod('host-one', {}, {}, hostPort('127.0.0.1', 'TCP')),
      pod('host-two', {}, {}, hostPort(where, 'TCP')),
      pod('host-three', {}, {}, hostPort(where, 'UDP')),
    )
    await kubectl(['wait', '--for=condition=Ready', 'pod', '--all', '--timeout=120s'])
    await becomes('the first', /^host-one$/, () => fromNode('http://127.0.0.1:54323/'))
    await becomes('the second', /^host-two$/, () => fromPod(`http://${where}:54323/`))
  })

  test('annotations limit the bandwidth of a pod', async () => {
    const annotations = { 'kubernetes.io/ingress-bandwidth': '8M', 'kubernetes.io/egress-bandwidth': '4M' }
    await apply(pod('slow', {}, { annotations }))
    await kubectl(['wait', '--for=condition=Ready', 'pod/slow', '--timeout=120s'])
    const shown = (await inside('tc', ['qdisc'])).stdout
    assert.match(shown, /qdisc tbf .* rate 8Mbit/)
    assert.match(shown, /qdisc tbf .* rate 4Mbit/)
    await kubectl(['delete', 'pod', 'slow', '--now'])
  })

  test('a network policy closes pods to all but those it names', async () => {
    await apply({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'friends' },
      spec: {
        podSelector: { matchLabels: { app: 'web' } },
        ingress: [{ from: [{ podSelector: { matchLabels: { app: 'friend' } } }] }],
      },
    })
    await becomes('the asker to be kept out', /^$/, () => fromPod('http://usual/'))
    await kubectl(['label', 'pod', 'asker', 'app=friend', '--overwrite'])
    await becomes('the friend to be let in', /^(first|second)$/, () => fromPod('http://usual/'))
  })
})
