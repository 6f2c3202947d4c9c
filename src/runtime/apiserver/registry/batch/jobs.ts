/** Jobs and CronJobs. */
import { cronProblem } from '../../../../kube/cron-schedule.ts'
import type { FieldError } from '../../../../kube/field-error.ts'
import { invalid, notSupported, required } from '../../../../kube/field-error.ts'
import { checkDns1123Label } from '../../../../kube/names.ts'
import { humanDuration } from '../../../../kube/time.ts'
import type { CronJob, Job, JobSpec } from '../../../../kube/types.ts'
import {
  ageColumn,
  column,
  containerCells,
  containerColumns,
  NONE,
  nameColumn,
  selectorText,
  since,
  tableOf,
} from '../columns.ts'
import { defaultTemplate } from '../core/pod-defaults.ts'
import { defineKind } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind, keyed, setDefault } from '../support.ts'
import { checkNonNegative, checkOneOf, checkSelector, selects } from '../validation/meta.ts'
import { checkTemplateFits } from '../validation/pod-spec.ts'
import { checkJobKept, checkJobSpec } from './job-rules.ts'
import { jobStatusProblems } from './job-status-rules.ts'

const BACKOFF_LIMIT = 6
const INT32_MAX = 2 ** 31 - 1
const CRON_NAME_MAX = 52
const CONTROLLER_UID = 'batch.kubernetes.io/controller-uid'
const JOB_NAME = 'batch.kubernetes.io/job-name'

function defaultJob(job: Job): void {
  const spec = job.spec
  if (!spec) return
  if (spec.completions === undefined && spec.parallelism === undefined) spec.completions = 1
  setDefault(spec, 'parallelism', 1)
  setDefault(spec, 'backoffLimit', spec.backoffLimitPerIndex === undefined ? BACKOFF_LIMIT : INT32_MAX)
  setDefault(spec, 'completionMode', 'NonIndexed')
  setDefault(spec, 'suspend', false)
  setDefault(spec, 'podReplacementPolicy', spec.podFailurePolicy ? 'Failed' : 'TerminatingOrFailed')
  setDefault(spec, 'manualSelector', false)
  for (const rule of spec.podFailurePolicy?.rules ?? []) {
    for (const pattern of rule.onPodConditions ?? []) if (!pattern.status) pattern.status = 'True'
  }
  const labels = spec.template?.metadata?.labels
  if (labels && Object.keys(job.metadata.labels ?? {}).length === 0) job.metadata.labels = { ...labels }
  defaultTemplate(spec.template)
}

/** Without a selector of its own, a job finds its pods by its uid, which the server puts into the template. */
function generateSelector(job: Job): void {
  const spec = job.spec
  if (!spec || spec.manualSelector === true || !spec.template) return
  const uid = job.metadata.uid ?? ''
  const name = job.metadata.name ?? ''
  const template = spec.template
  template.metadata = {
    ...template.metadata,
    labels: {
      'controller-uid': uid,
      'job-name': name,
      [CONTROLLER_UID]: uid,
      [JOB_NAME]: name,
      // What does not fit is refused, not replaced.
      ...template.metadata?.labels,
    },
  }
  spec.selector = {
    ...spec.selector,
    matchLabels: { [CONTROLLER_UID]: uid, ...spec.selector?.matchLabels },
  }
}

function validateJob(spec: JobSpec | undefined): readonly FieldError[] {
  const out: FieldError[] = []
  if (!spec) return [required('spec')]
  checkJobSpec(out, 'spec', spec)
  if (!spec.selector) out.push(required('spec.selector'))
  else {
    checkSelector(out, 'spec.selector', spec.selector)
    const { template, selector } = spec
    checkTemplateFits(out, 'spec.template', { template, selector, kind: 'Job' })
  }
  return out
}

/** What the server puts into selector and template is there, unless the job brings its own (`manualSelector`). */
function checkGenerated(out: FieldError[], { metadata, spec }: Job): void {
  if (!spec?.selector || spec.manualSelector === true) return
  const uid = metadata.uid ?? ''
  if (uid === '') out.push(required('metadata.uid'))
  const labels = spec.template?.metadata?.labels ?? {}
  const wanted = { 'controller-uid': uid, 'job-name': metadata.name ?? '' }
  const all = { ...wanted, [CONTROLLER_UID]: uid, [JOB_NAME]: metadata.name ?? '' }
  for (const [key, value] of Object.entries(all)) {
    const field = keyed('spec.template.metadata.labels', key)
    if (labels[key] === undefined) out.push(required(field, `must be '${value}'`))
    else if (labels[key] !== value) out.push(invalid(field, labels, `must be '${value}'`))
  }
  if (selects(spec.selector, all)) return
  out.push(invalid('spec.selector', spec.selector, '`selector` not auto-generated'))
}

/** An indexed job's pods have names that end in the index, and every one has to be a name. */
function checkIndexedNames(out: FieldError[], { metadata, spec }: Job): void {
  const wanted = spec?.completions ?? 0
  if (spec?.completionMode !== 'Indexed' || wanted <= 0) return
  const last = `${metadata.name ?? ''}-${wanted - 1}`
  if (checkDns1123Label(last).length === 0) return
  const detail = `will not able to create pod with invalid DNS label: ${last}`
  out.push(invalid('metadata.name', metadata.name, detail))
}

function validateNewJob(job: Job): readonly FieldError[] {
  const out: FieldError[] = []
  checkGenerated(out, job)
  checkIndexedNames(out, job)
  return out
}

function validateJobUpdate(next: Job, previous: Job): readonly FieldError[] {
  const out: FieldError[] = []
  checkJobKept(out, next, previous)
  return out
}

function jobStatus(job: Job): string {
  const has = (type: string) =>
    (job.status?.conditions ?? []).some(item => item.type === type && item.status === 'True')
  for (const type of ['Complete', 'Failed']) if (has(type)) return type
  if (job.metadata.deletionTimestamp) return 'Terminating'
  return ['Suspended', 'FailureTarget', 'SuccessCriteriaMet'].find(has) ?? 'Running'
}

function completions(job: Job): string {
  const done = job.status?.succeeded ?? 0
  const { completions: wanted, parallelism = 0 } = job.spec ?? {}
  if (wanted !== undefined) return `${done}/${wanted}`
  return parallelism > 1 ? `${done}/1 of ${parallelism}` : `${done}/1`
}

function jobDuration(job: Job, nowMs: number): string {
  const { startTime, completionTime } = job.status ?? {}
  if (!startTime) return ''
  const end = completionTime ? Date.parse(completionTime) : nowMs
  return humanDuration(end - Date.parse(startTime))
}

export const jobs: Strategy = defineKind({
  group: 'batch',
  resource: 'jobs',
  hasStatus: true,
  hasGeneration: true,
  applyDefaults: object => defaultJob(asKind<Job>(object)),
  prepareForCreate: object => generateSelector(asKind<Job>(object)),
  validate: object => validateJob(asKind<Job>(object).spec),
  validateCreate: object => validateNewJob(asKind<Job>(object)),
  validateUpdate: (next, previous) => validateJobUpdate(asKind<Job>(next), asKind<Job>(previous)),
  validateStatusUpdate: (next, previous) => jobStatusProblems(asKind<Job>(next), asKind<Job>(previous)),
  selectableFields: object => ({
    'status.successful': String(asKind<Job>(object).status?.succeeded ?? 0),
  }),
  table: tableOf<Job>(
    [
      nameColumn,
      column('Status', 'How far the job is'),
      column('Completions', 'Pods that succeeded, of those wanted'),
      column('Duration', 'How long the job runs or ran'),
      ageColumn,
      ...containerColumns,
    ],
    (job, nowMs) => [
      job.metadata.name ?? '',
      jobStatus(job),
      completions(job),
      jobDuration(job, nowMs),
      since(job.metadata.creationTimestamp, nowMs),
      ...containerCells(job.spec?.template?.spec),
      selectorText(job.spec?.selector),
    ],
  ),
})

function checkTimeZone(out: FieldError[], field: string, zone: string): void {
  if (zone === '') out.push(invalid(field, zone, 'timeZone must be nil or non-empty string'))
  else if (zone.toLowerCase() === 'local') {
    const detail = 'timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones'
    out.push(invalid(field, zone, detail))
  } else if (!isTimeZone(zone)) out.push(invalid(field, zone, `unknown time zone ${zone}`))
}

function isTimeZone(zone: string): boolean {
  if (/^[+-]/.test(zone)) return false
  try {
    return new Intl.DateTimeFormat('en', { timeZone: zone }).resolvedOptions().timeZone !== ''
  } catch {
    return false
  }
}

function validateCronJob(object: CronJob): readonly FieldError[] {
  const out: FieldError[] = []
  const { spec, metadata } = object
  if (!spec) return [required('spec')]
  if ((metadata.name ?? '').length > CRON_NAME_MAX) {
    out.push(invalid('metadata.name', metadata.name, 'must be no more than 52 characters'))
  }
  if (!spec.schedule) out.push(required('spec.schedule'))
  else {
    const problem = cronProblem(spec.schedule)
    if (problem !== null) out.push(invalid('spec.schedule', spec.schedule, problem))
    if (spec.schedule.includes('TZ')) {
      const detail = 'cannot use TZ or CRON_TZ in schedule, use timeZone field instead'
      out.push(invalid('spec.schedule', spec.schedule, detail))
    }
  }
  if (spec.timeZone !== undefined) checkTimeZone(out, 'spec.timeZone', spec.timeZone)
  checkNonNegative(out, 'spec.startingDeadlineSeconds', spec.startingDeadlineSeconds)
  checkNonNegative(out, 'spec.successfulJobsHistoryLimit', spec.successfulJobsHistoryLimit)
  checkNonNegative(out, 'spec.failedJobsHistoryLimit', spec.failedJobsHistoryLimit)
  if (!spec.concurrencyPolicy) out.push(required('spec.concurrencyPolicy'))
  else checkOneOf(out, 'spec.concurrencyPolicy', spec.concurrencyPolicy, ['Allow', 'Forbid', 'Replace'])
  const template = spec.jobTemplate?.spec
  if (!template) out.push(required('spec.jobTemplate.spec'))
  else {
    checkJobSpec(out, 'spec.jobTemplate.spec', template)
    const { selector, manualSelector } = template
    if (selector) {
      out.push(invalid('spec.jobTemplate.spec.selector', selector, '`selector` will be auto-generated'))
    }
    if (manualSelector === true) {
      out.push(notSupported('spec.jobTemplate.spec.manualSelector', true, ['nil', 'false']))
    }
  }
  return out
}

export const cronJobs: Strategy = defineKind({
  group: 'batch',
  resource: 'cronjobs',
  hasStatus: true,
  hasGeneration: true,
  applyDefaults(object) {
    const { spec } = asKind<CronJob>(object)
    if (!spec) return
    setDefault(spec, 'concurrencyPolicy', 'Allow')
    setDefault(spec, 'suspend', false)
    setDefault(spec, 'successfulJobsHistoryLimit', 3)
    setDefault(spec, 'failedJobsHistoryLimit', 1)
    defaultTemplate(spec.jobTemplate?.spec?.template)
  },
  validate: object => validateCronJob(asKind<CronJob>(object)),
  table: tableOf<CronJob>(
    [
      nameColumn,
      column('Schedule', 'When jobs are started'),
      column('Timezone', 'Time zone of the schedule'),
      column('Suspend', 'Whether starting jobs is suspended', 'boolean'),
      column('Active', 'Jobs that run', 'integer'),
      column('Last Schedule', 'Time since a job was last started'),
      ageColumn,
      ...containerColumns,
    ],
    ({ metadata, spec, status }, nowMs) => [
      metadata.name ?? '',
      spec?.schedule ?? '',
      spec?.timeZone ?? NONE,
      spec?.suspend === true ? 'True' : 'False',
      status?.active?.length ?? 0,
      status?.lastScheduleTime ? since(status.lastScheduleTime, nowMs) : NONE,
      since(metadata.creationTimestamp, nowMs),
      ...containerCells(spec?.jobTemplate?.spec?.template?.spec),
      selectorText(spec?.jobTemplate?.spec?.selector),
    ],
  ),
})
