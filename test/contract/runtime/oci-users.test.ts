/** Pods of the oci runtime with user namespaces of their own: whom they see, what they may do, what is left of them. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { OciRuntime } from '../../../src/runtime/kubelet/runtime/oci/oci-runtime.ts'
import type { ContainerConfig, SandboxConfig } from '../../../src/runtime/kubelet/runtime/runtime.ts'
import { type OciBench, ociBench, whyNoOci } from '../../support/oci.ts'
import { until } from '../../support/until.ts'
import { containerOf, sandboxOf } from './runtime-contract.ts'

const FIRST = 20 * 65_536
const isolation = {
  hostPorts: [],
  qosClass: 'BestEffort' as const,
  sharing: { hostPid: false, hostIpc: false, processes: false },
  privileged: false,
  sysctls: { 'net.ipv4.ip_unprivileged_port_start': '80' },
  userRange: { first: FIRST, count: 65_536 },
}

describe('user namespaces of the oci runtime', { skip: whyNoOci() ?? false }, () => {
  let bench: OciBench
  let runtime: OciRuntime
  const ended = new Set<string>()
  before(async () => {
    bench = ociBench()
    await bench.import('docker.io/example/web:1')
    runtime = bench.open()
    await runtime.start(event => ended.add(event.containerId))
  })
  after(async () => {
    await runtime?.stop()
    await bench?.remove()
  })

  const sandboxWith = (over: Partial<SandboxConfig> = {}) =>
    runtime.runSandbox(sandboxOf(bench.directory, { isolation, ...over }))
  const startIn = async (sandbox: string, over: Partial<ContainerConfig> = {}) => {
    const id = await runtime.createContainer(sandbox, containerOf(over))
    await runtime.startContainer(id)
    return id
  }
  const inside = async (id: string, script: string) => {
    const { stdout, stderr } = await runtime.exec(id, ['sh', '-c', script], { timeoutMs: 60_000 })
    return (stdout + stderr).trim()
  }
  const traces = () => [
    readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .filter(line => line.includes(bench.directory) || line.includes(`${bench.nodeId}.roots`)),
    existsSync(`/run/${bench.nodeId}.roots`) ? statSync(`/run/${bench.nodeId}.roots`).nlink - 2 : 0,
  ]

  test('the node says which handlers have them', () => {
    assert.ok(runtime.handlers.some(({ name, userNamespaces }) => name === '' && userNamespaces))
  })

  test('root of the pod owns its files and volumes, rules its namespaces, and is nobody on the machine', async () => {
    const volume = join(bench.directory, 'volume')
    await mkdir(volume, { mode: 0o700 })
    await writeFile(join(volume, 'secret'), 'told\n', { mode: 0o400 })
    const file = join(bench.directory, 'hosts')
    await writeFile(file, 'one file\n', { mode: 0o600 })
    const sandbox = await sandboxWith()
    const id = await startIn(sandbox, {
      security: { addCapabilities: ['NET_ADMIN'] },
      mounts: [
        { containerPath: '/vol', hostPath: volume, readOnly: false },
        { containerPath: '/etc/hosts', hostPath: file, readOnly: true },
      ],
    })
    const { init } = JSON.parse(
      readFileSync(join(bench.directory, 'oci/containers', id, 'state.json'), 'utf8'),
    )
    assert.equal(statSync(`/proc/${init.pid}`).uid, FIRST)
    assert.match(await inside(id, 'cat /proc/self/uid_map'), new RegExp(`^0\\s+${FIRST}\\s+65536$`))
    const owners = 'stat -c %u:%g / /bin/busybox /vol/secret /etc/hosts /etc/resolv.conf /dev/shm'
    assert.equal(await inside(id, owners), Array(6).fill('0:0').join('\n'))
    assert.equal(await inside(id, 'cat /vol/secret /etc/hosts'), 'told\none file')
    assert.equal(await inside(id, 'echo x >/vol/new; echo y >/new; cat /new; chown 5:6 /vol/new'), 'y')
    // On the disk the volume's files are the machine's, and so can other pods use them.
    assert.deepEqual([statSync(join(volume, 'new')).uid, statSync(join(volume, 'new')).gid], [5, 6])
    assert.equal(
      await inside(id, 'hostname; ip link add name v0 type veth peer name v1 && echo made'),
      'web\nmade',
    )
    assert.equal(await inside(id, 'cat /proc/sys/net/ipv4/ip_unprivileged_port_start'), '80')
    assert.match(await inside(id, 'hostname other || mknod /dev/sda b 8 0'), /not permitted/)
    await runtime.removeSandbox(sandbox)
    assert.equal(await readFile(join(volume, 'secret'), 'utf8'), 'told\n')
    assert.deepEqual(traces(), [[], 0])
  })

  test('containers of a pod share the namespace, also with a shared process namespace and another user', async () => {
    const sharing = { ...isolation.sharing, processes: true }
    const sandbox = await sandboxWith({ isolation: { ...isolation, sharing } })
    const first = await startIn(sandbox)
    const security = { runAsUser: 1_000, runAsGroup: 7 }
    const volume = join(bench.directory, 'for-1000')
    await mkdir(volume)
    await chmod(volume, 0o777)
    const second = await startIn(sandbox, {
      ...{ name: 'second', logPath: 'second/0.log', security },
      mounts: [{ containerPath: '/vol', hostPath: volume, readOnly: false }],
    })
    const space = 'readlink /proc/self/ns/user'
    assert.equal(await inside(first, space), await inside(second, space))
    assert.equal(await inside(second, 'id -u; touch /vol/mine; stat -c %u:%g /vol/mine'), '1000\n1000:7')
    assert.match(await inside(first, 'ps'), /\/pause[\s\S]*sleep 600/)
    await runtime.removeSandbox(sandbox)
    assert.deepEqual(traces(), [[], 0])
  })

  test('a later daemon finds such pods, and ends them without a trace', async () => {
    const sandbox = await sandboxWith()
    const id = await startIn(sandbox)
    await runtime.stop()
    runtime = bench.open()
    await runtime.start(event => ended.add(event.containerId))
    assert.equal(await inside(id, 'id -u'), '0')
    await startIn(sandbox, { name: 'later', logPath: 'later/0.log' })
    await runtime.stopContainer(id, 0)
    await until('its end is noticed', () => ended.has(id))
    await runtime.removeSandbox(sandbox)
    assert.deepEqual(traces(), [[], 0])
  })

  test('a volume on a file system without mapped mounts is refused in words', async () => {
    const sandbox = await sandboxWith()
    const mounts = [{ containerPath: '/vol', hostPath: '/proc/sys', readOnly: true }]
    await assert.rejects(startIn(sandbox, { mounts }), /MOUNT_ATTR_IDMAP on \/proc\/sys: Invalid argument/)
    await runtime.removeSandbox(sandbox)
    assert.deepEqual(traces(), [[], 0])
  })
})
