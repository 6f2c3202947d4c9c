/** A job's conditions, and what decides that it ends: with upstream's reasons and messages. */
import { formatTime } from '../../../kube/time.ts'
import type { Job, JobCondition, Pod } from '../../../kube/types.ts'
import { timeMs } from '../shared/pods.ts'
import type { Tally } from './counting.ts'
import { hasFailed, isIndexed } from './pods.ts'
import { matchFailurePolicy, matchSuccessPolicy } from './policies.ts'

export interface Verdict {
  readonly type: 'FailureTarget' | 'SuccessCriteriaMet'
  readonly reason: string
  readonly message: string
}

export const isSuspended = (job: Job): boolean => job.spec?.suspend === true

export function conditionOf(
  conditions: readonly JobCondition[] | undefined,
  type: string,
): JobCondition | undefined {
  return conditions?.find(condition => condition.type === type && condition.status === 'True')
}

/** Complete or failed for good. */
export const finishedCondition = (job: Job): JobCondition | undefined =>
  conditionOf(job.status?.conditions, 'Complete') ?? conditionOf(job.status?.conditions, 'Failed')

export const SUCCEEDED: Verdict = {
  type: 'SuccessCriteriaMet',
  reason: 'CompletionsReached',
  message: 'Reached expected number of succeeded pods',
}

const failure = (reason: string, message: string): Verdict => ({ type: 'FailureTarget', reason, message })

/** Why the job ends before its pods have all done their work; undefined while it goes on. */
export function judge(
  job: Job,
  parts: {
    readonly pods: readonly Pod[]
    readonly tally: Tally
    readonly nowMs: number
    readonly decided?: Verdict | undefined
  },
): Verdict | undefined {
  return (
    parts.decided ??
    standing(job) ??
    judgePods(job, parts.pods) ??
    judgeLimits(job, parts.pods, parts.tally.failed) ??
    (deadlineLeftMs(job, parts.nowMs) <= 0
      ? failure('DeadlineExceeded', 'Job was active longer than specified deadline')
      : undefined) ??
    (isIndexed(job) ? judgeIndexes(job, parts.tally) : undefined)
  )
}

/** What an earlier round decided holds. */
export function standing(job: Job): Verdict | undefined {
  for (const type of ['SuccessCriteriaMet', 'FailureTarget'] as const) {
    const condition = conditionOf(job.status?.conditions, type)
    if (condition !== undefined) {
      return { type, reason: condition.reason ?? '', message: condition.message ?? '' }
    }
  }
  return undefined
}

function judgePods(job: Job, pods: readonly Pod[]): Verdict | undefined {
  if (job.spec?.podFailurePolicy === undefined) return undefined
  for (const pod of pods) {
    const match = hasFailed(job, pod) ? matchFailurePolicy(job, pod) : undefined
    if (match?.action === 'FailJob') return failure('PodFailurePolicy', match.message)
  }
  return undefined
}

function judgeLimits(job: Job, pods: readonly Pod[], failed: number): Verdict | undefined {
  const limit = job.spec?.backoffLimit ?? Number.POSITIVE_INFINITY
  if (failed <= limit && !restartedTooOften(job, pods, limit)) return undefined
  return failure('BackoffLimitExceeded', 'Job has reached the specified backoff limit')
}

/** With restartPolicy OnFailure the kubelet tries again within the pod. */
function restartedTooOften(job: Job, pods: readonly Pod[], limit: number): boolean {
  if (job.spec?.template.spec?.restartPolicy !== 'OnFailure') return false
  let restarts = 0
  for (const { status } of pods) {
    if (status?.phase !== 'Running' && status?.phase !== 'Pending') continue
    const all = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])]
    for (const each of all) restarts += each.restartCount
  }
  return limit === 0 ? restarts > 0 : restarts >= limit
}

/** Infinity without a deadline and while the job is suspended or has not begun. */
export function deadlineLeftMs(job: Job, nowMs: number): number {
  const seconds = job.spec?.activeDeadlineSeconds
  const startTime = job.status?.startTime
  if (seconds === undefined || isSuspended(job) || startTime === undefined) return Number.POSITIVE_INFINITY
  return timeMs(startTime) + seconds * 1_000 - nowMs
}

function judgeIndexes(job: Job, tally: Tally): Verdict | undefined {
  const { backoffLimitPerIndex, maxFailedIndexes, completions = 0 } = job.spec ?? {}
  const failed = tally.failedIndexes.size
  if (backoffLimitPerIndex !== undefined) {
    if (maxFailedIndexes !== undefined && failed > maxFailedIndexes) {
      return failure(
        'MaxFailedIndexesExceeded',
        'Job has exceeded the specified maximal number of failed indexes',
      )
    }
    if (failed > 0 && failed + tally.succeededIndexes.size >= completions) {
      return failure('FailedIndexes', 'Job has failed indexes')
    }
  }
  const message = matchSuccessPolicy(job, tally.succeededIndexes)
  return message === undefined ? undefined : { type: 'SuccessCriteriaMet', reason: 'SuccessPolicy', message }
}

/** The conditions with this one; a False one is only written where there was another. */
export function withCondition(
  conditions: readonly JobCondition[],
  next: Pick<JobCondition, 'type' | 'status' | 'reason' | 'message'>,
  nowMs: number,
): readonly JobCondition[] {
  const present = conditions.find(condition => condition.type === next.type)
  if (present === undefined && next.status === 'False') return conditions
  const isSame =
    present?.status === next.status && present?.reason === next.reason && present?.message === next.message
  if (isSame) return conditions
  const time = formatTime(nowMs)
  const condition = { ...next, lastProbeTime: time, lastTransitionTime: time }
  return present === undefined
    ? [...conditions, condition]
    : conditions.map(each => (each === present ? condition : each))
}
