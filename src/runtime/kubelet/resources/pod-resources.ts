/** What a pod's own control group gets (pure), by upstream's rules. */

import { integerValue, milliValue, type Quantity } from '../../../kube/quantity.ts'
import { podTotal } from '../../../kube/quota-usage.ts'
import type { Container, Pod, PodSpec } from '../../../kube/types.ts'
import type { PodResources } from '../runtime/cgroup-limits.ts'

export interface PodResourceSettings {
  /** How many processes a pod may have; absent for any number. */
  readonly podPidsLimit?: number | undefined
}

export function podResources(pod: Pod, { podPidsLimit }: PodResourceSettings = {}): PodResources {
  const { spec } = pod
  if (spec === undefined) return {}
  const requests = podTotal(spec, 'requests')
  const limits = podTotal(spec, 'limits')
  const [cpu, memory] = [limits.get('cpu'), limits.get('memory')]
  const pages = [...limits].filter(([name]) => name.startsWith('hugepages-'))
  const hugepages = pages.map(([name, bytes]) => [pageSize(name), integerValue(bytes)] as const)
  const shares = requests.get('cpu') ?? cpu
  return {
    cpuRequestMillis: shares === undefined ? 0 : milliValue(shares),
    ...(isLimited(spec, 'cpu', cpu) && cpu ? { cpuLimitMillis: milliValue(cpu) } : {}),
    ...(isLimited(spec, 'memory', memory) && memory ? { memoryLimitBytes: integerValue(memory) } : {}),
    ...(podPidsLimit === undefined ? {} : { pidsMax: podPidsLimit }),
    ...(hugepages.length > 0 ? { hugepages: Object.fromEntries(hugepages) } : {}),
  }
}

/** A pod is limited as a whole where it says so itself, or where each of its containers is limited. */
function isLimited(spec: PodSpec, name: string, total: Quantity | undefined): boolean {
  if (total === undefined || total.nano === 0n) return false
  if (spec.resources?.limits?.[name] !== undefined) return true
  const together = [...spec.containers, ...(spec.initContainers ?? [])]
  return together.every(({ resources }) => resources?.limits?.[name] !== undefined)
}

const BINARY: readonly [suffix: string, kernel: string][] = [
  ['Gi', 'GB'],
  ['Mi', 'MB'],
  ['Ki', 'KB'],
]

/** `hugepages-2Mi` is the kernel's `2MB`. */
export function pageSize(name: string): string {
  const size = name.slice('hugepages-'.length)
  const found = BINARY.find(([suffix]) => size.endsWith(suffix))
  return found === undefined ? size : size.replace(found[0], found[1])
}

/** A container without a limit of its own has the pod's. */
export function withPodLimits({ resources }: Pick<Container, 'resources'>, pod: Pod): Container['resources'] {
  const whole = pod.spec?.resources?.limits
  if (whole === undefined) return resources
  const own = resources?.limits ?? {}
  const missing = Object.entries(whole).filter(([name]) => own[name] === undefined && isShared(name))
  return { ...resources, limits: { ...own, ...Object.fromEntries(missing) } }
}

const isShared = (name: string): boolean => name === 'cpu' || name === 'memory'

/** Memory that the pod asks for beyond its containers, spread evenly over them: what the OOM score counts too. */
export function spareMemoryRequest(pod: Pod): number {
  const { spec } = pod
  const whole = spec?.resources?.requests?.['memory']
  if (spec === undefined || whole === undefined) return 0
  const { resources: _resources, overhead: _overhead, ...own } = spec
  const total = podTotal(spec, 'requests').get('memory')
  const asked = podTotal(own, 'requests').get('memory')
  const spare =
    (total === undefined ? 0 : integerValue(total)) - (asked === undefined ? 0 : integerValue(asked))
  const count = spec.containers.length + (spec.initContainers ?? []).filter(isAlways).length
  return Math.max(0, Math.floor(spare / count))
}

const isAlways = ({ restartPolicy }: Container): boolean => restartPolicy === 'Always'
