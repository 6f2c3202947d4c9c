/** What holds for the spec of a job, alone and inside a cron job. */
import { invalid, required, tooLong } from '../../../../kube/field-error.ts'
import { checkDomainPrefixedPath } from '../../../../kube/names.ts'
import type { Job, JobSpec } from '../../../../kube/types.ts'
import { checkNonNegative, checkOneOf, type Problems } from '../validation/meta.ts'
import { checkTemplate } from '../validation/pod-spec.ts'
import { checkImmutable } from '../validation/workload.ts'
import { checkFailurePolicy, checkSuccessPolicy } from './job-policies.ts'

const COUNTS = [
  'parallelism',
  'completions',
  'activeDeadlineSeconds',
  'backoffLimit',
  'ttlSecondsAfterFinished',
  'backoffLimitPerIndex',
  'maxFailedIndexes',
] as const
/** Above this many completions an index's own backoff is bounded more tightly. */
const MANY = 100_000
const MANY_LIMIT = 10_000
const MANAGER_BYTES_MAX = 63
const INDEXED = 'requires indexed completion mode'

export function checkJobSpec(out: Problems, path: string, spec: JobSpec): void {
  for (const name of COUNTS) checkNonNegative(out, `${path}.${name}`, spec[name])
  if (spec.maxFailedIndexes !== undefined && spec.backoffLimitPerIndex === undefined) {
    out.push(required(`${path}.backoffLimitPerIndex`, 'when maxFailedIndexes is specified'))
  }
  if (spec.managedBy !== undefined) checkManager(out, `${path}.managedBy`, spec.managedBy)
  if (spec.completionMode !== undefined) {
    checkOneOf(out, `${path}.completionMode`, spec.completionMode, ['NonIndexed', 'Indexed'])
  }
  if (spec.completionMode === 'Indexed') checkIndexed(out, path, spec)
  else if ((spec.completionMode ?? 'NonIndexed') === 'NonIndexed') {
    for (const name of ['backoffLimitPerIndex', 'maxFailedIndexes'] as const) {
      if (spec[name] !== undefined) out.push(invalid(`${path}.${name}`, spec[name], INDEXED))
    }
  }
  checkFailurePolicy(out, `${path}.podFailurePolicy`, spec)
  checkSuccessPolicy(out, `${path}.successPolicy`, spec, INDEXED)
  if (spec.podReplacementPolicy !== undefined) {
    const choices = spec.podFailurePolicy ? ['Failed'] : ['Failed', 'TerminatingOrFailed']
    checkOneOf(out, `${path}.podReplacementPolicy`, spec.podReplacementPolicy, choices)
  }
  checkTemplate(out, `${path}.template`, spec.template)
  checkRestartPolicy(out, `${path}.template.spec.restartPolicy`, spec)
}

function checkManager(out: Problems, field: string, name: string): void {
  if (name === '') out.push(required(field))
  else for (const { part, problem } of checkDomainPrefixedPath(name)) out.push(invalid(field, part, problem))
  if (Buffer.byteLength(name) > MANAGER_BYTES_MAX) out.push(tooLong(field, MANAGER_BYTES_MAX))
}

function checkIndexed(out: Problems, path: string, spec: JobSpec): void {
  const { completions, parallelism = 0, maxFailedIndexes: failures } = spec
  if (completions === undefined) {
    out.push(required(`${path}.completions`, 'when completion mode is Indexed'))
  }
  if (parallelism > MANY) {
    const limit = `must be less than or equal to ${MANY} when completion mode is Indexed`
    out.push(invalid(`${path}.parallelism`, parallelism, limit))
  }
  const field = `${path}.maxFailedIndexes`
  if (completions !== undefined && failures !== undefined && failures > completions) {
    out.push(invalid(field, failures, 'must be less than or equal to completions'))
  }
  if ((failures ?? 0) > MANY) out.push(invalid(field, failures, `must be less than or equal to ${MANY}`))
  if ((completions ?? 0) <= MANY || spec.backoffLimitPerIndex === undefined) return
  const rest = `when completions are above ${MANY} and used with backoff limit per index`
  if (failures === undefined) {
    out.push(required(field, `must be specified when completions is above ${MANY}`))
  }
  for (const [name, value] of Object.entries({ parallelism, maxFailedIndexes: failures ?? 0 })) {
    if (value <= MANY_LIMIT) continue
    out.push(invalid(`${path}.${name}`, value, `must be less than or equal to ${MANY_LIMIT} ${rest}`))
  }
}

function checkRestartPolicy(out: Problems, field: string, spec: JobSpec): void {
  const policy = spec.template?.spec?.restartPolicy ?? ''
  if (policy === '' || policy === 'Always') {
    out.push(required(field, 'valid values: "OnFailure", "Never"'))
  } else if (policy !== 'OnFailure' && policy !== 'Never') {
    checkOneOf(out, field, policy, ['OnFailure', 'Never'])
  } else if (spec.podFailurePolicy && policy !== 'Never') {
    out.push(invalid(field, policy, 'only "Never" is supported when podFailurePolicy is specified'))
  }
}

/** A job keeps what its pods were counted by; how they are scheduled may change before the first of them. */
export function checkJobKept(out: Problems, next: Job, previous: Job): void {
  const after = next.spec
  const before = previous.spec
  checkCompletionsKept(out, after, before)
  checkImmutable(out, 'spec.selector', after?.selector, before?.selector)
  const { startTime, active = 0, conditions = [] } = previous.status ?? {}
  const isStopped = conditions.some(({ type, status }) => type === 'Suspended' && status === 'True')
  const isWaiting = before?.suspend === true && active === 0 && (startTime === undefined || isStopped)
  const template = isWaiting ? rescheduled(before?.template, after?.template) : before?.template
  checkImmutable(out, 'spec.template', after?.template, template)
  const names = [
    'completionMode',
    'podFailurePolicy',
    'backoffLimitPerIndex',
    'managedBy',
    'successPolicy',
  ] as const
  for (const name of names) checkImmutable(out, `spec.${name}`, after?.[name], before?.[name])
}

function checkCompletionsKept(out: Problems, after: JobSpec | undefined, before: JobSpec | undefined): void {
  const field = 'spec.completions'
  if (after?.completionMode !== 'Indexed') {
    checkImmutable(out, field, after?.completions, before?.completions)
  } else if (after.completions !== before?.completions && after.completions !== undefined) {
    if (after.completions === after.parallelism) return
    out.push(invalid(field, after.completions, 'can only be modified in tandem with spec.parallelism'))
  }
}

type Template = JobSpec['template'] | undefined

/** The template before, with what says where pods go and how much they get as it is after. */
function rescheduled(before: Template, after: Template): Template {
  if (!before?.spec || !after?.spec) return before
  const { affinity } = before.spec
  const nodeAffinity = after.spec.affinity?.nodeAffinity
  const merged = { ...affinity, nodeAffinity }
  const isEmpty = !after.spec.affinity && !affinity?.podAffinity && !affinity?.podAntiAffinity
  const amounts = new Map(after.spec.containers.map(({ name, resources }) => [name, resources]))
  const spec = {
    ...before.spec,
    affinity: isEmpty ? undefined : merged,
    nodeSelector: after.spec.nodeSelector,
    tolerations: after.spec.tolerations,
    schedulingGates: after.spec.schedulingGates,
    containers: before.spec.containers.map(one => ({
      ...one,
      resources: amounts.has(one.name) ? amounts.get(one.name) : one.resources,
    })),
  }
  const { annotations, labels } = after.metadata ?? {}
  return { ...before, metadata: { ...before.metadata, annotations, labels }, spec } as Template
}
