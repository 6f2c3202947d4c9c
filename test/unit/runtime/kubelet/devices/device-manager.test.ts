/** Device plugins over real sockets: registering, devices that fall ill, what containers get, and a kubelet that restarts. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { systemClock } from '../../../../../src/base/clock.ts'
import { silentLog } from '../../../../../src/base/log.ts'
import type { Pod } from '../../../../../src/kube/types.ts'
import { DeviceManager } from '../../../../../src/runtime/kubelet/devices/device-manager.ts'
import { POD_RESOURCES_PROTO } from '../../../../../src/runtime/kubelet/devices/pod-resources-proto.ts'
import { RpcChannel } from '../../../../../src/runtime/kubelet/runtime/cri/rpc.ts'
import { RESOURCE, startDevicePlugin } from '../../../../support/device-plugin.ts'
import { until } from '../../../../support/until.ts'

const podOf = (uid: string, count: number): Pod =>
  ({
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { uid, name: uid, namespace: 'd' } },
    spec: { containers: [{ name: 'c', resources: { limits: { [RESOURCE]: String(count) } } }] },
  }) as Pod

test('devices of a plugin are told, given to one pod each, kept over a restart and freed', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-devices-'))
  const live = new Map<string, Pod>()
  const open = () =>
    new DeviceManager({
      ...{
        directory,
        claims: { preparedFor: () => [] },
        podResources: join(directory, 'pods'),
        livePods: () => [...live.values()],
        onChange: () => {},
        clock: systemClock,
        log: silentLog,
      },
    })
  let manager = open()
  await manager.start()
  const plugin = await startDevicePlugin(directory)
  const untilHealthy = (count: string) =>
    until(`${count} are healthy`, () => manager.amounts().allocatable[RESOURCE] === count)
  try {
    await assert.rejects(plugin.register('no-domain'), /invalid/)
    await plugin.register()
    await untilHealthy('2')
    live.set('p1', podOf('p1', 1))
    assert.equal(manager.admit(podOf('p1', 1)), null)
    const settings = await manager.settingsFor('p1', 'c')
    assert.deepEqual(settings.env, { THINGS: 'a' })
    const device = { containerPath: '/dev/thing', hostPath: '/dev/null', readOnly: false }
    assert.deepEqual(settings.devices, [device])
    assert.deepEqual(settings.cdiDevices, [`${RESOURCE}=a`])
    assert.deepEqual(manager.admit(podOf('p2', 2)), {
      reason: 'UnexpectedAdmissionError',
      message: `Pod was rejected: Allocate failed due to requested number of devices unavailable for ${RESOURCE}. Requested: 2, Available: 1, which is unexpected`,
    })
    manager.stop()
    manager = open()
    await manager.start()
    assert.deepEqual(manager.amounts().capacity, { [RESOURCE]: '0' })
    await plugin.register()
    await untilHealthy('2')
    assert.deepEqual((await manager.settingsFor('p1', 'c')).env, { THINGS: 'a' })
    plugin.tell({ a: 'Healthy', b: 'Unhealthy' })
    await untilHealthy('1')
    assert.equal(manager.amounts().capacity[RESOURCE], '2')
    assert.equal(manager.admit(podOf('p3', 1))?.reason, 'UnexpectedAdmissionError')
    live.delete('p1')
    assert.equal(manager.admit(podOf('p3', 1)), null)
    plugin.stop()
    await until('nothing is left', () => manager.amounts().capacity[RESOURCE] === '0')
  } finally {
    plugin.stop()
    manager.stop()
    rmSync(directory, { recursive: true, force: true })
  }
})

test('a plugin may choose devices and prepare them, and agents of the node see who has what', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-devices-'))
  const live = new Map<string, Pod>()
  const podResources = join(directory, 'pods')
  const manager = new DeviceManager({
    ...{ directory, podResources, claims: { preparedFor: () => [] } },
    ...{ livePods: () => [...live.values()], onChange: () => {} },
    ...{ clock: systemClock, log: silentLog },
  })
  await manager.start()
  const plugin = await startDevicePlugin(directory, {
    ...{ preStartRequired: true, getPreferredAllocationAvailable: true },
  })
  const agent = await RpcChannel.open(join(podResources, 'kubelet.sock'), [POD_RESOURCES_PROTO], systemClock)
  const ask = (method: string, request: object = {}) =>
    agent.call<object>('v1.PodResourcesLister', method, request, { deadlineMs: 20_000 })
  try {
    await plugin.register()
    await until('both are known', () => manager.amounts().capacity[RESOURCE] === '2')
    const pod = podOf('p1', 1)
    live.set('p1', pod)
    await manager.askPreferences(pod)
    assert.equal(manager.admit(pod), null)
    assert.equal(manager.admit(pod), null, 'it is judged again when its node has changed')
    assert.deepEqual((await manager.settingsFor('p1', 'c')).env, { THINGS: 'b' })
    assert.deepEqual(plugin.begun, ['b'])
    const late = podOf('p2', 1)
    await manager.askPreferences(late)
    assert.equal(manager.admit(podOf('p3', 1)), null, 'what was only asked for is not held')
    const device = (id: string) => ({
      ...{ resourceName: RESOURCE, deviceIds: [id], topology: { nodes: [{ id: 1 }] } },
    })
    const own = { cpuIds: [], memory: [], dynamicResources: [] }
    const told = {
      ...{ name: 'p1', namespace: 'd' },
      containers: [{ name: 'c', devices: [device('b')], ...own }],
    }
    assert.deepEqual(await ask('List'), { podResources: [told] })
    assert.deepEqual(await ask('Get', { podName: 'p1', podNamespace: 'd' }), { podResources: told })
    await assert.rejects(ask('Get', { podName: 'p9', podNamespace: 'd' }), /pod p9 in namespace d not found/)
    assert.deepEqual(await ask('GetAllocatableResources'), {
      ...{ devices: [device('a'), device('b')], cpuIds: [], memory: [] },
    })
  } finally {
    agent.close()
    plugin.stop()
    manager.stop()
    rmSync(directory, { recursive: true, force: true })
  }
})
