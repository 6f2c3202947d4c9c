import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Container, Pod } from '../../../../src/kube/types.ts'
import {
  allocatedPod,
  allocationOf,
  changedResources,
  judgeResize,
  needsRestart,
  sameAllocation,
} from '../../../../src/runtime/kubelet/resources/allocation.ts'
import {
  allocatableAmounts,
  renderAmounts,
} from '../../../../src/runtime/kubelet/resources/node-allocatable.ts'
import { podResources } from '../../../../src/runtime/kubelet/resources/pod-resources.ts'
import { limitFiles } from '../../../../src/runtime/kubelet/runtime/cgroup-limits.ts'

type Resources = Container['resources']

const podOf = (resources: Resources, whole?: Resources): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', uid: 'u1' },
  spec: {
    containers: [{ name: 'main', image: 'x', ...(resources ? { resources } : {}) }],
    ...(whole ? { resources: whole } : {}),
  },
})
const asking = (cpu: string, memory = '64Mi'): Pod => podOf({ requests: { cpu, memory } })
const allocatable = { cpu: 2_000, memory: 2 ** 30 }

test('a resize that fits no node of this size is infeasible, one that has to wait is deferred', () => {
  const none = { others: [], allocatable }
  assert.equal(judgeResize(asking('1500m'), none), null)
  assert.deepEqual(judgeResize(asking('3'), none), {
    reason: 'Infeasible',
    message: "Node didn't have enough capacity: cpu, requested: 3000, capacity: 2000",
  })
  assert.deepEqual(judgeResize(asking('700m'), { others: [asking('1600m')], allocatable }), {
    reason: 'Deferred',
    message: "Node didn't have enough resource: cpu, requested: 700, used: 1600, capacity: 2000",
  })
})

test('a pod runs with what it was given until it is given more, however the amounts are spelled', () => {
  const given = allocationOf(asking('1', '1Gi'))
  const wanted = asking('2', '1024Mi')
  assert.equal(sameAllocation(allocationOf(asking('1000m', '1024Mi')), given), true)
  assert.equal(sameAllocation(allocationOf(wanted), given), false)
  const pod = allocatedPod(wanted, given)
  assert.equal(pod.spec?.containers[0]?.resources?.requests?.['cpu'], '1')
  assert.deepEqual(changedResources(given.containers['main'], wanted.spec?.containers[0]?.resources), ['cpu'])
})

test('a container is restarted only for resources whose policy says so', () => {
  const container: Container = {
    ...{ name: 'main', image: 'x' },
    resizePolicy: [{ resourceName: 'memory', restartPolicy: 'RestartContainer' }],
  }
  assert.equal(needsRestart(container, ['cpu']), false)
  assert.equal(needsRestart(container, ['cpu', 'memory']), true)
})

test("a pod's own group is limited where all its containers are, or the pod is as a whole", () => {
  const limits = { cpu: '500m', memory: '64Mi' }
  assert.deepEqual(podResources(podOf({ requests: { cpu: '100m' }, limits }), { podPidsLimit: 100 }), {
    ...{ cpuRequestMillis: 100, cpuLimitMillis: 500, memoryLimitBytes: 64 * 2 ** 20 },
    pidsMax: 100,
  })
  assert.deepEqual(podResources(podOf({ requests: { cpu: '100m' } })), { cpuRequestMillis: 100 })
  const whole = podResources(podOf(undefined, { limits: { memory: '1Gi', 'hugepages-2Mi': '4Mi' } }))
  assert.equal(whole.memoryLimitBytes, 2 ** 30)
  assert.deepEqual(whole.hugepages, { '2MB': 4 * 2 ** 20 })
})

test('limits are written as either version of control groups has them', () => {
  const limits = { cpuRequestMillis: 1_000, cpuLimitMillis: 500, memoryLimitBytes: 4_096, pidsMax: 9 }
  const first = limitFiles(limits, 1)
  assert.equal(first.get('cpu.shares'), '1024')
  assert.equal(first.get('cpu.cfs_quota_us'), '50000')
  assert.equal(first.get('memory.limit_in_bytes'), '4096')
  assert.equal(first.get('pids.max'), '9')
  const second = limitFiles({ ...limits, cpuLimitMillis: undefined }, 2)
  assert.equal(second.get('cpu.weight'), '39')
  assert.equal(second.get('cpu.max'), 'max 100000')
  assert.equal(second.get('memory.max'), '4096')
})

test('what is reserved is not for pods', () => {
  const host = { cpuCount: 4, memoryBytes: 8 * 2 ** 30, diskBytes: 2 ** 40 } as Parameters<
    typeof allocatableAmounts
  >[0]
  const reserved = { kubeReserved: { cpu: '250m', memory: '1Gi' }, systemReserved: { memory: '1Gi' } }
  const amounts = renderAmounts(allocatableAmounts(host, reserved))
  assert.equal(amounts['cpu'], '3750m')
  assert.equal(amounts['memory'], `${6 * 2 ** 20}Ki`)
})
