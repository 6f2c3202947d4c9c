/** Which pods a job creates and deletes now: as many as its parallelism and what is left of it allow. Pure. */
import type { Job, Pod } from '../../../kube/types.ts'
import { rankForDeletion } from '../shared/ranking.ts'
import { isSuspended, type Verdict } from './conditions.ts'
import type { Tally } from './counting.ts'
import { completionIndexOf } from './indexes.ts'
import {
  allIndexFailures,
  backoffLeftMs,
  hasFailed,
  indexBackoffLeftMs,
  isIndexed,
  isTerminating,
  isTracked,
  type NewPod,
  replacesOnlyFailed,
} from './pods.ts'

/** Pods created or deleted in one go. */
const BURST_PODS_MAX = 500

export interface ManagePlan {
  readonly create: readonly NewPod[]
  /** Not wanted any more: they are not counted. */
  readonly drop: readonly Pod[]
  /** The job failed: they end and count as failed. */
  readonly end: readonly Pod[]
  /** The back-off after a failure is over after so long. */
  readonly againMs?: number
}

const NOTHING: ManagePlan = { create: [], drop: [], end: [] }

export interface ManageParts {
  readonly pods: readonly Pod[]
  readonly active: readonly Pod[]
  readonly tally: Tally
  readonly verdict: Verdict | undefined
  readonly nowMs: number
}

export function planPods(job: Job, parts: ManageParts): ManagePlan {
  const { active, verdict } = parts
  const burst = active.slice(0, BURST_PODS_MAX)
  if (verdict?.type === 'FailureTarget') return { ...NOTHING, end: burst }
  if (verdict !== undefined) return { ...NOTHING, drop: burst }
  if (job.metadata.deletionTimestamp !== undefined) return NOTHING
  if (isSuspended(job)) return { ...NOTHING, drop: burst }
  const wanted = wantedActive(job, parts)
  const surplus = chooseSurplus(job, active, {
    count: Math.max(active.length - wanted, 0),
    nowMs: parts.nowMs,
  })
  if (surplus.length > 0) return { ...NOTHING, drop: surplus.slice(0, BURST_PODS_MAX) }
  const terminating = replacesOnlyFailed(job) ? parts.pods.filter(isTerminating).length : 0
  const missing = Math.min(wanted - terminating - active.length, BURST_PODS_MAX)
  return missing > 0 ? planCreation(job, parts, missing) : NOTHING
}

function wantedActive(job: Job, { active, tally }: ManageParts): number {
  const { completions, parallelism = 1 } = job.spec ?? {}
  if (completions === undefined) return tally.succeeded > 0 ? active.length : parallelism
  return Math.max(0, Math.min(completions - tally.succeeded, parallelism))
}

/** Of an Indexed job first those whose index is not wanted or taken twice, then as many more as needed. */
function chooseSurplus(
  job: Job,
  active: readonly Pod[],
  { count, nowMs }: { readonly count: number; readonly nowMs: number },
): Pod[] {
  const ranked = rankForDeletion(active, [], nowMs)
  if (!isIndexed(job)) return ranked.slice(0, count)
  const taken = new Set<number>()
  const wrong: Pod[] = []
  for (const pod of ranked.toReversed()) {
    const index = completionIndexOf(pod, job.spec?.completions ?? 0)
    if (index === undefined || taken.has(index)) wrong.push(pod)
    else taken.add(index)
  }
  const rest = ranked.filter(pod => !wrong.includes(pod))
  return [...wrong, ...rest.slice(0, Math.max(0, count - wrong.length))]
}

function planCreation(job: Job, parts: ManageParts, missing: number): ManagePlan {
  const isPerIndex = job.spec?.backoffLimitPerIndex !== undefined
  const backoff = isPerIndex ? 0 : backoffLeftMs(job, parts.pods, parts.nowMs)
  if (backoff > 0) return { ...NOTHING, againMs: backoff }
  if (!isIndexed(job)) return { ...NOTHING, create: Array.from({ length: missing }, () => ({})) }
  // One that waits for its back-off keeps its turn: no later index takes it.
  const pending = pendingIndexes(job, parts).slice(0, missing)
  if (!isPerIndex) return { ...NOTHING, create: pending.map(index => ({ index })) }
  const failed = lastFailures(job, parts)
  const create: NewPod[] = []
  const waits: number[] = []
  for (const index of pending) {
    const replaces = failed.get(index)
    const waitMs = indexBackoffLeftMs(replaces, parts.nowMs)
    if (waitMs > 0) waits.push(waitMs)
    else create.push({ index, replaces })
  }
  return { ...NOTHING, create, ...(waits.length > 0 ? { againMs: Math.min(...waits) } : {}) }
}

function pendingIndexes(job: Job, { pods, active, tally }: ManageParts): number[] {
  const completions = job.spec?.completions ?? 0
  const holders = replacesOnlyFailed(job) ? [...active, ...pods.filter(isTerminating)] : active
  const held = new Set(holders.map(pod => completionIndexOf(pod, completions)))
  const out: number[] = []
  for (let index = 0; index < completions && out.length < BURST_PODS_MAX; index++) {
    if (held.has(index) || tally.succeededIndexes.has(index) || tally.failedIndexes.has(index)) continue
    out.push(index)
  }
  return out
}

/** Of each index the failed pod that was the last of it. */
function lastFailures(job: Job, { pods }: Pick<ManageParts, 'pods'>): Map<number, Pod> {
  const last = new Map<number, Pod>()
  for (const pod of pods) {
    const index = completionIndexOf(pod, job.spec?.completions ?? 0)
    if (index === undefined || !isTracked(pod) || !hasFailed(job, pod)) continue
    const known = last.get(index)
    if (known === undefined || allIndexFailures(known) <= allIndexFailures(pod)) last.set(index, pod)
  }
  return last
}

/** With a limit per index, the last failed pod of an index stays until its replacement carries its count on. */
export function podsHeldBack(
  job: Job,
  parts: Pick<ManageParts, 'pods' | 'active' | 'tally'>,
): ReadonlySet<Pod> {
  if (job.spec?.backoffLimitPerIndex === undefined) return new Set()
  const running = new Set(parts.active.map(pod => completionIndexOf(pod, job.spec?.completions ?? 0)))
  const held = [...lastFailures(job, parts)].filter(
    ([index]) =>
      !running.has(index) &&
      !parts.tally.succeededIndexes.has(index) &&
      !parts.tally.failedIndexes.has(index),
  )
  return new Set(held.map(([, pod]) => pod))
}
