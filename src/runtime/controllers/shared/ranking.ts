/** Which of an owner's pods are deleted first. */
import type { Pod } from '../../../kube/types.ts'
import { isReady, podCondition, timeMs } from './pods.ts'

const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost'
const PHASE_ORDER: Readonly<Record<string, number>> = { Pending: 0, Unknown: 1, Running: 2 }

/** Pods in the order of deletion. `related` are all pods of the same owner, to spread over nodes. */
export function rankForDeletion(pods: readonly Pod[], related: readonly Pod[], nowMs: number): Pod[] {
  const perNode = new Map<string, number>()
  for (const pod of related) {
    const node = pod.spec?.nodeName
    if (node) perNode.set(node, (perNode.get(node) ?? 0) + 1)
  }
  const crowd = (pod: Pod) => perNode.get(pod.spec?.nodeName ?? '') ?? 0
  return [...pods].sort((a, b) => compare(a, b, crowd, nowMs))
}

function compare(a: Pod, b: Pod, crowd: (pod: Pod) => number, nowMs: number): number {
  return (
    Number(Boolean(a.spec?.nodeName)) - Number(Boolean(b.spec?.nodeName)) ||
    phaseOf(a) - phaseOf(b) ||
    Number(isReady(a)) - Number(isReady(b)) ||
    costOf(a) - costOf(b) ||
    crowd(b) - crowd(a) ||
    compareAge(readyAgeMs(a, nowMs), readyAgeMs(b, nowMs)) ||
    restartsOf(b) - restartsOf(a) ||
    compareAge(ageMs(a, nowMs), ageMs(b, nowMs)) ||
    (a.metadata.uid ?? '').localeCompare(b.metadata.uid ?? '')
  )
}

const phaseOf = (pod: Pod): number => PHASE_ORDER[pod.status?.phase ?? 'Pending'] ?? 1

function costOf(pod: Pod): number {
  const cost = Number(pod.metadata.annotations?.[DELETION_COST] ?? 0)
  return Number.isInteger(cost) ? cost : 0
}

function restartsOf(pod: Pod): number {
  return Math.max(0, ...(pod.status?.containerStatuses ?? []).map(status => status.restartCount))
}

function readyAgeMs(pod: Pod, nowMs: number): number {
  if (!isReady(pod)) return 0
  return nowMs - timeMs(podCondition(pod, 'Ready')?.lastTransitionTime)
}

const ageMs = (pod: Pod, nowMs: number): number => nowMs - timeMs(pod.metadata.creationTimestamp)

/** The younger first; ages of the same magnitude count as equal, so that the youngest are not always the victims. */
function compareAge(a: number, b: number): number {
  return magnitude(a) - magnitude(b)
}

const magnitude = (ms: number): number => Math.floor(Math.log2(Math.max(ms / 1_000, 0) + 1))
