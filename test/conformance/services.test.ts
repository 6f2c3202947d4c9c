/** sig-network behaviours of Services, Networking and HostPort, seen by packets of real containers, with real kubectl. */
import assert from 'node:assert/strict'
import { basename, dirname } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type ContainerCluster, IMAGE, startContainerCluster } from '../support/container-cluster.ts'
import { realRuntimes } from '../support/oci.ts'
import { until } from '../support/until.ts'

const WAIT_MS = 120_000
/** Says who it is, on two ports by http and on one by datagrams. */
const SERVER = `
  const name = require('os').hostname()
  for (const port of [8080, 8081]) {
    require('http').createServer((_, answer) => answer.end(name)).listen(port, '0.0.0.0')
  }
  const udp = require('dgram').createSocket('udp4')
  udp.on('message', (_, { port, address }) => udp.send(name, port, address)).bind(8080)
  process.on('SIGTERM', () => process.exit())
`
/** Prints what comes back by datagram, or nothing. */
const UDP_CLIENT = `
  const [host, port] = process.argv.slice(1)
  const socket = require('dgram').createSocket('udp4')
  const end = text => { console.log(String(text)); process.exit() }
  socket.on('message', end).send('?', Number(port), host)
  setTimeout(end, 2000, '')
`
/** What this machine's node needs to run in a container. */
const places = { lib: '/usr/lib', lib64: '/usr/lib64', node: dirname(process.execPath) }
const mounted = {
  volumes: Object.entries(places).map(([name, path]) => ({ name, hostPath: { path } })),
  mounts: Object.keys(places).map(name => ({ name, mountPath: `/${name}`, readOnly: true })),
}
const NODE = `/node/${basename(process.execPath)}`

interface Fields {
  readonly [field: string]: unknown
}

const pod = (name: string, labels: Record<string, string>, over: Fields = {}, container: Fields = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels, ...over },
  spec: {
    terminationGracePeriodSeconds: 0,
    hostNetwork: name === 'host',
    volumes: mounted.volumes,
    containers: [
      {
        ...{ name: 'c', image: IMAGE, command: [NODE, '-e', SERVER], volumeMounts: mounted.mounts },
        ports: [{ name: 'http', containerPort: 8080 }],
        readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
        ...container,
      },
    ],
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
  const byUdp = async (host: string, port: number, name = 'asker') =>
    (
      await cluster.kubectl.try(['exec', name, '--', NODE, '-e', UDP_CLIENT, host, String(port)])
    ).stdout.trim()
  /** Of the pods that serve. */
  const webAddresses = async () => {
    const listed = await kubectl(['get', 'pods', '-l', 'app=web', '-o', 'jsonpath={.items[*].status.podIP}'])
    return listed.split(' ').toSorted().join()
  }
  /** Addresses, name and number; empty where there are none. */
  const endpointsOf = async (name: string) => {
    const path = (field: string) => `{.subsets[0].${field}}`
    const [addresses, ports] = [
      '{.subsets[0].addresses[*].ip}',
      `${path('ports[0].name')}:${path('ports[0].port')}`,
    ]
    const show = ['get', 'endpoints', name, '-o', `jsonpath=${addresses} ${ports}`, '--ignore-not-found']
    const [, listed = '', port = ''] = /^(.*) (\S*)$/.exec(await kubectl(show)) ?? []
    return listed === '' ? '' : `${listed.split(' ').toSorted().join()} ${port}`
  }
  /** Who answers a number of requests of one pod. */
  const answering = async (url: string) => {
    const script = `for i in 1 2 3 4 5 6 7 8 9 10; do timeout 5 wget -qO- ${url} && echo; done`
    const answers = await kubectl(['exec', 'asker', '--', 'sh', '-c', script])
    return [...new Set(answers.trim().split('\n'))].sort()
  }
  const keepsTo = (url: string, count: number) =>
    until(`${count} answer at ${url}`, async () => (await answering(url)).length === count, WAIT_MS)

  before(async () => {
    cluster = await startContainerCluster(runtime, 'svc')
    address = cluster.namespace.address
    const quiet = { command: ['sleep', '3600'], readinessProbe: undefined, ports: [] }
    await apply(
      ...['first', 'second'].map(name => pod(name, { app: 'web' })),
      ...['asker', 'host'].map(name => pod(name, { app: 'asker' }, {}, quiet)),
    )
    await kubectl(['wait', '--for=condition=Ready', 'pod', '--all', '--timeout=120s'])
  })
  after(async () => {
    if (cluster === undefined) return
    await cluster.uninstall()
    const left = (await inside('iptables-save', ['-t', 'nat'])).stdout
    await cluster.remove()
    assert.doesNotMatch(left, /CNI-HOSTPORT/)
  })

  test('Networking Granular Checks: Pods should function for intra-pod communication: http', async () => {
    for (const name of ['first', 'second']) {
      const url = `http://${await fieldOf(`pod/${name}`, '.status.podIP')}:8080/`
      await becomes(`${name} by http`, new RegExp(`^${name}$`), () => fromPod(url))
    }
  })

  test('Networking Granular Checks: Pods should function for intra-pod communication: udp', async () => {
    for (const name of ['first', 'second']) {
      const address = await fieldOf(`pod/${name}`, '.status.podIP')
      await becomes(`${name} by udp`, new RegExp(`^${name}$`), () => byUdp(address, 8080))
    }
  })

  test('Networking Granular Checks: Pods should function for node-pod communication: http', async () => {
    for (const name of ['first', 'second']) {
      const url = `http://${await fieldOf(`pod/${name}`, '.status.podIP')}:8080/`
      assert.equal(await fromPod(url, 'host'), name)
      assert.equal(await fromNode(url), name)
    }
  })

  test('Networking Granular Checks: Pods should function for node-pod communication: udp', async () => {
    for (const name of ['first', 'second']) {
      const address = await fieldOf(`pod/${name}`, '.status.podIP')
      await becomes(`${name} by udp`, new RegExp(`^${name}$`), () => byUdp(address, 8080, 'host'))
    }
  })

  test('EndpointsController should create Endpoints for Pods matching a Service', async () => {
    await apply(service('matching', { ports: [{ name: 'web', port: 80, targetPort: 'http' }] }))
    const wanted = await webAddresses()
    await until('their endpoints', async () => (await endpointsOf('matching')) === `${wanted} web:8080`)
  })

  test('EndpointSlice should create Endpoints and EndpointSlices for Pods matching a Service', async () => {
    const slices = ['endpointslices', '-l', 'kubernetes.io/service-name=matching']
    const show = (path: string) => kubectl(['get', ...slices, '-o', `jsonpath={${path}}`])
    const targets = '.items[*].endpoints[*].targetRef.name'
    await until('both', async () => (await show(targets)).split(' ').toSorted().join() === 'first,second')
    assert.equal(await show('.items[*].ports[*].name}:{.items[*].ports[*].port'), 'web:8080')
    assert.equal(await show('.items[*].endpoints[*].nodeName'), 'n1 n1')
    assert.equal(await show('.items[*].endpoints[*].conditions.ready'), 'true true')
    assert.equal(await endpointsOf('matching'), `${await webAddresses()} web:8080`)
    await kubectl(['delete', 'service', 'matching'])
    await until('none', async () => (await kubectl(['get', ...slices, '-o', 'name'])) === '')
    await until('no endpoints', async () => (await endpointsOf('matching')) === '')
  })

  test('Services should serve a basic endpoint from pods', async () => {
    await apply(service('web', {}))
    await keepsTo('http://web/', 2)
    await kubectl(['delete', 'pod', 'second', '--now'])
    await keepsTo('http://web/', 1)
    const [first, endpoints] = [await fieldOf('pod/first', '.status.podIP'), await endpointsOf('web')]
    assert.equal(endpoints, `${first} :8080`)
    await apply(pod('second', { app: 'web' }))
    await keepsTo('http://web/', 2)
  })

  test('Services should serve endpoints on same port and different protocols', async () => {
    await apply(service('both', { ports: both }))
    await keepsTo('http://both/', 2)
    const address = await fieldOf('service/both', '.spec.clusterIP')
    await becomes('an answer by udp', /^(first|second)$/, () => byUdp(address, 80))
    await patch('both', { ports: both.filter(({ protocol }) => protocol === 'UDP') })
    await until('nothing by tcp', async () => (await fromPod('http://both/')) === '')
    assert.match(await byUdp(address, 80), /^(first|second)$/)
    await kubectl(['delete', 'service', 'both'])
  })

  test('Services should serve multiport endpoints from pods', async () => {
    const ports = [
      { name: 'one', port: 80, targetPort: 8080 },
      { name: 'two', port: 81, targetPort: 8081 },
    ]
    await apply(service('many', { ports }))
    for (const port of [80, 81]) await keepsTo(`http://many:${port}/`, 2)
    await kubectl(['delete', 'service', 'many'])
  })

  const urlOf = async (type: string) => {
    if (type === 'ClusterIP') return 'http://web/'
    return `http://${address}:${await fieldOf('service/web', '.spec.ports[0].nodePort')}/`
  }
  const isSticky = (type: 'ClusterIP' | 'NodePort') => async () => {
    await patch('web', { type, sessionAffinity: 'ClientIP' })
    assert.equal(await fieldOf('service/web', '.spec.sessionAffinityConfig.clientIP.timeoutSeconds'), '10800')
    await keepsTo(await urlOf(type), 1)
    assert.equal((await answering(await urlOf(type))).length, 1)
  }
  const isSwitched = (type: 'ClusterIP' | 'NodePort') => async () => {
    for (const [sessionAffinity, count] of [
      ['None', 2],
      ['ClientIP', 1],
      ['None', 2],
    ] as const) {
      await patch('web', { type, sessionAffinity, sessionAffinityConfig: null })
      await keepsTo(await urlOf(type), count)
    }
  }
  test('Services should have session affinity work for service with type clusterIP', isSticky('ClusterIP'))
  test(
    'Services should be able to switch session affinity for service with type clusterIP',
    isSwitched('ClusterIP'),
  )
  test('Services should have session affinity work for NodePort service', isSticky('NodePort'))
  test('Services should be able to switch session affinity for NodePort service', isSwitched('NodePort'))

  test('Services should be able to create a functioning NodePort service', async () => {
    const nodePort = await fieldOf('service/web', '.spec.ports[0].nodePort')
    for (const host of [address, '127.0.0.1']) {
      assert.match(await fromNode(`http://${host}:${nodePort}/`), /^(first|second)$/)
    }
    assert.match(await fromPod(`http://${address}:${nodePort}/`), /^(first|second)$/)
  })

  const outside = { type: 'ExternalName', externalName: 'usual.default.svc.cluster.local' }
  const becomesExternalName = async () => {
    await patch('web', { ...outside, clusterIP: null, clusterIPs: null })
    assert.equal(await fieldOf('service/web', '.spec.clusterIP'), '')
    const lookUp = ['exec', 'asker', '--', 'nslookup', '-type=cname', 'web.default.svc.cluster.local']
    await becomes('another name', /canonical name = usual\.default/, () =>
      cluster.kubectl.try(lookUp).then(ran => ran.stdout),
    )
    await becomes('its target', /^(first|second)$/, () => fromPod('http://web/'))
  }
  const becomesAgain = async (type: 'ClusterIP' | 'NodePort') => {
    await patch('web', { type, externalName: null, ports: [{ port: 80, targetPort: 8080, protocol: 'TCP' }] })
    const clusterIp = await fieldOf('service/web', '.spec.clusterIP')
    assert.match(clusterIp, /^10\.152\.183\./)
    await becomes('its address', /^(first|second)$/, () => fromPod(`http://${clusterIp}/`))
    await becomes('its name', /^(first|second)$/, () => fromPod('http://web/'))
  }

  test('Services should be able to change the type from NodePort to ExternalName', async () => {
    await apply(service('usual', {}))
    const nodePort = await fieldOf('service/web', '.spec.ports[0].nodePort')
    await becomesExternalName()
    await until('it to be free', async () => (await fromNode(`http://127.0.0.1:${nodePort}/`)) === '')
  })

  test('Services should be able to change the type from ExternalName to NodePort', async () => {
    await becomesAgain('NodePort')
    const nodePort = await fieldOf('service/web', '.spec.ports[0].nodePort')
    await becomes('it', /^(first|second)$/, () => fromNode(`http://127.0.0.1:${nodePort}/`))
    await patch('web', { type: 'ClusterIP' })
    await until('no node port', async () => (await fromNode(`http://127.0.0.1:${nodePort}/`)) === '')
  })

  test('Services should be able to change the type from ClusterIP to ExternalName', becomesExternalName)

  test('Services should be able to change the type from ExternalName to ClusterIP', async () => {
    await becomesAgain('ClusterIP')
    assert.equal(await fieldOf('service/web', '.spec.ports[0].nodePort'), '')
  })

  const slice = (of: string, name: string, address: string, port: { name: string; port: number }) => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name, labels: { 'kubernetes.io/service-name': of } },
    addressType: 'IPv4',
    ports: [{ ...port, protocol: 'TCP' }],
    endpoints: [{ addresses: [address] }],
  })

  test('EndpointSlice should support a Service with multiple endpoint IPs specified in multiple EndpointSlices', async () => {
    const addresses = (await webAddresses()).split(',')
    await apply(
      { ...service('mine', {}), spec: { ports: [{ port: 80, targetPort: 8080 }] } },
      ...addresses.map((each, index) => slice('mine', `mine-${index}`, each, { name: '', port: 8080 })),
    )
    await keepsTo('http://mine/', 2)
  })

  test('EndpointSlice should support a Service with multiple ports specified in multiple EndpointSlices', async () => {
    const first = await fieldOf('pod/first', '.status.podIP')
    const ports = [
      { name: 'one', port: 80 },
      { name: 'two', port: 81 },
    ]
    await apply(
      { ...service('split', {}), spec: { ports } },
      slice('split', 'split-1', first, { name: 'one', port: 8080 }),
      slice('split', 'split-2', first, { name: 'two', port: 8081 }),
    )
    for (const { port } of ports) {
      await becomes(`port ${port}`, /^first$/, () => fromPod(`http://split:${port}/`))
    }
  })

  test('HostPort validates that there is no conflict between pods with same hostPort but different hostIP and protocol', async () => {
    const where = address
    await apply(
      pod('host-one', {}, {}, hostPort('127.0.0.1', 'TCP')),
      pod('host-two', {}, {}, hostPort(where, 'TCP')),
      pod('host-three', {}, {}, hostPort(where, 'UDP')),
    )
    await kubectl(['wait', '--for=condition=Ready', 'pod', '--all', '--timeout=120s'])
    await becomes('the first', /^host-one$/, () => fromNode('http://127.0.0.1:54323/'))
    await becomes('the second', /^host-two$/, () => fromPod(`http://${where}:54323/`))
    await becomes('the third', /^host-three$/, () => byUdp(where, 54_323))
  })

  test('a pod that names a node whose host port is taken is refused there', async () => {
    const late = pod('host-late', {}, {}, hostPort('', 'TCP'))
    await apply({ ...late, spec: { ...late.spec, nodeName: 'n1' } })
    await kubectl(['wait', '--for=jsonpath={.status.phase}=Failed', 'pod/host-late', '--timeout=60s'])
    assert.equal(await fieldOf('pod/host-late', '.status.reason'), 'NodePorts')
    const message = /^Pod was rejected: Predicate NodePorts failed: node\(s\) didn't have free ports/
    assert.match(await fieldOf('pod/host-late', '.status.message'), message)
    await kubectl(['delete', 'pod', 'host-late', '--now'])
  })

  test('annotations limit the bandwidth of a pod', async () => {
    const annotations = { 'kubernetes.io/ingress-bandwidth': '8M', 'kubernetes.io/egress-bandwidth': '4M' }
    await apply(pod('slow', {}, { annotations }))
    await kubectl(['wait', '--for=condition=Ready', 'pod/slow', '--timeout=120s'])
    const shown = (await inside('tc', ['qdisc'])).stdout
    assert.match(shown, /qdisc tbf .* rate 8Mbit/)
    // containerd lets so much go at once that a limit is hardly noticed.
    if (runtime === 'oci') assert.match(shown, /qdisc tbf .* rate 8Mbit burst 100000b/)
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
