/** What the node has given to a pod: its resources as they were when it was taken in or last resized (pure). */
import { equalJson } from '../../../kube/equality.ts'
import { compareQuantities, milliValue, parseQuantity } from '../../../kube/quantity.ts'
import { podTotal } from '../../../kube/quota-usage.ts'
import type { Container, Pod } from '../../../kube/types.ts'

export type Requirements = NonNullable<Container['resources']>

export interface Allocation {
  readonly containers: Readonly<Record<string, Requirements>>
  /** Of the pod as a whole. */
  readonly pod?: Requirements
}

const resizable = (pod: Pod): readonly Container[] => [
  ...(pod.spec?.initContainers ?? []),
  ...(pod.spec?.containers ?? []),
]

export function allocationOf(pod: Pod): Allocation {
  const containers = resizable(pod).map(({ name, resources }) => [name, resources ?? {}] as const)
  const whole = pod.spec?.resources
  return { containers: Object.fromEntries(containers), ...(whole ? { pod: whole } : {}) }
}

/** The pod as it is allocated: its containers ask for what they have been given. */
export function allocatedPod(pod: Pod, allocation: Allocation): Pod {
  if (pod.spec === undefined || sameAllocation(allocationOf(pod), allocation)) return pod
  const give = (container: Container): Container => {
    const resources = allocation.containers[container.name]
    return resources === undefined ? container : { ...container, resources }
  }
  const { initContainers, containers } = pod.spec
  return {
    ...pod,
    spec: {
      ...pod.spec,
      ...(initContainers ? { initContainers: initContainers.map(give) } : {}),
      containers: containers.map(give),
      ...(allocation.pod ? { resources: allocation.pod } : {}),
    },
  }
}

export function sameAllocation(a: Allocation, b: Allocation): boolean {
  const names = Object.keys(a.containers)
  return (
    sameRequirements(a.pod, b.pod) && names.every(n => sameRequirements(a.containers[n], b.containers[n]))
  )
}

export function sameRequirements(a: Requirements | undefined, b: Requirements | undefined): boolean {
  return changedResources(a, b).length === 0
}

/** Names of the resources that differ, by amount and not by spelling. */
export function changedResources(a: Requirements | undefined, b: Requirements | undefined): string[] {
  const names = new Set<string>()
  for (const part of ['requests', 'limits'] as const) {
    const [left, right] = [a?.[part] ?? {}, b?.[part] ?? {}]
    for (const name of [...Object.keys(left), ...Object.keys(right)]) {
      if (!sameAmount(left[name], right[name])) names.add(name)
    }
  }
  return [...names]
}

function sameAmount(a: string | undefined, b: string | undefined): boolean {
  if (a === undefined || b === undefined) return equalJson(a ?? null, b ?? null)
  return compareQuantities(parseQuantity(a), parseQuantity(b)) === 0
}

export interface ResizeRefusal {
  readonly reason: 'Deferred' | 'Infeasible'
  readonly message: string
}

export interface Room {
  /** Of the other pods on the node, as they are allocated. */
  readonly others: readonly Pod[]
  /** CPU in thousandths, memory in bytes. */
  readonly allocatable: Usable
}

export interface Usable {
  readonly cpu: number
  readonly memory: number
}

const RESOURCES = ['memory', 'cpu'] as const

/** Null when the node has room for the pod as it is wanted. */
export function judgeResize(wanted: Pod, { others, allocatable }: Room): ResizeRefusal | null {
  const asked = requestsOf(wanted)
  for (const name of RESOURCES) {
    if (asked[name] <= allocatable[name]) continue
    const numbers = `${name}, requested: ${asked[name]}, capacity: ${allocatable[name]}`
    return { reason: 'Infeasible', message: `Node didn't have enough capacity: ${numbers}` }
  }
  for (const name of RESOURCES.toReversed()) {
    const used = others.reduce((sum, pod) => sum + requestsOf(pod)[name], 0)
    if (asked[name] === 0 || used + asked[name] <= allocatable[name]) continue
    const numbers = `requested: ${asked[name]}, used: ${used}, capacity: ${allocatable[name]}`
    return { reason: 'Deferred', message: `Node didn't have enough resource: ${name}, ${numbers}` }
  }
  return null
}

function requestsOf({ spec }: Pod): Usable {
  const total = spec === undefined ? undefined : podTotal(spec, 'requests')
  const [cpu, memory] = [total?.get('cpu'), total?.get('memory')]
  return {
    cpu: cpu === undefined ? 0 : milliValue(cpu),
    memory: memory === undefined ? 0 : Number(memory.nano / 1_000_000_000n),
  }
}

/** Whether a container has to be restarted for what changes. */
export function needsRestart(container: Container, changed: readonly string[]): boolean {
  return changed.some(name =>
    container.resizePolicy?.some(
      ({ resourceName, restartPolicy }) => resourceName === name && restartPolicy === 'RestartContainer',
    ),
  )
}
