/** What plugins are called for a pod's networks, and what its annotation says afterwards. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { must } from '../../../../../src/base/assert.ts'
import { renderNetworkStatus } from '../../../../../src/runtime/kubelet/networks/network-status.ts'
import { parseSelections } from '../../../../../src/runtime/kubelet/networks/parse-selections.ts'
import {
  assertMayUse,
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
const none = () => undefined
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
  const added = planAddition(planNetwork(selection, 0, define(config), none), place)
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
  const added = planAddition(planNetwork(select('a@x1'), 4, list, none), place)
  assert.deepEqual(
    [added.network, added.arguments.interfaceName, added.plugins.map(({ type }) => type)],
    ['list', 'x1', ['bridge', 'tuning']],
  )
})

test('a definition without a config takes the one of its name from the node', () => {
  const onNode = { name: 'a', cniVersion: '1.0.0', plugins: [{ type: 'ptp' }] }
  for (const definition of [define(), define(''), { ...define(), spec: {} }])
    assert.equal(
      planNetwork(select('a'), 0, definition, name => (name === 'a' ? onNode : undefined)).config,
      onNode,
    )
  const absent = /web\/a has no config, and no network configuration on this node is named a/
  assert.throws(() => planNetwork(select('a'), 0, define(), none), absent)
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
    assert.throws(() => planNetwork(select('a'), 0, define(config), none), reason)
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
