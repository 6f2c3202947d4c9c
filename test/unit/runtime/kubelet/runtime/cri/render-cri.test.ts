import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  cdiSupportOf,
  parseSandboxConfig,
} from '../../../../../../src/runtime/kubelet/runtime/cri/parse-cri.ts'
import {
  type CdiSupport,
  renderContainerConfig,
  renderResources,
  renderSandboxConfig,
} from '../../../../../../src/runtime/kubelet/runtime/cri/render-cri.ts'
import type {
  SandboxConfig,
  SandboxIsolation,
} from '../../../../../../src/runtime/kubelet/runtime/runtime.ts'
import { containerOf, sandboxOf } from '../../../../../contract/runtime/runtime-contract.ts'

const GIB = 1024 ** 3
const isolation: SandboxIsolation = {
  dns: { servers: ['10.152.183.10'], searches: ['default.svc.cluster.local'], options: ['ndots:5'] },
  hostPorts: [{ protocol: 'TCP', containerPort: 80, hostPort: 8080, hostIp: '' }],
  qosClass: 'Burstable',
  sharing: { hostPid: false, hostIpc: false, processes: true },
  privileged: false,
  sysctls: { 'net.ipv4.tcp_syncookies': '1' },
}
const place = (sandbox: SandboxConfig) => ({
  sandboxId: 's1',
  nodeId: 'mk8s',
  sandbox,
  hostMemoryBytes: GIB,
  cdi: 'field' as CdiSupport,
})

test('a sandbox on the host network has no name and no ports of its own', () => {
  const config = sandboxOf('/x', { isolation })
  const own = renderSandboxConfig(config, 'mk8s')
  assert.equal(own.hostname, 'web')
  assert.equal(own.portMappings.length, 1)
  assert.deepEqual(own.linux.securityContext.namespaceOptions, { network: 'POD', pid: 'POD', ipc: 'POD' })
  const host = renderSandboxConfig({ ...config, hostNetwork: true }, 'mk8s')
  assert.equal(host.hostname, '')
  assert.deepEqual(host.portMappings, [])
  assert.equal(host.linux.securityContext.namespaceOptions.network, 'NODE')
})

test('users of a pod are told with its sandbox, its containers and their mounts', () => {
  const config = sandboxOf('/x', { isolation: { ...isolation, userRange: { first: 65_536, count: 65_536 } } })
  const mapping = [{ hostId: 65_536, containerId: 0, length: 65_536 }]
  const expected = { mode: 'POD', uids: mapping, gids: mapping }
  const told = renderSandboxConfig(config, 'mk8s').linux.securityContext.namespaceOptions.usernsOptions
  assert.deepEqual(told, expected)
  const mounts = [{ containerPath: '/a', hostPath: '/b', readOnly: true }]
  const container = renderContainerConfig(containerOf({ mounts }), place(config))
  assert.deepEqual(container.linux.securityContext.namespaceOptions.usernsOptions, expected)
  assert.deepEqual(container.mounts[0]?.uidMappings, mapping)
})

test('a later daemon reads back what a sandbox was made with', () => {
  const config = sandboxOf('/x', { isolation, labels: { app: 'web' }, annotations: { note: 'n' } })
  const { metadata, labels, annotations } = renderSandboxConfig(config, 'mk8s')
  const status = { id: 's1', state: 'SANDBOX_READY', createdAt: 0, network: null } as const
  assert.deepEqual(parseSandboxConfig({ ...status, metadata, labels, annotations }), config)
  assert.equal(parseSandboxConfig({ ...status, metadata, labels, annotations: {} }), null)
})

test('resources become shares, quota and a score as the kubelet computes them', () => {
  const render = (resources: object, qosClass: 'Guaranteed' | 'Burstable' | 'BestEffort') =>
    renderResources({ resources }, { hostMemoryBytes: GIB, qosClass })
  assert.deepEqual(render({}, 'BestEffort'), { cpuShares: 2, oomScoreAdj: 1_000 })
  assert.deepEqual(
    render({ cpuRequestMillis: 250, cpuLimitMillis: 500, memoryRequestBytes: GIB / 4 }, 'Burstable'),
    { cpuShares: 256, cpuPeriod: 100_000, cpuQuota: 50_000, oomScoreAdj: 750 },
  )
  const guaranteed = render({ cpuLimitMillis: 5, memoryLimitBytes: GIB }, 'Guaranteed')
  assert.deepEqual(guaranteed, {
    cpuShares: 5,
    cpuPeriod: 100_000,
    cpuQuota: 1_000,
    memoryLimitInBytes: GIB,
    oomScoreAdj: -997,
  })
})

test('what a container may do is what its security context says', () => {
  const sandbox = sandboxOf('/x', { isolation })
  const plain = renderContainerConfig(containerOf(), place(sandbox)).linux.securityContext
  assert.equal(plain.runAsUser, undefined)
  assert.ok(plain.maskedPaths.includes('/proc/kcore'))
  assert.deepEqual(plain.seccomp, { profileType: 'Unconfined' })
  const security = {
    runAsUser: 1_000,
    runAsGroup: 2_000,
    noNewPrivileges: true,
    dropCapabilities: ['ALL'],
    seccomp: { type: 'RuntimeDefault' },
  } as const
  const strict = renderContainerConfig(containerOf({ security }), place(sandbox)).linux.securityContext
  assert.deepEqual(strict.runAsUser, { value: 1_000 })
  assert.deepEqual(strict.runAsGroup, { value: 2_000 })
  assert.equal(strict.noNewPrivs, true)
  assert.deepEqual(strict.capabilities, { addCapabilities: [], dropCapabilities: ['ALL'] })
  const root = renderContainerConfig(containerOf({ security: { privileged: true } }), place(sandbox))
  assert.deepEqual(root.linux.securityContext.maskedPaths, [])
})

test('CDI devices are told as the runtime knows them', () => {
  const config = containerOf({ cdiDevices: ['example.com/gpu=a'], annotations: { a: 'b' } })
  const told = (version: string) => {
    const cdi = cdiSupportOf('containerd', version)
    const { CDIDevices, annotations } = renderContainerConfig(config, {
      ...place(sandboxOf('/x', { isolation })),
      cdi,
    })
    return { cdi, CDIDevices, annotations }
  }
  const a = 'example.com/gpu=a'
  const annotations = { a: 'b' }
  const said = { ...annotations, 'cdi.k8s.io/mk8s_devices': a }
  assert.deepEqual(told('1.6.20'), { cdi: 'none', CDIDevices: [], annotations })
  assert.deepEqual(told('1.7.1'), { cdi: 'annotations', CDIDevices: [], annotations: said })
  assert.deepEqual(told('2.1.0'), { cdi: 'field', CDIDevices: [{ name: a }], annotations })
})
