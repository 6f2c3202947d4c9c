/** In which order and within which time pods end when their machine goes down (pure), as upstream's kubelet decides. */
import { parseGoDuration } from '../../../kube/time.ts'
import type { Pod } from '../../../kube/types.ts'
import type { PodFailure } from '../pod-failure.ts'

const SYSTEM_CRITICAL = 2_000_000_000

/** Pods of this priority or a higher one get so long, after those of lower ones. */
export interface ShutdownStep {
  readonly priority: number
  readonly graceMs: number
}

export interface ShutdownGroup {
  /** What comes next waits no longer. */
  readonly graceMs: number
  readonly pods: readonly { readonly pod: Pod; readonly failure: PodFailure }[]
}

const MESSAGE = 'Pod was terminated in response to imminent node shutdown.'
export const SHUTTING_DOWN = 'node is shutting down'
export const SHUTDOWN_REFUSAL: PodFailure = {
  reason: 'NodeShutdown',
  message: 'Pod was rejected: Pod was rejected as the node is shutting down.',
}

/**
 * From upstream's two times: critical pods get the last part of the whole. Nothing when there is no time; then a
 * shutdown of the machine ends pods without a word, as it does upstream by default.
 */
export function shutdownSteps(
  total: string | undefined,
  critical: string | undefined,
): readonly ShutdownStep[] {
  const totalMs = parseGoDuration(total ?? '0s') ?? 0
  const criticalMs = Math.min(parseGoDuration(critical ?? '0s') ?? 0, totalMs)
  if (totalMs === 0) return []
  return [
    { priority: 0, graceMs: totalMs - criticalMs },
    { priority: SYSTEM_CRITICAL, graceMs: criticalMs },
  ]
}

/** From `priority=time` pairs: `0=20s,100000=10s`. Null when it is none. */
export function parseShutdownSteps(text: string): readonly ShutdownStep[] | null {
  const steps = text.split(',').map(pair => {
    const [, priority = '', time = ''] = /^\s*(-?\d{1,10})=(\S+?)\s*$/.exec(pair) ?? []
    return { priority: Number(priority), graceMs: parseGoDuration(time) ?? -1 }
  })
  const isGood = steps.every(({ graceMs }) => graceMs >= 0)
  const isUnique = new Set(steps.map(({ priority }) => priority)).size === steps.length
  return isGood && isUnique ? steps.toSorted((a, b) => a.priority - b.priority) : null
}

export const shutdownMs = (steps: readonly ShutdownStep[]): number =>
  steps.reduce((sum, { graceMs }) => sum + graceMs, 0)

/** Lowest priorities first; who is below all steps ends with the first one. Steps without pods are none. */
export function planShutdown(pods: readonly Pod[], steps: readonly ShutdownStep[]): readonly ShutdownGroup[] {
  const groups = steps.map(({ graceMs }) => ({ graceMs, pods: [] as Pod[] }))
  for (const pod of pods) {
    const above = steps.findLastIndex(({ priority }) => (pod.spec?.priority ?? 0) >= priority)
    groups[Math.max(above, 0)]?.pods.push(pod)
  }
  return groups
    .filter(group => group.pods.length > 0)
    .map(({ graceMs, pods: members }) => ({
      graceMs,
      pods: members.map(pod => ({ pod, failure: failureOf(pod, graceMs) })),
    }))
}

function failureOf(pod: Pod, stepMs: number): PodFailure {
  const ownMs = (pod.spec?.terminationGracePeriodSeconds ?? 30) * 1_000
  return { reason: 'Terminated', message: MESSAGE, isDisruption: true, graceMs: Math.min(ownMs, stepMs) }
}
