/**
 * What the status of a job may become. Other programs than this server's controller may keep a job
 * (`spec.managedBy`), so a status has to make sense; what a write leaves as it was is not judged.
 */
import { duplicate, type FieldError, invalid, invalidWhole, required } from '../../../../kube/field-error.ts'
import type { Job } from '../../../../kube/types.ts'
import { at, semanticallyEqual } from '../support.ts'
import { checkNonNegative, type Problems } from '../validation/meta.ts'
import { countIndexes } from './indexes.ts'

type Status = NonNullable<Job['status']>

const FIELD = 'status'
const CONDITIONS = `${FIELD}.conditions`

/** One side of the change. */
class View {
  readonly job: Job
  constructor(job: Job) {
    this.job = job
  }
  get status(): Partial<Status> {
    return this.job.status ?? {}
  }
  is(type: string): boolean {
    return (this.status.conditions ?? []).some(item => item.type === type && item.status === 'True')
  }
  get isFinished(): boolean {
    return this.is('Complete') || this.is('Failed')
  }
}

export function jobStatusProblems(next: Job, previous: Job): readonly FieldError[] {
  const out: FieldError[] = []
  const change = new Change(new View(next), new View(previous))
  checkCounts(out, change.next.status)
  checkTogether(out, change)
  checkTimes(out, change)
  checkFinished(out, change)
  checkIndexes(out, change)
  checkPods(out, change)
  checkSuccess(out, change.next)
  checkSteps(out, change)
  return out
}

class Change {
  readonly next: View
  readonly previous: View
  constructor(next: View, previous: View) {
    this.next = next
    this.previous = previous
  }
  /** Whether one of the conditions came or went. */
  turned(...types: readonly string[]): boolean {
    return types.some(type => this.next.is(type) !== this.previous.is(type))
  }
  changed(...names: readonly (keyof Status)[]): boolean {
    return names.some(name => !semanticallyEqual(this.next.status[name], this.previous.status[name]))
  }
  get finishTurned(): boolean {
    return this.next.isFinished !== this.previous.isFinished
  }
}

const refuse = (out: Problems, detail: string) => out.push(invalidWhole(CONDITIONS, detail))

function checkCounts(out: Problems, status: Partial<Status>): void {
  for (const name of ['active', 'succeeded', 'failed', 'ready', 'terminating'] as const) {
    checkNonNegative(out, `${FIELD}.${name}`, status[name])
  }
  const seen = new Set<string>()
  for (const name of ['succeeded', 'failed'] as const) {
    for (const [index, uid] of (status.uncountedTerminatedPods?.[name] ?? []).entries()) {
      const field = at(`${FIELD}.uncountedTerminatedPods.${name}`, index)
      if (uid === '') out.push(invalid(field, uid, 'must not be empty'))
      else if (seen.has(uid)) {
        out.push(duplicate(field, uid))
      }
      seen.add(uid)
    }
  }
}

function checkTogether(out: Problems, change: Change): void {
  const { next } = change
  if (!next.is('Complete')) return
  if (change.turned('Complete', 'Failed') && next.is('Failed')) {
    refuse(out, 'cannot set Complete=True and Failed=true conditions')
  }
  if (change.turned('Complete', 'FailureTarget') && next.is('FailureTarget')) {
    refuse(out, 'cannot set Complete=True and FailureTarget=true conditions')
  }
}

function checkTimes(out: Problems, change: Change): void {
  const { next } = change
  const { startTime, completionTime } = next.status
  const field = `${FIELD}.completionTime`
  if (change.turned('Complete') || change.changed('completionTime')) {
    if (completionTime && !next.is('Complete')) {
      const detail = 'cannot set completionTime when there is no Complete=True condition'
      out.push(invalid(field, completionTime, detail))
    }
    if (!completionTime && next.is('Complete')) {
      out.push(required(field, 'completionTime is required for Complete jobs'))
    }
  }
  if (!startTime || !completionTime || !change.changed('startTime', 'completionTime')) return
  if (Date.parse(completionTime) >= Date.parse(startTime)) return
  out.push(invalid(field, completionTime, 'completionTime cannot be set before startTime'))
}

function checkFinished(out: Problems, change: Change): void {
  const { next } = change
  const { status } = next
  if (change.turned('Failed') || change.changed('failedIndexes')) {
    if (next.is('Failed') && !next.is('FailureTarget')) {
      refuse(out, 'cannot set Failed=True condition without the FailureTarget=true condition')
    }
  }
  if (change.turned('Complete', 'SuccessCriteriaMet')) {
    if (next.is('Complete') && !next.is('SuccessCriteriaMet')) {
      refuse(out, 'cannot set Complete=True condition without the SuccessCriteriaMet=true condition')
    }
  }
  if (!next.isFinished) return
  if ((change.finishTurned || change.changed('active')) && (status.active ?? 0) > 0) {
    out.push(invalid(`${FIELD}.active`, status.active, 'active>0 is invalid for finished job'))
  }
  const isEmpty = next.job.spec?.suspend === true && next.job.spec.completions === 0
  if ((change.finishTurned || change.changed('startTime')) && !isEmpty && !status.startTime) {
    out.push(required(`${FIELD}.startTime`, 'startTime is required for finished job'))
  }
  const { failed = [], succeeded = [] } = status.uncountedTerminatedPods ?? {}
  if (!change.finishTurned && !change.changed('uncountedTerminatedPods')) return
  if (failed.length + succeeded.length === 0) return
  const shown = { Succeeded: succeeded, Failed: failed }
  const detail = 'uncountedTerminatedPods needs to be empty for finished job'
  out.push(invalid(`${FIELD}.uncountedTerminatedPods`, shown, detail))
}

function checkIndexes(out: Problems, change: Change): void {
  const { status, job } = change.next
  const { completions, backoffLimitPerIndex, completionMode } = job.spec ?? {}
  const completed = status.completedIndexes ?? ''
  const failed = status.failedIndexes
  const completedChanged = change.changed('completedIndexes')
  const failedChanged = change.changed('failedIndexes')
  if (completedChanged && completions !== undefined) {
    checkFormat(out, 'completedIndexes', completed, completions)
  }
  const hasOwnLimit = backoffLimitPerIndex !== undefined
  if (failedChanged && completions !== undefined && hasOwnLimit && failed !== undefined) {
    checkFormat(out, 'failedIndexes', failed, completions)
  }
  if (completedChanged && completed !== '' && completionMode !== 'Indexed') {
    const detail = 'cannot set non-empty completedIndexes when non-indexed completion mode'
    out.push(invalid(`${FIELD}.completedIndexes`, completed, detail))
  }
  if (failedChanged && !hasOwnLimit && failed !== undefined) {
    const detail = 'cannot set non-null failedIndexes when backoffLimitPerIndex is null'
    out.push(invalid(`${FIELD}.failedIndexes`, failed, detail))
  }
  if (completions === undefined || failed === undefined || !(completedChanged || failedChanged)) return
  const both = overlap(completed, failed)
  if (both === null) return
  const detail = `failedIndexes and completedIndexes overlap at index: ${both}`
  out.push(invalid(`${FIELD}.failedIndexes`, failed, detail))
}

function checkFormat(
  out: Problems,
  name: 'completedIndexes' | 'failedIndexes',
  text: string,
  completions: number,
): void {
  const counted = countIndexes(text, completions)
  if (typeof counted === 'number') return
  out.push(invalid(`${FIELD}.${name}`, text, `error parsing ${name}: ${counted}`))
}

/** The first index that both name; what is not a list of indexes is told of elsewhere. */
function overlap(left: string, right: string): number | null {
  const ranges = (text: string) =>
    (text === '' ? [] : text.split(',')).map(part => part.split('-').map(Number))
  for (const [low = 0, high = low] of ranges(left)) {
    for (const [first = 0, last = first] of ranges(right)) {
      if (first <= high && low <= last) return Math.max(low, first)
    }
  }
  return null
}

function checkPods(out: Problems, change: Change): void {
  const { status, isFinished } = change.next
  const { terminating = 0, ready = 0, active = 0 } = status
  if ((change.finishTurned || change.changed('terminating')) && terminating > 0 && isFinished) {
    out.push(invalid(`${FIELD}.terminating`, terminating, 'terminating>0 is invalid for finished job'))
  }
  if (change.changed('ready', 'active') && ready > active) {
    out.push(invalid(`${FIELD}.ready`, ready, 'cannot set more ready pods than active'))
  }
}

function checkSuccess(out: Problems, next: View): void {
  const isMet = next.is('SuccessCriteriaMet')
  if (isMet && next.is('Failed')) {
    refuse(out, 'cannot set SuccessCriteriaMet=True and Failed=true conditions')
  }
  if (isMet && next.is('FailureTarget')) {
    refuse(out, 'cannot set SuccessCriteriaMet=True and FailureTarget=true conditions')
  }
  if (next.job.spec?.successPolicy && !isMet && next.is('Complete')) {
    refuse(out, 'cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True')
  }
}

/** What has to grow, and what stays once it is there. */
function checkSteps(out: Problems, { next, previous }: Change): void {
  for (const type of ['Failed', 'Complete', 'FailureTarget']) {
    if (!previous.is(type) || next.is(type)) continue
    refuse(out, `cannot disable the terminal ${type}=True condition`)
  }
  const { status } = next
  const before = previous.status
  const { completions, parallelism, suspend } = next.job.spec ?? {}
  if ((status.failed ?? 0) < (before.failed ?? 0)) {
    out.push(invalid(`${FIELD}.failed`, status.failed ?? 0, 'cannot decrease the failed counter'))
  }
  if (completions !== parallelism && (status.succeeded ?? 0) < (before.succeeded ?? 0)) {
    out.push(invalid(`${FIELD}.succeeded`, status.succeeded ?? 0, 'cannot decrease the succeeded counter'))
  }
  const ended = status.completionTime
  if (ended && before.completionTime && ended !== before.completionTime) {
    out.push(invalid(`${FIELD}.completionTime`, ended, 'completionTime cannot be mutated'))
  }
  if (before.startTime && before.startTime !== status.startTime && suspend !== true) {
    out.push(required(`${FIELD}.startTime`, 'startTime cannot be removed for unsuspended job'))
  }
  const type = 'SuccessCriteriaMet'
  if (previous.is(type) && !next.is(type)) refuse(out, `cannot disable the ${type}=True condition`)
  if (previous.is('Complete') && !previous.is(type) && next.is(type)) {
    refuse(out, `cannot set ${type}=True for Job already has Complete=true conditions`)
  }
}
