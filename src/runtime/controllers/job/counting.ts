/**
 * Counting finished pods exactly once: a pod's uid is noted in the status, then its finalizer is taken away,
 * then the note becomes a number. Pods of an index need no note, because the index itself is kept.
 */
import type { Job, JobStatus, Pod } from '../../../kube/types.ts'
import { completionIndexOf, formatIndexes, parseIndexes } from './indexes.ts'
import { hasFailed, indexFailures, isIndexed, isTracked } from './pods.ts'
import { matchFailurePolicy } from './policies.ts'

/** Notes in one status, so that it stays small. */
const UNCOUNTED_MAX = 500

export interface Tally {
  /** Noted or counted before, and finished since. */
  readonly succeeded: number
  readonly failed: number
  /** Of an Indexed job: with the pods that are not counted yet. */
  readonly succeededIndexes: ReadonlySet<number>
  readonly failedIndexes: ReadonlySet<number>
}

const completionsOf = (job: Job): number => job.spec?.completions ?? Number.MAX_SAFE_INTEGER
const countsAsFailure = (job: Job, pod: Pod): boolean => matchFailurePolicy(job, pod)?.action !== 'Ignore'

/** Pods with a valid index, or all of a job without indexes. */
const isCountable = (job: Job, pod: Pod): boolean =>
  !isIndexed(job) || completionIndexOf(pod, completionsOf(job)) !== undefined

/** Where the job stands, with the pods that its status does not know yet. `isFailing`: it ends its pods itself. */
export function tally(job: Job, pods: readonly Pod[], isFailing = false): Tally {
  const { succeeded = 0, failed = 0, uncountedTerminatedPods: noted } = job.status ?? {}
  const fresh = pods.filter(pod => isTracked(pod) && isCountable(job, pod))
  const isNew = (list: readonly string[] | undefined, pod: Pod) => !list?.includes(pod.metadata.uid ?? '')
  const newSucceeded = fresh.filter(
    pod => pod.status?.phase === 'Succeeded' && isNew(noted?.succeeded, pod),
  ).length
  const newFailed = fresh.filter(
    pod => hasFailed(job, pod) && isNew(noted?.failed, pod) && countsAsFailure(job, pod),
  ).length
  const indexes = isIndexed(job) ? tallyIndexes(job, isFailing ? fresh.filter(hasEnded) : fresh) : NO_INDEXES
  const counted = succeeded + (noted?.succeeded?.length ?? 0) + newSucceeded
  return {
    succeeded: isIndexed(job) ? indexes.succeededIndexes.size : counted,
    failed: failed + (noted?.failed?.length ?? 0) + newFailed,
    ...indexes,
  }
}

/** Not one that only goes because the job fails: its index has not failed. */
const hasEnded = ({ status }: Pod): boolean => status?.phase === 'Succeeded' || status?.phase === 'Failed'

const NO_INDEXES = { succeededIndexes: new Set<number>(), failedIndexes: new Set<number>() } as const

function tallyIndexes(job: Job, fresh: readonly Pod[]): Pick<Tally, 'succeededIndexes' | 'failedIndexes'> {
  const completions = completionsOf(job)
  const succeededIndexes = parseIndexes(job.status?.completedIndexes, completions)
  const failedIndexes = parseIndexes(job.status?.failedIndexes, completions)
  for (const pod of fresh) {
    const index = completionIndexOf(pod, completions)
    if (index === undefined) continue
    if (pod.status?.phase === 'Succeeded') succeededIndexes.add(index)
    else if (hasFailed(job, pod) && failsIndex(job, pod)) failedIndexes.add(index)
  }
  return { succeededIndexes, failedIndexes }
}

function failsIndex(job: Job, pod: Pod): boolean {
  const limit = job.spec?.backoffLimitPerIndex
  if (limit === undefined) return false
  const action = matchFailurePolicy(job, pod)?.action
  if (action === 'FailIndex') return true
  return action !== 'Ignore' && indexFailures(pod) >= limit
}

/** Notes whose pods are gone or have lost the finalizer become numbers. */
export function settleNotes(job: Job, pods: readonly Pod[]): JobStatus {
  const { uncountedTerminatedPods: noted, succeeded = 0, failed = 0, ...rest } = job.status ?? {}
  const held = new Set(pods.filter(isTracked).map(pod => pod.metadata.uid))
  const stillSucceeded = (noted?.succeeded ?? []).filter(uid => held.has(uid))
  const stillFailed = (noted?.failed ?? []).filter(uid => held.has(uid))
  const settledSucceeded = succeeded + (noted?.succeeded?.length ?? 0) - stillSucceeded.length
  const settledFailed = failed + (noted?.failed?.length ?? 0) - stillFailed.length
  return {
    ...rest,
    ...(settledSucceeded > 0 ? { succeeded: settledSucceeded } : {}),
    ...(settledFailed > 0 ? { failed: settledFailed } : {}),
    uncountedTerminatedPods: notes(stillSucceeded, stillFailed),
  }
}

const notes = (succeeded: readonly string[], failed: readonly string[]) => ({
  ...(succeeded.length > 0 ? { succeeded: [...succeeded] } : {}),
  ...(failed.length > 0 ? { failed: [...failed] } : {}),
})

export interface Ending {
  /** The job ends: nothing of it is held back any more. */
  readonly ends: boolean
  /** What is unfinished then counts as failed. */
  readonly fails: boolean
  /** Failed pods that tell how often their index failed, until they are replaced. */
  readonly heldBack: ReadonlySet<Pod>
}

export interface Noted {
  readonly status: JobStatus
  /** Pods whose finalizer goes once the status is written. */
  readonly release: readonly Pod[]
  /** There were too many for one status. */
  readonly isFull: boolean
}

/** Adds what finished to the settled status, and says which pods may go. */
export function noteFinished(
  job: Job,
  settled: JobStatus,
  pods: readonly Pod[],
  { ending, indexes }: { readonly ending: Ending; readonly indexes: Tally },
): Noted {
  const succeeded = [...(settled.uncountedTerminatedPods?.succeeded ?? [])]
  const failed = [...(settled.uncountedTerminatedPods?.failed ?? [])]
  const release: Pod[] = []
  let isFull = false
  for (const pod of pods) {
    if (!isTracked(pod) || !mayGo(job, pod, ending)) continue
    if (succeeded.length + failed.length >= UNCOUNTED_MAX) {
      isFull = true
      break
    }
    release.push(pod)
    const uid = pod.metadata.uid ?? ''
    if (failed.includes(uid) || succeeded.includes(uid) || !isCountable(job, pod)) continue
    if (pod.status?.phase === 'Succeeded') {
      if (!isIndexed(job)) succeeded.push(uid)
    } else if ((hasFailed(job, pod) || ending.fails) && countsAsFailure(job, pod)) failed.push(uid)
  }
  const status = {
    ...settled,
    ...(isIndexed(job) ? indexFields(job, indexes, release) : {}),
    uncountedTerminatedPods: notes(succeeded, failed),
  }
  return { status, release, isFull }
}

function mayGo(job: Job, pod: Pod, ending: Ending): boolean {
  if (job.metadata.deletionTimestamp !== undefined || ending.ends) return true
  if (pod.status?.phase === 'Succeeded') return true
  return hasFailed(job, pod) && !ending.heldBack.has(pod)
}

/** Only indexes of pods that are let go now are added, so that a status and the finalizers tell the same. */
function indexFields(job: Job, indexes: Tally, release: readonly Pod[]): Partial<JobStatus> {
  const completions = completionsOf(job)
  const succeeded = parseIndexes(job.status?.completedIndexes, completions)
  for (const pod of release) {
    const index = completionIndexOf(pod, completions)
    if (index !== undefined && pod.status?.phase === 'Succeeded') succeeded.add(index)
  }
  return {
    ...(succeeded.size > 0 ? { succeeded: succeeded.size, completedIndexes: formatIndexes(succeeded) } : {}),
    ...(job.spec?.backoffLimitPerIndex === undefined
      ? {}
      : { failedIndexes: formatIndexes(indexes.failedIndexes) }),
  }
}
