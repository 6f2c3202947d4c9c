/** What plugins are called for a pod's networks, and what its annotation says afterwards. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { must } from '../../../../../src/base/assert.ts'
import { readDeviceInfo } from '../../../../../src/runtime/kubelet/networks/device-info.ts'
import { renderNetworkStatus } from '../../../../../src/runtime/kubelet/networks/network-status.ts'
import { parseSelections } from '../../../../../src/runtime/kubelet/networks/parse-selections.ts'
import {
  assertMayUse,
  DeviceTurns,
  type NetworkAttachmentDefinition,
  planAddition,
  planDefaultRoutes,
  planNetwork,
} from '../../../../../src/runtime/kubelet/networks/plan-networks.ts'
import { parseSandboxNetwork } from '../../../../../src/runtime/kubelet/runtime/cri/parse-cri.ts'
import { pluginConfig } from '../../../../../src/runtime/kubelet/runtime/oci/cni-config.ts'

const select = (item: object | string) =>
  must(parseSelections(typeof item === 'string' ? item : JSON.stringify([item]), 'web')[0], 'a selection')
const define = (config?: object | string): NetworkAttachmentDefinition => ({
  ...{ apiVersion: 'k8s.cni.cncf.io/v1', kind: 'NetworkAttachmentDefinition', metadata: { name: 'a' } },
  ...(config === undefined
    ? {}
    : { spec: { config: typeof config === 'string' ? config : JSON.stringify(config) } }),
})
const given = (ids: Record<string, string[]> = {}) => ({
  named: () => undefined,
  devices: new DeviceTurns(new Map(Object.entries(ids))),
})
const metadata = { name: 'p', namespace: 'web', uid: 'u1', attempt: 0 }
const place = { sandboxId: 's1', netns: '/run/netns/x', metadata }

test('a plugin gets the pod by CNI_ARGS, its wishes by capability, and the arguments of the annotation', () => {
  const selection = select({
    name: 'a',
    mac: '02:00:00:00:00:01',
    ips: ['10.0.0.2/24'],
    'cni-args': { x: 1 },
  })
  const config = {
    cniVersion: '1.0.0',
    type: 'macvlan',
    capabilities: { mac: true },
    args: { cni: { y: 2 } },
  }
  const added = planAddition(planNetwork(selection, 0, define(config), given()), place)
  assert.deepEqual(added.arguments, {
    ...{ containerId: 's1', netns: '/run/netns/x', interfaceName: 'net1' },
    runtimeConfig: { mac: '02:00:00:00:00:01', ips: ['10.0.0.2/24'] },
    pod: {
      ...{ K8S_POD_NAMESPACE: 'web', K8S_POD_NAME: 'p' },
      ...{ K8S_POD_INFRA_CONTAINER_ID: 's1', K8S_POD_UID: 'u1' },
    },
  })
  assert.deepEqual(pluginConfig(added, must(added.plugins[0], 'a plugin')), {
    ...{ cniVersion: '1.0.0', name: 'a', type: 'macvlan', args: { cni: { y: 2, x: 1 } } },
    runtimeConfig: { mac: '02:00:00:00:00:01' },
  })
})

test('a list keeps its name and order, without plugins that only carry out wishes nobody has', () => {
  const wish = { portMappings: true }
  const plugins = [{ type: 'bridge' }, { type: 'portmap', capabilities: wish }, { type: 'tuning' }]
  const list = define({ name: 'list', cniVersion: '0.4.0', plugins })
  const added = planAddition(planNetwork(select('a@x1'), 4, list, given()), place)
  assert.deepEqual(
    [added.network, added.arguments.interfaceName, added.plugins.map(({ type }) => type)],
    ['list', 'x1', ['bridge', 'tuning']],
  )
})

test('a definition without a config takes the one of its name from the node', () => {
  const onNode = { name: 'a', cniVersion: '1.0.0', plugins: [{ type: 'ptp' }] }
  for (const definition of [define(), define(''), { ...define(), spec: {} }])
    assert.equal(
      planNetwork(select('a'), 0, definition, {
        ...given(),
        named: name => (name === 'a' ? onNode : undefined),
      }).config,
      onNode,
    )
  const absent = /web\/a has no config, and no network configuration on this node is named a/
  assert.throws(() => planNetwork(select('a'), 0, define(), given()), absent)
})

test('a definition that is wrong is named with its reason', () => {
  const table: readonly (readonly [config: object | string, reason: RegExp])[] = [
    ['{', /web\/a cannot be used: its config is no network configuration: .*JSON/],
    [{ cniVersion: '1.0.0' }, /it names no plugin/],
    [{ plugins: [] }, /it names no plugin/],
    [{ plugins: [{}] }, /a plugin has no type/],
    [{ type: '../sh' }, /a plugin has no type/],
  ]
  for (const [config, reason] of table)
    assert.throws(() => planNetwork(select('a'), 0, define(config), given()), reason)
})

test('networks get the devices that the pod was given of their resource, each once, and their first plugin is told', async () => {
  const sriov = (config: object): NetworkAttachmentDefinition => {
    const definition = define(config)
    const annotations = { 'k8s.v1.cni.cncf.io/resourceName': 'example.com/vf' }
    return { ...definition, metadata: { ...definition.metadata, annotations } }
  }
  const list = { plugins: [{ type: 'sriov', capabilities: { deviceID: true } }, { type: 'tuning' }] }
  const turns = given({ 'example.com/vf': ['0000:01:00.1', '0000:01:00.2'] })
  const plans = [sriov({ type: 'host-device' }), define(), sriov(list), sriov({ type: 'host-device' })]
    .map((definition, at) => [definition, at] as const)
    .filter(([{ spec }]) => spec !== undefined)
    .map(([definition, at]) => planNetwork(select('a'), at, definition, turns))
  const [first, second, third] = plans.map(plan => planAddition(plan, place))
  assert.equal(plans[0]?.device?.id, '0000:01:00.1')
  assert.deepEqual(pluginConfig(must(first, 'first'), must(first?.plugins[0], 'a plugin')), {
    ...{ cniVersion: '0.1.0', name: 'a', type: 'host-device' },
    ...{ deviceID: '0000:01:00.1', pciBusID: '0000:01:00.1' },
  })
  const [sriovPlugin, tuning] = second?.plugins ?? []
  const told = pluginConfig(must(second, 'second'), must(sriovPlugin, 'a plugin')) as Record<string, unknown>
  assert.deepEqual(
    [told['deviceID'], told['runtimeConfig'], tuning],
    ['0000:01:00.2', { deviceID: '0000:01:00.2' }, { type: 'tuning' }],
  )
  assert.equal(plans[2]?.device, null)
  assert.equal('deviceID' in must(third?.plugins[0], 'a plugin'), false)
})

test('what a device plugin has written of a device is told as it is', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'mk8s-devinfo-'))
  const device = { resource: 'example.com/vf', id: '0000:01:00.1' }
  const info = { type: 'pci', version: '1.1.0', pci: { 'pci-address': '0000:01:00.1' } }
  assert.equal(await readDeviceInfo(device, directory), null)
  await writeFile(join(directory, 'example.com-vf-0000:01:00.1-device.json'), JSON.stringify(info))
  const deviceInfo = await readDeviceInfo(device, directory)
  const attached = { name: 'web/a', interfaceName: 'net1', result: null, defaultRoute: [], deviceInfo }
  const [, told] = renderNetworkStatus({ name: 'mk8s', dns: {}, interfaces: [] }, [attached])
  assert.deepEqual(told, { name: 'web/a', interface: 'net1', dns: {}, 'device-info': info })
  await rm(directory, { recursive: true })
})

test('isolated namespaces use their own definitions and those for everybody', () => {
  const isolated = { namespaceIsolation: true, globalNamespaces: ['default'] }
  for (const text of ['a', 'web/a', 'default/a']) assertMayUse(select(text), 'web', isolated)
  assert.throws(() => assertMayUse(select('db/a'), 'web', isolated), /may not use the network db\/a/)
  assertMayUse(select('db/a'), 'web', { ...isolated, namespaceIsolation: false })
})

test('a default route moves to the network that asks for it, each family by itself', () => {
  const networks = [
    { interfaceName: 'net1', defaultRoute: [] },
    { interfaceName: 'net2', defaultRoute: ['10.0.0.1'] },
  ]
  const said = planDefaultRoutes(networks).map(
    ({ words, mayFail }) => `${words.join(' ')}${mayFail ? ' ?' : ''}`,
  )
  assert.deepEqual(said, [
    '-4 route del default dev eth0 ?',
    '-4 route del default dev net1 ?',
    '-4 route del default dev net2 ?',
    '-4 route replace default via 10.0.0.1 dev net2',
  ])
  assert.deepEqual(planDefaultRoutes([{ interfaceName: 'net1', defaultRoute: [] }]), [])
})

test('the status tells interfaces inside the pod, addresses of both families, and gateways of default routes', () => {
  const own = {
    name: 'mk8s',
    dns: {},
    interfaces: [{ name: 'eth0', mac: 'aa', addresses: ['10.1.0.2'], gateways: [] }],
  }
  const result = {
    interfaces: [
      { name: 'br0' },
      { name: 'veth1', sandbox: '' },
      { name: 'net1', mac: 'bb', sandbox: '/run/x' },
    ],
    ips: [
      { address: '10.0.0.2/24', gateway: '10.0.0.1', interface: 2 },
      { address: 'fd00::2/64', gateway: 'fd00::1', interface: 2 },
    ],
    routes: [{ dst: '0.0.0.0/0' }],
    dns: { nameservers: ['10.0.0.53'] },
  }
  const old = { ip4: { ip: '10.9.0.2/24' } }
  const status = renderNetworkStatus(own, [
    { name: 'web/a', interfaceName: 'net1', result, defaultRoute: [] },
    { name: 'web/b', interfaceName: 'net2', result: old, defaultRoute: ['10.9.0.1'] },
    { name: 'web/c', interfaceName: 'net3', result: null, defaultRoute: [] },
  ])
  assert.deepEqual(status, [
    { name: 'mk8s', interface: 'eth0', ips: ['10.1.0.2'], mac: 'aa', default: true, dns: {} },
    {
      ...{ name: 'web/a', interface: 'net1', ips: ['10.0.0.2', 'fd00::2'], mac: 'bb', gateway: ['10.0.0.1'] },
      dns: { nameservers: ['10.0.0.53'] },
    },
    { name: 'web/b', interface: 'net2', ips: ['10.9.0.2'], dns: {}, gateway: ['10.9.0.1'] },
    { name: 'web/c', interface: 'net3', dns: {} },
  ])
})

test('containerd tells where the namespace of a sandbox is and what is in it', () => {
  const info = {
    runtimeSpec: { linux: { namespaces: [{ type: 'pid' }, { type: 'network', path: '/run/netns/cni-1' }] } },
    cniResult: {
      Interfaces: {
        eth0: {
          IPConfigs: [{ IP: '10.1.0.2', Gateway: '10.1.0.1' }],
          Mac: 'aa',
          Sandbox: '/run/netns/cni-1',
        },
        lo: { IPConfigs: [{ IP: '127.0.0.1' }], Mac: '00', Sandbox: '/run/netns/cni-1' },
        veth0: { IPConfigs: null, Mac: 'bb', Sandbox: '' },
      },
    },
  }
  assert.deepEqual(parseSandboxNetwork({ info: JSON.stringify(info) }), {
    ...{ netns: '/run/netns/cni-1', dns: {} },
    interfaces: [{ name: 'eth0', mac: 'aa', addresses: ['10.1.0.2'], gateways: ['10.1.0.1'] }],
  })
  assert.equal(parseSandboxNetwork({ info: '{}' }), null)
})
