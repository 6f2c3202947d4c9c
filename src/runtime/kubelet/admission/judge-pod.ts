/** Whether a node takes a pod in, whoever chose the node for it (pure): the rules and words of upstream's kubelet. */
import { matchesNodeSelection, NOT_SELECTED } from '../../../client/node-affinity.ts'
import { tolerates } from '../../../client/taints.ts'
import { hostPortsOf, NO_FREE_PORTS, portsClash } from '../../../kube/host-ports.ts'
import { type Shortage, shortagesOf } from '../../../kube/node-room.ts'
import { type Amounts, parseAmounts, podRequests } from '../../../kube/pod-requests.ts'
import type { Node, Pod } from '../../../kube/types.ts'
import type { PodFailure } from '../pod-failure.ts'
import { isCritical } from '../pressure/admission.ts'
import { isStatic } from '../static/render-static-pod.ts'

export interface NodeView {
  readonly node: Node
  readonly operatingSystem: string
  /** Pods that the node has taken in and that have not ended, as they are allocated. */
  readonly others: readonly Pod[]
  /** Resources of device plugins, which have been given out already. */
  readonly given: Readonly<Record<string, string>>
}

const OS_LABEL = 'kubernetes.io/os'
const OS_MISMATCH: readonly [string, string] = [
  'PodOSSelectorNodeLabelDoesNotMatch',
  "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label",
]
const OS_UNKNOWN: readonly [string, string] = [
  'PodOSNotSupported',
  "Failed to admit pod as the OS field doesn't match node OS",
]
const NOT_TOLERATED = "node(s) had taints that the pod didn't tolerate"

/** Null: the pod may run here. Of several reasons the first counts. */
export function judgePod(pod: Pod, view: NodeView): PodFailure | null {
  const [reason, message] = osProblem(pod, view) ?? shortage(pod, view) ?? mismatch(pod, view) ?? []
  if (reason === undefined) return null
  return { reason, message: `Pod was rejected: ${message}` }
}

type Problem = readonly [reason: string, message: string]

function osProblem({ metadata, spec }: Pod, { operatingSystem }: NodeView): Problem | null {
  const label = metadata.labels?.[OS_LABEL]
  if (label !== undefined && label !== operatingSystem) return OS_MISMATCH
  return spec?.os !== undefined && spec.os.name !== operatingSystem ? OS_UNKNOWN : null
}

/** Others end for critical pods. */
function shortage(pod: Pod, view: NodeView): Problem | null {
  const [first] = isCritical(pod) ? [] : shortagesFor(pod, view)
  return first === undefined ? null : [`OutOf${first.resource}`, shortageText(first)]
}

/** What the node has too little of. */
export function shortagesFor(pod: Pod, { node, others, given }: NodeView): readonly Shortage[] {
  const allocatable = parseAmounts(node.status?.allocatable ?? node.status?.capacity)
  const used = others.map(podRequests)
  const room = {
    allocatable,
    podsMax: allocatable.get('pods') ?? 0,
    podCount: others.length,
    requested: (name: string) => used.reduce((sum, amounts) => sum + (amounts.get(name) ?? 0), 0),
  }
  return shortagesOf(judged(podRequests(pod), allocatable, given), room)
}

/** Extended resources that the node does not know may be the cluster's. */
function judged(requests: Amounts, allocatable: Amounts, given: NodeView['given']): Amounts {
  const isExtended = (name: string) => name.includes('/') && !name.includes('kubernetes.io/')
  const isJudged = (name: string) => !isExtended(name) || (allocatable.has(name) && given[name] === undefined)
  return new Map([...requests].filter(([name]) => isJudged(name)))
}

const shortageText = ({ resource, requested, used, capacity }: Shortage): string =>
  `Node didn't have enough resource: ${resource}, requested: ${requested}, used: ${used}, capacity: ${capacity}`

function mismatch(pod: Pod, { node, others }: NodeView): Problem | null {
  // The API may know labels of which a node that has not been registered yet knows nothing.
  const isKnown = node.metadata.uid !== undefined
  if (isKnown && !matchesNodeSelection(pod, node)) return predicate('NodeAffinity', NOT_SELECTED)
  const wanted = hostPortsOf(pod)
  if (wanted.length > 0 && portsClash(wanted, others.flatMap(hostPortsOf))) {
    return predicate('NodePorts', NO_FREE_PORTS)
  }
  return isStatic(pod) || toleratesEviction(pod, node) ? null : predicate('TaintToleration', NOT_TOLERATED)
}

const predicate = (plugin: string, problem: string): Problem => [
  plugin,
  `Predicate ${plugin} failed: ${problem}`,
]

/** Where it may be scheduled is the scheduler's affair; what would be evicted is not started. */
function toleratesEviction({ spec }: Pod, node: Node): boolean {
  const taints = (node.spec?.taints ?? []).filter(({ effect }) => effect === 'NoExecute')
  return taints.every(taint => (spec?.tolerations ?? []).some(each => tolerates(each, taint)))
}
