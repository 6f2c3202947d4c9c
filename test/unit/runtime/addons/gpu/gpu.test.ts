/** The add-on gpu on made machines: what it finds, how nodes are labelled, and what a real kubelet's device manager gets. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import test from 'node:test'
import { systemClock } from '../../../../../src/base/clock.ts'
import { silentLog } from '../../../../../src/base/log.ts'
import { systemRandom } from '../../../../../src/base/random.ts'
import type { KubeClient } from '../../../../../src/client/kube-client.ts'
import type { Pod } from '../../../../../src/kube/types.ts'
import { findGpus } from '../../../../../src/runtime/addons/gpu/find-gpus.ts'
import { gpuPart } from '../../../../../src/runtime/addons/gpu/gpu.ts'
import {
  describeGpus,
  gpuLabels,
  labelChanges,
  offeredDevices,
  preferredShares,
} from '../../../../../src/runtime/addons/gpu/gpu-devices.ts'
import { readHardware } from '../../../../../src/runtime/addons/gpu/read-hardware.ts'
import type { PartContext } from '../../../../../src/runtime/addons/part.ts'
import { DeviceManager } from '../../../../../src/runtime/kubelet/devices/device-manager.ts'
import { until } from '../../../../support/until.ts'

/** A root directory with files, by path; a text that begins with `→` is a link. */
function machine(files: Readonly<Record<string, string>>) {
  const root = mkdtempSync(join(tmpdir(), 'mk8s-gpu-'))
  const write = (path: string, content: string) => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    if (content.startsWith('→')) symlinkSync(content.slice(1), join(root, path))
    else writeFileSync(join(root, path), content)
  }
  for (const [path, content] of Object.entries(files)) write(path, content)
  return { root, write, remove: () => rmSync(root, { recursive: true, force: true }) }
}

const pci = (
  address: string,
  [vendor, device, kind]: readonly string[],
  driver = '',
  drm: string[] = [],
) => ({
  [`sys/bus/pci/devices/${address}/vendor`]: `0x${vendor}\n`,
  [`sys/bus/pci/devices/${address}/device`]: `0x${device}\n`,
  [`sys/bus/pci/devices/${address}/class`]: `0x${kind}\n`,
  [`sys/bus/pci/devices/${address}/numa_node`]: '1\n',
  ...(driver === ''
    ? {}
    : { [`sys/bus/pci/devices/${address}/driver`]: `→../../../bus/pci/drivers/${driver}` }),
  ...Object.fromEntries(drm.map(name => [`sys/bus/pci/devices/${address}/drm/${name}/dev`, '226:0\n'])),
  ...Object.fromEntries(drm.map(name => [`dev/dri/${name}`, ''])),
})
const TESLA = ['10de', '1eb8', '030200']
const nvidiaFiles = {
  ...pci('0000:00:05.0', TESLA, 'nvidia'),
  ...pci('0000:00:04.0', TESLA, 'nvidia'),
  'proc/driver/nvidia/gpus/0000:00:04.0/information':
    'Model: \t\t Tesla T4\nIRQ:   \t\t 33\nGPU UUID: \t GPU-aaaa\nDevice Minor: \t 0\n',
  'proc/driver/nvidia/gpus/0000:00:05.0/information':
    'Model: \t\t Tesla T4\nGPU UUID: \t GPU-????????\nDevice Minor: \t 1\n',
  ...Object.fromEntries(
    ['nvidia0', 'nvidia1', 'nvidiactl', 'nvidia-uvm', 'nvidia-caps/x'].map(name => [`dev/${name}`, '']),
  ),
}

test('GPUs of three vendors are found with the files they need, and nothing else is taken for one', async () => {
  const { root, remove } = machine({
    ...nvidiaFiles,
    ...pci('0000:00:02.0', ['8086', '9a49', '030000'], 'i915', ['card0', 'renderD128']),
    ...pci('0000:c1:00.0', ['1002', '740f', '120000'], 'amdgpu', ['card1', 'renderD129']),
    ...pci('0000:00:1f.6', ['8086', '15fc', '020000'], 'e1000e'),
    ...pci('0000:00:01.0', ['1234', '1111', '030000'], 'bochs-drm', ['card2']),
    'dev/kfd': '',
  })
  try {
    const gpus = findGpus(await readHardware(root))
    assert.deepEqual(
      gpus.map(({ resource, id, problem }) => [resource, id, problem]),
      [
        ['gpu.intel.com/i915', '0000:00:02.0', ''],
        ['nvidia.com/gpu', 'GPU-aaaa', ''],
        ['nvidia.com/gpu', '0000:00:05.0', ''],
        ['amd.com/gpu', '0000:c1:00.0', ''],
      ],
    )
    const shared = ['/dev/nvidiactl', '/dev/nvidia-uvm']
    assert.deepEqual(gpus[1]?.files, ['/dev/nvidia0', ...shared])
    assert.deepEqual(gpus[3]?.files, ['/dev/kfd', '/dev/dri/card1', '/dev/dri/renderD129'])
    assert.deepEqual(gpuLabels(gpus, { replicas: 4, isOffered: true }), {
      'feature.node.kubernetes.io/pci-8086.present': 'true',
      'gpu.intel.com/present': 'true',
      'gpu.intel.com/count': '1',
      'gpu.intel.com/replicas': '4',
      'intel.feature.node.kubernetes.io/gpu': 'true',
      'feature.node.kubernetes.io/pci-10de.present': 'true',
      'nvidia.com/gpu.present': 'true',
      'nvidia.com/gpu.count': '2',
      'nvidia.com/gpu.product': 'Tesla-T4-SHARED',
      'nvidia.com/gpu.replicas': '4',
      'feature.node.kubernetes.io/pci-1002.present': 'true',
      'amd.com/gpu.present': 'true',
      'amd.com/gpu.count': '1',
      'amd.com/gpu.replicas': '4',
    })
  } finally {
    remove()
  }
})

test('what keeps a GPU from being used is said in words that name the cure', async () => {
  const said = async (files: Readonly<Record<string, string>>) => {
    const { root, remove } = machine(files)
    const gpus = findGpus(await readHardware(root))
    remove()
    return {
      text: describeGpus(gpus, ['nvidia', 'amd']),
      labels: gpuLabels(gpus, { replicas: 1, isOffered: true }),
    }
  }
  assert.equal((await said({})).text, "no GPU of NVIDIA, AMD is on this node's PCI bus or in its /dev")
  const nouveau = await said(pci('0000:00:04.0', TESLA, 'nouveau', ['card0', 'renderD128']))
  assert.match(nouveau.text, /NVIDIA GPU 0000:00:04.0 cannot be used: its driver is nouveau and not nvidia/)
  assert.deepEqual(nouveau.labels, { 'feature.node.kubernetes.io/pci-10de.present': 'true' })
  assert.match((await said(pci('0000:00:04.0', TESLA))).text, /it has no driver and not nvidia/)
  const amd = await said(pci('0000:03:00.0', ['1002', '73bf', '030000'], 'amdgpu', ['card0', 'renderD128']))
  assert.match(amd.text, /\/dev\/kfd is missing/)
  const board = await said({ 'dev/nvidia0': '', 'dev/nvidiactl': '' })
  assert.equal(board.text, '1 nvidia.com/gpu')
})

test('labels of others stay, ours go with what they told of', () => {
  const now = { 'nvidia.com/gpu.count': '2', 'nvidia.com/mig.capable': 'true', zone: 'a' }
  const changes = labelChanges(now, { 'nvidia.com/gpu.present': 'true' })
  assert.deepEqual(changes, { 'nvidia.com/gpu.count': null, 'nvidia.com/gpu.present': 'true' })
  assert.deepEqual(labelChanges({ a: 'b' }, {}), {})
})

test('a GPU that is gone, or whose driver is, is offered as an ill one', () => {
  const gpu = { vendor: 'amd', resource: 'amd.com/gpu', pciVendor: '1002', model: '', files: [] } as const
  const of = (id: string, problem = '') => ({ ...gpu, id, problem, numaNode: null, cdiNames: [] })
  const present = [of('b', 'it has no driver'), of('c')]
  const offered = offeredDevices([of('a'), of('b'), of('c')], { present, replicas: 1 })
  assert.deepEqual(
    offered.map(({ id, health }) => [id, health]),
    [
      ['a', 'Unhealthy'],
      ['b', 'Unhealthy'],
      ['c', 'Healthy'],
    ],
  )
})

test('shares are taken from the GPU that has the most left', () => {
  const available = ['a::1', 'b::0', 'b::1', 'a::2', 'a::0']
  assert.deepEqual(preferredShares(available, { mustInclude: [], count: 3 }), ['a::1', 'b::0', 'a::2'])
  assert.deepEqual(preferredShares(available, { mustInclude: ['a::0'], count: 2 }), ['a::0', 'a::1'])
})

test('a kubelet gets the GPUs as a plugin offers them, shared, and described by CDI once somebody does', async () => {
  const { root, write, remove } = machine(nvidiaFiles)
  const directory = join(root, 'plugins')
  let labels: Record<string, string | null> = {}
  const client = {
    get: async () => ({ metadata: { labels: { zone: 'a' } } }),
    patch: async (_resource: object, { patch }: { patch: { metadata: { labels: typeof labels } } }) => {
      labels = patch.metadata.labels
    },
  } as unknown as KubeClient
  const manager = new DeviceManager({
    ...{ directory, podResources: join(root, 'pods'), livePods: () => null, onChange: () => {} },
    ...{ clock: systemClock, log: silentLog, claims: { preparedFor: () => [] } },
  })
  await manager.start()
  const context = {
    ...{ client, nodeName: 'n', clock: systemClock, random: systemRandom, log: silentLog },
  } as unknown as PartContext
  const parameters = { vendors: ['nvidia'], replicas: 2, cdi: true, plugin: 'builtin' }
  const part = gpuPart({ root, devicePlugins: directory })
  const running = await part.start(context, parameters, new AbortController().signal)
  try {
    await until('shares are there', () => manager.amounts().allocatable['nvidia.com/gpu'] === '4')
    assert.deepEqual(running.health(), { ok: true, reason: '2 nvidia.com/gpu' })
    assert.equal(labels['nvidia.com/gpu.replicas'], '2')
    const limits = { 'nvidia.com/gpu': '1' }
    const podOf = (uid: string) =>
      ({
        metadata: { uid, name: uid },
        spec: { containers: [{ name: 'c', resources: { limits } }] },
      }) as unknown as Pod
    for (const pod of ['p1', 'p2'].map(podOf)) {
      await manager.askPreferences(pod)
      assert.equal(manager.admit(pod), null)
    }
    const plain = await manager.settingsFor('p1', 'c')
    assert.deepEqual(plain.devices.map(({ hostPath }) => hostPath).slice(1), [
      '/dev/nvidiactl',
      '/dev/nvidia-uvm',
    ])
    const containerEdits = { deviceNodes: [{ path: '/dev/nvidia0' }] }
    const devices = ['0', '1'].map(name => ({ name, containerEdits }))
    write('var/run/cdi/nvidia.yaml', JSON.stringify({ cdiVersion: '0.5.0', kind: 'nvidia.com/gpu', devices }))
    const one = await manager.settingsFor('p1', 'c')
    assert.deepEqual([one.devices, one.env], [[], {}])
    assert.match(String(one.cdiDevices), /^nvidia\.com\/gpu=[01]$/)
  } finally {
    await running.stop()
    manager.stop()
    remove()
  }
})
