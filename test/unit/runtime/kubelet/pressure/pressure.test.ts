import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod, ResourceRequirements } from '../../../../../src/kube/types.ts'
import { refusalOf } from '../../../../../src/runtime/kubelet/pressure/admission.ts'
import { exceededLimit } from '../../../../../src/runtime/kubelet/pressure/local-limits.ts'
import { evictionMessage, rankPods } from '../../../../../src/runtime/kubelet/pressure/rank.ts'
import {
  DEFAULT_THRESHOLDS,
  nextPressures,
  unmet,
} from '../../../../../src/runtime/kubelet/pressure/thresholds.ts'

const MIB = 1024 ** 2
const memory = { signal: 'memory.available', value: '100Mi' } as const

const podOf = (name: string, resources: ResourceRequirements = {}, priority = 0): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default', uid: name },
  spec: { priority, containers: [{ name: 'main', image: 'i', resources }] },
})
const useOf = (pod: Pod, bytes: number) => ({ pod, containers: new Map([['main', bytes]]), otherUse: 0 })

test('thresholds are amounts and percentages of the capacity', () => {
  const seen = {
    'memory.available': { available: 99 * MIB, capacity: 1_000 * MIB },
    'nodefs.available': { available: 100, capacity: 1_000 },
    'nodefs.inodesFree': { available: 49, capacity: 1_000 },
  }
  assert.deepEqual(
    unmet(DEFAULT_THRESHOLDS, seen).map(({ signal }) => signal),
    ['memory.available', 'nodefs.inodesFree'],
  )
})

test('a pressure stays for the transition period after it was last seen', () => {
  const at = (nowMs: number) => ({ nowMs, transitionMs: 300 })
  const first = nextPressures([], [memory], at(0))
  assert.deepEqual(nextPressures(first, [], at(299)), first)
  assert.deepEqual(nextPressures(first, [], at(300)), [])
})

test('who exceeds his request goes first, then the lower priority, then the larger excess', () => {
  const request = { requests: { memory: '100Mi' } }
  const uses = [
    useOf(podOf('within', request), 90 * MIB),
    useOf(podOf('important', {}, 1_000), 500 * MIB),
    useOf(podOf('little', request), 110 * MIB),
    useOf(podOf('much', {}), 300 * MIB),
    useOf(podOf('critical', {}, 2_000_000_000), 900 * MIB),
  ]
  assert.deepEqual(
    rankPods(uses, memory).map(({ pod }) => pod.metadata.name),
    ['much', 'little', 'important', 'within'],
  )
})

test('an eviction says what was short and which container used more than its request', () => {
  const pod = podOf('much', { requests: { memory: '1Mi' } })
  const message = evictionMessage(useOf(pod, 3 * MIB), memory, { available: 50 * MIB, capacity: 1_000 * MIB })
  assert.equal(
    message,
    'The node was low on resource: memory. Threshold quantity: 100Mi, available: 51200Ki. ' +
      'Container main was using 3072Ki, request is 1Mi, has larger consumption of memory. ',
  )
})

test('under memory pressure only pods that ask for nothing are refused, under disk pressure all but critical ones', () => {
  const plain = podOf('plain')
  const asking = podOf('asking', { requests: { memory: '1Mi' } })
  assert.equal(refusalOf(plain, []), null)
  assert.deepEqual(refusalOf(plain, ['MemoryPressure']), {
    reason: 'Evicted',
    message: 'Pod was rejected: The node had condition: [MemoryPressure]. ',
  })
  assert.equal(refusalOf(asking, ['MemoryPressure']), null)
  assert.notEqual(refusalOf(asking, ['DiskPressure']), null)
  assert.equal(refusalOf(podOf('critical', {}, 2_000_000_000), ['DiskPressure']), null)
  const key = 'node.kubernetes.io/memory-pressure'
  const tolerant = { ...plain, spec: { containers: [], tolerations: [{ key, operator: 'Exists' }] } } as Pod
  assert.equal(refusalOf(tolerant, ['MemoryPressure']), null)
})

test('limits of emptyDirs, containers and pods are told apart', () => {
  const limits = { limits: { 'ephemeral-storage': '1Mi' } }
  const pod = podOf('limited', limits)
  const use = (bytes: number) => ({ emptyDirs: new Map([['scratch', bytes]]), logBytes: 0 })
  const spec = { ...pod.spec, containers: pod.spec?.containers ?? [] }
  const withVolume = (sizeLimit: string): Pod => ({
    ...pod,
    spec: { ...spec, volumes: [{ name: 'scratch', emptyDir: { sizeLimit } }] },
  })
  assert.equal(exceededLimit(withVolume('1Mi'), use(MIB), new Map()), null)
  assert.equal(
    exceededLimit(withVolume('1Mi'), use(MIB + 1), new Map()),
    'Usage of EmptyDir volume "scratch" exceeds the limit "1Mi". ',
  )
  assert.equal(
    exceededLimit(withVolume('9Mi'), use(MIB), new Map([['main', 1]])),
    'Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. ',
  )
  const two = { ...pod, spec: { containers: [...spec.containers, { name: 'side', image: 'i' }] } }
  assert.equal(
    exceededLimit(two, use(0), new Map([['main', MIB + 1]])),
    'Container main exceeded its local ephemeral storage limit "1Mi". ',
  )
})
