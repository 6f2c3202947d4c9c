/** A job's pod failure policy and success policy: which rule a failed pod or the succeeded indexes match. */
import type { Job, JobSpec, Pod } from '../../../kube/types.ts'
import { parseIndexes } from './indexes.ts'

type FailureRule = NonNullable<JobSpec['podFailurePolicy']>['rules'][number]

export interface FailureMatch {
  readonly action: string
  /** Why the whole job fails; for FailJob only. */
  readonly message: string
}

/** The first rule that the failed pod matches; undefined means that it counts as any failure. */
export function matchFailurePolicy(job: Job, pod: Pod): FailureMatch | undefined {
  const where = `${pod.metadata.namespace}/${pod.metadata.name}`
  for (const [index, rule] of (job.spec?.podFailurePolicy?.rules ?? []).entries()) {
    if (rule.action === 'FailIndex' && job.spec?.backoffLimitPerIndex === undefined) continue
    const tail = `matching ${rule.action} rule at index ${index}`
    const exited = rule.onExitCodes && exitThatMatches(pod, rule.onExitCodes)
    if (exited) {
      const message = `Container ${exited.name} for pod ${where} failed with exit code ${exited.code} ${tail}`
      return { action: rule.action, message }
    }
    const condition = rule.onPodConditions && conditionThatMatches(pod, rule.onPodConditions)
    if (condition) return { action: rule.action, message: `Pod ${where} has condition ${condition} ${tail}` }
  }
  return undefined
}

function exitThatMatches(
  pod: Pod,
  wanted: NonNullable<FailureRule['onExitCodes']>,
): { name: string; code: number } | undefined {
  const statuses = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])]
  for (const { name, state } of statuses) {
    const code = state?.terminated?.exitCode
    if (code === undefined || code === 0) continue
    if (wanted.containerName && wanted.containerName !== name) continue
    if (wanted.values.includes(code) === (wanted.operator === 'In')) return { name, code }
  }
  return undefined
}

function conditionThatMatches(
  pod: Pod,
  patterns: NonNullable<FailureRule['onPodConditions']>,
): string | undefined {
  return patterns.find(pattern =>
    pod.status?.conditions?.some(({ type, status }) => type === pattern.type && status === pattern.status),
  )?.type
}

/** The message of the first success rule that the succeeded indexes meet. */
export function matchSuccessPolicy(job: Job, succeeded: ReadonlySet<number>): string | undefined {
  const completions = job.spec?.completions ?? 0
  for (const [index, rule] of (job.spec?.successPolicy?.rules ?? []).entries()) {
    const of =
      rule.succeededIndexes === undefined ? undefined : parseIndexes(rule.succeededIndexes, completions)
    const reached = of === undefined ? succeeded.size : [...of].filter(each => succeeded.has(each)).length
    const needed = rule.succeededCount ?? of?.size
    if (needed !== undefined && reached >= needed) return `Matched rules at index ${index}`
  }
  return undefined
}
