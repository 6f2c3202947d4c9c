/** Pods with two and three interfaces on three nodes, each in a network namespace of its own, with real plugins. */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { must } from '../../src/base/assert.ts'
import { systemClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import {
  CLUSTER_ROLES,
  CUSTOM_RESOURCE_DEFINITIONS,
  EVENTS,
  NETWORK_ATTACHMENT_DEFINITIONS,
  PODS,
  type ResourceRef,
} from '../../src/client/resources.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import type { Event, Pod } from '../../src/kube/types.ts'
import { parseYamlDocuments } from '../../src/kube/yaml.ts'
import { busyboxImage } from '../../src/runtime/images/busybox-image.ts'
import { importArchive } from '../../src/runtime/images/import-archive.ts'
import type { NetworkStatus } from '../../src/runtime/kubelet/networks/network-status.ts'
import type { NetworkSettings } from '../../src/runtime/kubelet/networks/plan-networks.ts'
import { containerdPaths } from '../../src/runtime/kubelet/runtime/cri/containerd-config.ts'
import { CriRuntime } from '../../src/runtime/kubelet/runtime/cri/cri-runtime.ts'
import {
  architecture,
  startTestContainerd,
  type TestContainerd,
  whyNoContainers,
} from '../support/containerd.ts'
import { type InProcessCluster, startInProcessCluster } from '../support/in-process-cluster.ts'
import { whyNoOci } from '../support/oci.ts'
import { type PodNode, type PodNodes, startPodNodes } from '../support/pod-nodes.ts'
import { createTestKubelet } from '../support/test-kubelet.ts'
import { until } from '../support/until.ts'

const IMAGE = 'docker.io/example/box:1'
const NETWORKS = 'k8s.v1.cni.cncf.io/networks'
const STATUS = 'k8s.v1.cni.cncf.io/network-status'
const REFS: Readonly<Record<string, ResourceRef>> = {
  CustomResourceDefinition: CUSTOM_RESOURCE_DEFINITIONS,
  ClusterRole: CLUSTER_ROLES,
  ClusterRoleBinding: { ...CLUSTER_ROLES, resource: 'clusterrolebindings' },
}
const openContainerd = ({ socketPath, nodeId, directory }: TestContainerd) =>
  new CriRuntime({
    ...{ socketPath, nodeId, clock: systemClock, log: silentLog },
    root: containerdPaths(directory).root,
  })
const manifests = join(import.meta.dirname, '../../addons/multus/manifests/definitions.yaml')

describe('pods with several networks', { skip: whyNoOci() ?? false }, () => {
  let cluster: InProcessCluster
  let all: PodNodes
  let ipam = ''
  let settings: NetworkSettings | null = { namespaceIsolation: false, globalNamespaces: ['default'] }

  before(async () => {
    ipam = mkdtempSync(join(tmpdir(), 'mk8s-ipam-'))
    cluster = await startInProcessCluster()
    for (const each of parseYamlDocuments(readFileSync(manifests, 'utf8')) as KubeObject[]) {
      const ref = must(REFS[each.kind], `a resource for ${each.kind}`)
      await cluster.client.apply(ref, each, { fieldManager: 'test', force: true })
    }
    all = await startPodNodes(cluster, { count: 3, image: IMAGE, settings: () => settings })
    const served = () => cluster.client.list(NETWORK_ATTACHMENT_DEFINITIONS, { namespace: 'default' })
    await until('definitions to be served', served)
    await define('inner', {
      ...{ cniVersion: '1.0.0', type: 'bridge', bridge: 'inner0', isGateway: true },
      ipam: local('10.61.0.0/24'),
    })
    await define('wide', {
      ...{ cniVersion: '1.0.0', type: 'macvlan', master: 'uplink', mode: 'bridge' },
      ipam: local('10.62.0.0/24'),
    })
  })
  after(async () => {
    if (cluster !== undefined) await removePods()
    await all?.remove()
    await cluster?.stop()
    rmSync(ipam, { recursive: true, force: true })
  })

  /** All nodes share the machine's disk, and so its notes of addresses. */
  const local = (subnet: string) => ({ type: 'host-local', dataDir: ipam, ranges: [[{ subnet }]] })
  const taken = (network: string) => {
    const files = readdirSync(join(ipam, network))
    return files.filter(name => /^\d+\./.test(name)).sort()
  }
  const node = (name: string): PodNode =>
    must(
      all.nodes.find(each => each.name === name),
      name,
    )
  const definition = (name: string, config: object | string, namespace = 'default') => ({
    ...{
      apiVersion: 'k8s.cni.cncf.io/v1',
      kind: 'NetworkAttachmentDefinition',
      metadata: { name, namespace },
    },
    spec: config === '' ? {} : { config: typeof config === 'string' ? config : JSON.stringify(config) },
  })
  const define = (name: string, config: object | string, namespace = 'default') =>
    cluster.client.apply(NETWORK_ATTACHMENT_DEFINITIONS, definition(name, config, namespace), {
      ...{ fieldManager: 'test', force: true },
    })
  const get = (name: string) => cluster.client.get<Pod>(PODS, { namespace: 'default', name })
  const create = (name: string, nodeName: string, annotations: Record<string, string>) =>
    cluster.client.create<Pod>(PODS, {
      ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'default', annotations } },
      spec: {
        ...{ nodeName, automountServiceAccountToken: false, terminationGracePeriodSeconds: 0 },
        containers: [{ name: 'c', image: IMAGE, command: ['sleep', '3600'] }],
      },
    } as Pod)
  const running = (name: string) =>
    until(`${name} to run`, async () => {
      const pod = await get(name)
      return pod.status?.phase === 'Running' && pod
    })
  const statusOf = (pod: Pod) =>
    JSON.parse(pod.metadata.annotations?.[STATUS] ?? '[]') as readonly NetworkStatus[]
  const inside = async (pod: Pod, ...command: string[]) =>
    node(pod.spec?.nodeName ?? '').run(pod.metadata.uid ?? '', command)
  const addressOf = (pod: Pod, name: string) =>
    must(statusOf(pod).find(each => each.interface === name)?.ips?.[0], `an address of ${name}`)
  const ping = (from: Pod, address: string) => inside(from, 'ping', '-c', '1', '-W', '5', address)
  /** Until its node has nothing of it. */
  const remove = async (name: string) => {
    const { metadata, spec } = await get(name)
    await cluster.client.delete(PODS, { namespace: 'default', name })
    const { runtime } = node(spec?.nodeName ?? '')
    await until(`${name} to be gone`, async () => {
      const sandboxes = await runtime().listSandboxes()
      return !sandboxes.some(each => each.metadata.uid === metadata.uid)
    })
  }
  const removePods = async () => {
    const { items } = await cluster.client.list<Pod>(PODS, { namespace: 'default' })
    await Promise.all(items.map(({ metadata }) => remove(metadata.name ?? '')))
  }
  const failure = (name: string, wanted: RegExp) =>
    until(`an event of ${name} like ${wanted}`, async () => {
      const { items } = await cluster.client.list<Event>(EVENTS, { namespace: 'default' })
      return items.find(
        ({ reason, involvedObject, message = '' }) =>
          reason === 'FailedCreatePodSandBox' && involvedObject.name === name && wanted.test(message),
      )
    })

  test('three interfaces reach the pods of the same node and those of other nodes', async () => {
    const networks = { [NETWORKS]: 'inner, default/wide@wide0' }
    for (const [name, at] of [
      ['a', 'n1'],
      ['b', 'n1'],
      ['c', 'n2'],
      ['d', 'n3'],
    ] as const)
      await create(name, at, networks)
    const [a, b, c, d] = [await running('a'), await running('b'), await running('c'), await running('d')]
    const [own, ...more] = statusOf(a)
    assert.deepEqual([own?.name, own?.interface, own?.default], ['mk8s', 'eth0', true])
    assert.deepEqual(own?.ips, [a.status?.podIP])
    assert.deepEqual(
      more.map(({ name, interface: of }) => [name, of]),
      [
        ['default/inner', 'net1'],
        ['default/wide', 'wide0'],
      ],
    )
    const links = await inside(a, 'ip', 'addr')
    for (const { mac = '', ips = [] } of statusOf(a)) {
      assert.match(links, new RegExp(mac))
      for (const address of ips) assert.match(links, new RegExp(`inet ${address}/`))
    }
    await ping(a, b.status?.podIP ?? '')
    await ping(a, addressOf(b, 'net1'))
    await ping(a, addressOf(c, 'wide0'))
    await ping(d, addressOf(a, 'wide0'))
    // The bridge of another node is another network.
    await assert.rejects(inside(a, 'ping', '-c', '1', '-W', '1', addressOf(c, 'net1')))
    const added = await cluster.client.list<Event>(EVENTS, { namespace: 'default' })
    const message = `Add wide0 [${addressOf(a, 'wide0')}] from default/wide`
    assert.ok(added.items.some(event => event.reason === 'AddedInterface' && event.message === message))
    assert.deepEqual([taken('inner').length, taken('wide').length], [4, 4])
  })

  test('what is deleted gives its addresses back, also after a restart and without its definition', async () => {
    await remove('d')
    assert.equal(taken('wide').length, 3)
    const address = addressOf(await get('c'), 'wide0')
    await node('n2').restart()
    await cluster.client.delete(NETWORK_ATTACHMENT_DEFINITIONS, { namespace: 'default', name: 'wide' })
    settings = null
    assert.match(await inside(await get('c'), 'ip', 'addr'), new RegExp(address))
    await remove('c')
    settings = { namespaceIsolation: false, globalNamespaces: ['default'] }
    assert.ok(!taken('wide').includes(address))
    await Promise.all([remove('a'), remove('b')])
    assert.deepEqual([taken('inner'), taken('wide')], [[], []])
    assert.deepEqual(
      all.nodes.flatMap(each => readdirSync(join(each.directory, 'networks'))),
      [],
    )
  })

  test('a pod whose kubelet was killed while it attached is made anew with all of its networks', async () => {
    await create('killed', 'n1', { [NETWORKS]: 'inner' })
    const before = await running('killed')
    const records = join(node('n1').directory, 'networks')
    await node('n1').restart(() => {
      const [name = ''] = readdirSync(records)
      const file = join(records, name, 'state.json')
      writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), isWhole: false }))
    })
    const again = await until('another address', async () => {
      const pod = await get('killed')
      return statusOf(pod)[0]?.ips?.[0] !== statusOf(before)[0]?.ips?.[0] && pod
    })
    await until('its container', () => inside(again, 'ip', 'addr', 'show', 'net1'))
    assert.equal(taken('inner').length, 1)
    await remove('killed')
  })

  test('address, MAC, arguments, gateway and a list of plugins are as the annotation and the definition say', async () => {
    await define('exact', {
      ...{ cniVersion: '1.0.0', name: 'exact-list' },
      plugins: [
        {
          ...{ type: 'bridge', bridge: 'exact0', capabilities: { mac: true, ips: true } },
          ipam: { type: 'static', routes: [{ dst: '10.99.0.0/16', gw: '10.63.0.1' }] },
        },
        { type: 'tuning', mtu: 1_400 },
      ],
    })
    const [mac, address] = ['02:11:22:33:44:55', '10.63.0.7/24']
    const wish = [{ name: 'exact', interface: 'ex0', mac, ips: [address], 'default-route': ['10.63.0.1'] }]
    await create('exact', 'n2', { [NETWORKS]: JSON.stringify(wish) })
    const pod = await running('exact')
    const { ips, gateway, mac: told, default: isDefault } = must(statusOf(pod)[1], 'its second network')
    assert.deepEqual([ips, gateway, told, isDefault], [['10.63.0.7'], ['10.63.0.1'], mac, undefined])
    const link = await inside(pod, 'ip', 'addr', 'show', 'ex0')
    assert.match(link, /mtu 1400[\s\S]*02:11:22:33:44:55[\s\S]*10\.63\.0\.7\/24/)
    const routes = await inside(pod, 'ip', 'route')
    assert.match(routes, /^default via 10\.63\.0\.1 dev ex0/m)
    assert.match(routes, /^10\.99\.0\.0\/16 via 10\.63\.0\.1 dev ex0/m)
    assert.doesNotMatch(routes, /^default .*eth0/m)
    await remove('exact')
  })

  test('a device of the host goes into the pod and comes back', async () => {
    const host = node('n2')
    host.ip('link', 'add', 'spare', 'type', 'veth', 'peer', 'name', 'spare-peer')
    await define('spare', { cniVersion: '1.0.0', type: 'host-device', device: 'spare' })
    await create('device', 'n2', { [NETWORKS]: 'spare@dev0' })
    const pod = await running('device')
    assert.match(await inside(pod, 'ip', 'link', 'show', 'dev0'), /dev0@/)
    assert.throws(() => host.ip('link', 'show', 'spare'))
    await remove('device')
    assert.match(host.ip('link', 'show', 'spare'), /spare@spare-peer/)
  })

  test('a definition without a config names one on the node, and a pod may have another default network', async () => {
    const config = { cniVersion: '0.4.0', name: 'of-node', type: 'ptp', ipam: local('10.64.0.0/24') }
    writeFileSync(join(node('n3').configs, '99-of-node.conf'), JSON.stringify(config))
    await define('of-node', '')
    await define('other', { ...config, name: 'other', ipam: local('10.65.0.0/24') }, 'kube-system')
    await create('named', 'n3', {
      ...{ [NETWORKS]: 'of-node', 'v1.multus-cni.io/default-network': 'other' },
    })
    const pod = await running('named')
    assert.deepEqual(
      statusOf(pod).map(({ name, interface: of, ips }) => [name, of, ips?.[0]]),
      [
        ['kube-system/other', 'eth0', '10.65.0.2'],
        ['default/of-node', 'net1', '10.64.0.2'],
      ],
    )
    assert.equal(pod.status?.podIP, '10.65.0.2')
    await remove('named')
    assert.deepEqual([taken('of-node'), taken('other')], [[], []])
  })

  test('with containerd too a pod may have another default network, keeps it over a restart and gives it back', {
    skip: whyNoContainers() ?? false,
  }, async () => {
    const bench = await startTestContainerd()
    let runtime = openContainerd(bench)
    const kubelet = await createTestKubelet(cluster, 'c1', () => {
      runtime = openContainerd(bench)
      const configs = containerdPaths(bench.directory).cniConfig
      const networks = { settings: async () => settings, configs, enter: bench.namespace.enter }
      return { runtime, networks, ports: { kubelet: 40_000 + (process.pid % 10_000) } }
    })
    try {
      await importArchive(bench.socketPath, { archive: await busyboxImage(IMAGE, architecture()) })
      await kubelet.start()
      const config = { cniVersion: '1.0.0', type: 'ptp', ipam: local('10.66.0.0/24') }
      await define('chosen', { ...config, name: 'chosen' }, 'kube-system')
      await define('more', { ...config, name: 'more', ipam: local('10.67.0.0/24') })
      const wishes = { 'v1.multus-cni.io/default-network': 'chosen', [NETWORKS]: 'more' }
      await create('other', 'c1', wishes)
      const pod = await running('other')
      const [address, second] = [pod.status?.podIP ?? '', addressOf(pod, 'net1')]
      assert.deepEqual([taken('chosen'), taken('more')], [[address], [second]])
      assert.deepEqual(
        statusOf(pod).map(({ name, ips }) => [name, ips?.[0]]),
        [
          ['kube-system/chosen', address],
          ['default/more', second],
        ],
      )
      const container = async () => must((await runtime.listContainers(pod.metadata.uid))[0]?.id, 'it')
      const { stdout } = await runtime.exec(await container(), ['ip', '-4', 'addr'], { timeoutMs: 20_000 })
      assert.match(stdout, new RegExp(`inet ${address}/.* eth0`))
      assert.doesNotMatch(stdout, /inet 10\.1\./)
      await kubelet.current().stop()
      await kubelet.start()
      const told = await until('a sandbox', async () => (await runtime.listSandboxes())[0])
      assert.deepEqual(told.addresses, [address])
      await cluster.client.delete(PODS, { namespace: 'default', name: 'other' })
      await until('nothing is left', async () => (await runtime.listSandboxes()).length === 0)
      assert.deepEqual([taken('chosen'), taken('more')], [[], []])
    } finally {
      await kubelet.remove()
      await bench.remove()
    }
  })

  test('what cannot be attached is told in an event, and tried again', async () => {
    await define('broken', '{"cniVersion": "1.0.0"')
    await define('nowhere', { cniVersion: '1.0.0', type: 'not-there' })
    await define('refused', { cniVersion: '1.0.0', type: 'macvlan', master: 'no-such-link', ipam: {} })
    const wishes = {
      syntax: 'a b',
      absent: 'absent',
      broken: 'broken',
      nowhere: 'nowhere',
      refused: 'inner,refused',
    }
    for (const [name, networks] of Object.entries(wishes)) await create(name, 'n1', { [NETWORKS]: networks })
    await failure('syntax', /"a b" has no usable name/)
    await failure('absent', /the NetworkAttachmentDefinition default\/absent is not there/)
    await failure('broken', /default\/broken cannot be used: its config is no network configuration: .*JSON/)
    await failure('nowhere', /\[default\/nowhere\]: failed to find plugin "not-there" in path/)
    await failure(
      'refused',
      /sandbox "\w+": \[default\/refused:default\/refused\]: .*"macvlan".*Link not found/,
    )
    // What came before it was taken back.
    await until('no address', () => taken('inner').length === 0)
    await define('absent', { cniVersion: '1.0.0', type: 'bridge', bridge: 'inner0', ipam: {} })
    assert.equal(statusOf(await running('absent')).length, 2)
    settings = { namespaceIsolation: true, globalNamespaces: [] }
    await create('isolated', 'n1', { [NETWORKS]: 'kube-system/other' })
    await failure('isolated', /a pod in default may not use the network kube-system\/other/)
  })
})
