/** A container's specification out of pod, image and machine: what tells a container apart. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { capabilitiesOf } from '../../../../../../src/runtime/kubelet/runtime/oci/capabilities.ts'
import {
  bandwidthOf,
  type CniArguments,
  parseNetworkConfig,
  pluginConfig,
  pluginsFor,
} from '../../../../../../src/runtime/kubelet/runtime/oci/cni-config.ts'
import { commandOf, renderSpec } from '../../../../../../src/runtime/kubelet/runtime/oci/render-spec.ts'
import { runtimeDefaultProfile } from '../../../../../../src/runtime/kubelet/runtime/oci/seccomp.ts'
import { userOf } from '../../../../../../src/runtime/kubelet/runtime/oci/users.ts'
import { containerOf, sandboxOf } from '../../../../../contract/runtime/runtime-contract.ts'

const host = { capabilities: ['CAP_KILL', 'CAP_CHOWN'], memoryBytes: 1e9, hasUnifiedCgroups: true }
const lists = {
  passwd: 'root:x:0:0::/root:/bin/sh\nweb:x:101:102::/:/bin/sh\n',
  group: 'root:x:0:\nweb:x:102:\nlogs:x:103:other,web\n',
}

test('a command of the pod stands for the arguments of the image too', () => {
  const image = { Entrypoint: ['/entry'], Cmd: ['serve'] }
  assert.deepEqual(commandOf({ command: [], args: [] }, image), ['/entry', 'serve'])
  assert.deepEqual(commandOf({ command: [], args: ['check'] }, image), ['/entry', 'check'])
  assert.deepEqual(commandOf({ command: ['/own'], args: [] }, image), ['/own'])
})

test('users and groups are found in the image, with the groups that they are members of', () => {
  assert.deepEqual(userOf({}, 'web', lists), { uid: 101, gid: 102, additionalGids: [102, 103] })
  assert.deepEqual(userOf({}, 'web:logs', lists), { uid: 101, gid: 103, additionalGids: [103] })
  const security = { runAsUser: 7, runAsGroup: 8, supplementalGroups: [9] }
  assert.deepEqual(userOf(security, 'web', lists), { uid: 7, gid: 8, additionalGids: [8, 9] })
  assert.throws(() => userOf({}, 'nobody', lists), { message: /unable to find user nobody/ })
})

test('capabilities are dropped and added by any of their names', () => {
  const wishes = { privileged: false, add: [] as string[], drop: [] as string[], host: host.capabilities }
  assert.deepEqual(capabilitiesOf({ ...wishes, drop: ['kill'] }), ['CAP_CHOWN'])
  assert.deepEqual(capabilitiesOf({ ...wishes, drop: ['ALL'], add: ['NET_ADMIN'] }), ['CAP_NET_ADMIN'])
  assert.deepEqual(capabilitiesOf({ ...wishes, add: ['ALL'], drop: ['CHOWN'] }), ['CAP_KILL'])
})

test('what a capability guards is open to whoever has it', () => {
  const opened = (capabilities: readonly string[]) =>
    runtimeDefaultProfile(capabilities, 'x64').syscalls?.flatMap(({ names, action, args }) =>
      action === 'SCMP_ACT_ALLOW' && args === undefined ? names : [],
    ) ?? []
  for (const call of ['mount', 'bpf', 'clone3', 'keyctl']) assert.ok(!opened([]).includes(call), call)
  for (const call of ['mount', 'bpf', 'clone3']) assert.ok(opened(['CAP_SYS_ADMIN']).includes(call), call)
  assert.ok(!opened(['CAP_SYS_ADMIN']).includes('keyctl'))
  for (const all of [[], ['CAP_SYS_ADMIN', 'CAP_SYS_PTRACE']]) {
    const names = opened(all)
    assert.equal(new Set(names).size, names.length)
  }
})

test('volumes stand in for what every container has, outer ones first, and scores stay where they may', () => {
  const mount = (containerPath: string) => ({ containerPath, hostPath: '/v', readOnly: false })
  const config = containerOf({ mounts: [mount('/a/b'), mount('/etc/resolv.conf/'), mount('/a')] })
  const spec = renderSpec({
    ...{ config, sandbox: sandboxOf('/s', { isolation: undefined }), sandboxDirectory: '/s', rootfs: '/r' },
    image: { Env: ['PATH=/image', 'A=image'] },
    user: { uid: 5, gid: 5, additionalGids: [] },
    host: { ...host, oomScoreMin: 1_000 },
    ...{ cgroup: '/c', devices: [], volumeDevices: [], pidNamespace: undefined, localSeccomp: undefined },
    appArmor: 'mk8s-default',
  }) as {
    mounts: { destination: string; source: string }[]
    process: {
      env: string[]
      oomScoreAdj: number
      apparmorProfile: string
      capabilities: Record<string, readonly string[]>
    }
    linux: { namespaces: { type?: string; path?: string }[] }
  }
  const own = spec.mounts.filter(({ source }) => source === '/v').map(({ destination }) => destination)
  assert.deepEqual(own, ['/a', '/a/b', '/etc/resolv.conf'])
  assert.equal(spec.process.apparmorProfile, 'mk8s-default')
  assert.equal(spec.mounts.filter(({ destination }) => destination === '/etc/resolv.conf').length, 1)
  assert.deepEqual(spec.process.env, ['PATH=/image', 'A=image'])
  assert.equal(spec.process.oomScoreAdj, 1_000)
  assert.deepEqual(spec.process.capabilities['effective'], [])
  const network = spec.linux.namespaces.find(({ type }) => type === 'network')
  assert.equal(network?.path, '/s/net')
})

test('plugins get what the pod wishes of them, and are left out when it wishes nothing', () => {
  const text = JSON.stringify({
    cniVersion: '1.0.0',
    name: 'net',
    plugins: [{ type: 'ptp' }, { type: 'portmap', capabilities: { portMappings: true }, snat: true }],
  })
  const { plugins } = parseNetworkConfig(text, '10.conflist')
  const args = (runtimeConfig: object): CniArguments => ({
    ...{ containerId: 'c', netns: '/n', interfaceName: 'eth0', pod: {} },
    runtimeConfig: { ...runtimeConfig },
  })
  const typesFor = (wishes: object) => pluginsFor(plugins, args(wishes)).map(({ type }) => type)
  assert.deepEqual(typesFor({}), ['ptp'])
  assert.deepEqual(typesFor({ portMappings: [] }), ['ptp', 'portmap'])
  const attachment = {
    network: 'net',
    cniVersion: '1.0.0',
    arguments: args({ portMappings: [1] }),
    result: {},
  }
  assert.deepEqual(pluginConfig(attachment, plugins[1] ?? { type: '' }), {
    ...{ type: 'portmap', snat: true, name: 'net', cniVersion: '1.0.0' },
    ...{ runtimeConfig: { portMappings: [1] }, prevResult: {} },
  })
})

test('a pod that asks for bandwidth gets so much, with bursts that are over soon', () => {
  const egress = (text: string) => bandwidthOf({ 'kubernetes.io/egress-bandwidth': text })
  assert.equal(bandwidthOf({}), undefined)
  assert.deepEqual(egress('10M'), { egressRate: 10_000_000, egressBurst: 1_000_000 })
  assert.deepEqual(egress('1e6'), { egressRate: 1_000_000, egressBurst: 524_288 })
  assert.deepEqual(egress('1T'), { egressRate: 1e12, egressBurst: 2 ** 31 - 1 })
  assert.throws(() => egress('nonsense'), /egress-bandwidth: quantities must match/)
  assert.throws(() => egress('500'), /unreasonably small/)
  assert.throws(() => egress('2P'), /unreasonably large/)
})
