/** What a silent or unready node gets: unknown conditions and taints. */

import { formatTime } from '../../../kube/time.ts'
import type { Lease, Node, NodeCondition, Taint } from '../../../kube/types.ts'

const CONDITION_TYPES = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'] as const
export const NOT_READY = 'node.kubernetes.io/not-ready'
export const UNREACHABLE = 'node.kubernetes.io/unreachable'

/** Taints of this controller that keep new pods away, by the condition and the status that brings them. */
const SCHEDULING_TAINTS: readonly { readonly type: string; readonly status: string; readonly key: string }[] =
  [
    { type: 'Ready', status: 'False', key: NOT_READY },
    { type: 'Ready', status: 'Unknown', key: UNREACHABLE },
    { type: 'MemoryPressure', status: 'True', key: 'node.kubernetes.io/memory-pressure' },
    { type: 'DiskPressure', status: 'True', key: 'node.kubernetes.io/disk-pressure' },
    { type: 'PIDPressure', status: 'True', key: 'node.kubernetes.io/pid-pressure' },
    { type: 'NetworkUnavailable', status: 'True', key: 'node.kubernetes.io/network-unavailable' },
  ]
const UNSCHEDULABLE = 'node.kubernetes.io/unschedulable'

export function nodeCondition(node: Node, type: string): NodeCondition | undefined {
  return node.status?.conditions?.find(condition => condition.type === type)
}

/** Silent for this share of what its lease holds, a node counts as lost. */
const LEASE_SHARE = 0.9
const LEASE_GRACE_MS_MAX = 60_000

/** How long a node may be silent; one that says its lease holds longer (as other kubelets do) renews it less often. */
export function nodeGraceMs(settingMs: number, lease: Lease | undefined): number {
  const leaseMs = (lease?.spec?.leaseDurationSeconds ?? 0) * 1_000
  return Math.max(settingMs, Math.min(leaseMs * LEASE_SHARE, LEASE_GRACE_MS_MAX))
}

/** The conditions of a node that has been silent for too long; null when they say so already. */
export function planUnknown(node: Node, nowMs: number): NodeCondition[] | null {
  const conditions = [...(node.status?.conditions ?? [])]
  let changed = false
  for (const type of CONDITION_TYPES) {
    const index = conditions.findIndex(condition => condition.type === type)
    const current = conditions[index]
    if (current?.status === 'Unknown') continue
    changed = true
    const next = unknownCondition(node, type, current, nowMs)
    if (index === -1) conditions.push(next)
    else conditions[index] = next
  }
  return changed ? conditions : null
}

function unknownCondition(
  node: Node,
  type: string,
  current: NodeCondition | undefined,
  nowMs: number,
): NodeCondition {
  const time = formatTime(nowMs)
  if (current === undefined) {
    const created = node.metadata.creationTimestamp ?? time
    return {
      type,
      status: 'Unknown',
      reason: 'NodeStatusNeverUpdated',
      message: 'Kubelet never posted node status.',
      lastHeartbeatTime: created,
      lastTransitionTime: time,
    }
  }
  return {
    ...current,
    status: 'Unknown',
    reason: 'NodeStatusUnknown',
    message: 'Kubelet stopped posting node status.',
    lastTransitionTime: time,
  }
}

/** `keep`: pods that leave may go on leaving, but no further node's are told to. */
export type EvictionWill = 'evict' | 'keep' | 'stop'

/** All taints as they should be, those of others untouched; null when they are so already. */
export function planTaints(node: Node, nowMs: number, will: EvictionWill = 'evict'): Taint[] | null {
  const current = node.spec?.taints ?? []
  const wanted = wantedTaints(node).filter(
    taint => taint.effect !== 'NoExecute' || will === 'evict' || (will === 'keep' && evicts(current)),
  )
  const isOurs = (taint: Taint) =>
    (taint.effect === 'NoSchedule' &&
      (taint.key === UNSCHEDULABLE || SCHEDULING_TAINTS.some(each => each.key === taint.key))) ||
    (taint.effect === 'NoExecute' && isGoneKey(taint.key))
  const isWanted = (taint: Taint) => wanted.some(each => isSameTaint(each, taint))
  const kept = current.filter(taint => !isOurs(taint) || isWanted(taint))
  const added = wanted
    .filter(taint => !current.some(each => isSameTaint(each, taint)))
    .map(taint => ({ ...taint, timeAdded: formatTime(nowMs) }))
  return added.length === 0 && kept.length === current.length ? null : [...kept, ...added]
}

function wantedTaints(node: Node): Taint[] {
  const taints: Taint[] = SCHEDULING_TAINTS.filter(
    ({ type, status }) => nodeCondition(node, type)?.status === status,
  ).map(({ key }) => ({ key, effect: 'NoSchedule' }))
  if (node.spec?.unschedulable === true) taints.push({ key: UNSCHEDULABLE, effect: 'NoSchedule' })
  const ready = nodeCondition(node, 'Ready')?.status
  if (ready === 'False') taints.push({ key: NOT_READY, effect: 'NoExecute' })
  if (ready === 'Unknown') taints.push({ key: UNREACHABLE, effect: 'NoExecute' })
  return taints
}

const isGoneKey = (key: string): boolean => key === NOT_READY || key === UNREACHABLE

/** Its pods are told to leave, or were. */
export const evicts = (taints: readonly Taint[]): boolean =>
  taints.some(({ key, effect }) => effect === 'NoExecute' && isGoneKey(key))

const isSameTaint = (a: Taint, b: Taint): boolean => a.key === b.key && a.effect === b.effect
