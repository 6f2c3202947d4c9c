/** What upstream refuses in Events: little in the core group, more in events.k8s.io. */
import { type FieldError, invalid, required } from '../../../../kube/field-error.ts'
import { checkQualifiedName } from '../../../../kube/names.ts'
import type { KubeObject } from '../../../../kube/object.ts'
import { semanticallyEqual } from '../support.ts'
import { checkEach, type Problems } from '../validation/meta.ts'
import { IMMUTABLE } from '../validation/workload.ts'

const TEXT_MAX = 128
const NOTE_MAX = 1024
/** Namespaces for events about objects that have none. */
const COMMON = ['default', 'kube-system']

interface Reference {
  kind?: string
  namespace?: string
  name?: string
  uid?: string
  apiVersion?: string
  resourceVersion?: string
  fieldPath?: string
}
interface Source {
  component?: string
  host?: string
}

/** The union of both groups' fields. */
export interface AnyEvent extends KubeObject {
  involvedObject?: Reference
  regarding?: Reference
  message?: string
  note?: string
  source?: Source
  deprecatedSource?: Source
  count?: number
  deprecatedCount?: number
  firstTimestamp?: string
  deprecatedFirstTimestamp?: string
  lastTimestamp?: string
  deprecatedLastTimestamp?: string
  eventTime?: string
  series?: { count?: number; lastObservedTime?: string }
  reportingComponent?: string
  reportingController?: string
  reportingInstance?: string
  type?: string
  reason?: string
  action?: string
  related?: Reference
}

export const referenceOf = (event: AnyEvent): Reference => event.involvedObject ?? event.regarding ?? {}
export const componentOf = (event: AnyEvent): string =>
  event.reportingComponent ?? event.reportingController ?? ''
const noteOf = (event: AnyEvent): string => event.message ?? event.note ?? ''
const sourceOf = (event: AnyEvent): Source => event.source ?? event.deprecatedSource ?? {}

/** Paths are those of the core group, in both. */
export function eventProblems(event: AnyEvent): readonly FieldError[] {
  const out: FieldError[] = []
  const namespace = event.metadata.namespace ?? ''
  const given = referenceOf(event).namespace ?? ''
  const isNew = Boolean(event.eventTime)
  const fits = isNew
    ? given !== '' || COMMON.includes(namespace)
    : namespace === given || (given === '' && namespace === 'default')
  if (!fits) out.push(invalid('involvedObject.namespace', given, 'does not match event.namespace'))
  if (isNew) checkReport(out, event)
  return out
}

function checkReport(out: Problems, event: AnyEvent): void {
  const reporter = componentOf(event)
  if (reporter === '') out.push(required('reportingController'))
  checkEach(out, 'reportingController', reporter, checkQualifiedName(reporter))
  const atMost = (field: string, text: string, max: number) => {
    if (Buffer.byteLength(text) > max) out.push(invalid(field, '', `can have at most ${max} characters`))
  }
  for (const field of ['reportingInstance', 'action', 'reason'] as const) {
    const text = event[field] ?? ''
    if (text === '') out.push(required(field))
    atMost(field, text, TEXT_MAX)
  }
  atMost('message', noteOf(event), NOTE_MAX)
}

function checkSeries(out: Problems, { series }: AnyEvent): void {
  if (!series) return
  if ((series.count ?? 0) < 2) out.push(invalid('series.count', '', 'should be at least 2'))
  if (!series.lastObservedTime) out.push(required('series.lastObservedTime'))
}

/** The fields of earlier events are empty in new ones. */
export function newEventProblems(event: AnyEvent): readonly FieldError[] {
  const out: FieldError[] = []
  checkSeries(out, event)
  if (!event.eventTime) out.push(required('eventTime'))
  if (event.type !== 'Normal' && event.type !== 'Warning') {
    out.push(invalid('type', '', `has invalid value: ${event.type ?? ''}`))
  }
  const source = sourceOf(event)
  const older = {
    firstTimestamp: event.firstTimestamp ?? event.deprecatedFirstTimestamp,
    lastTimestamp: event.lastTimestamp ?? event.deprecatedLastTimestamp,
    count: event.count ?? event.deprecatedCount,
    source: source.component || source.host,
  }
  for (const [field, value] of Object.entries(older)) {
    if (value) out.push(invalid(field, '', 'needs to be unset'))
  }
  return out
}

/** An event that is told again gets a longer series, and nothing else. */
export function eventUpdateProblems(next: AnyEvent, previous: AnyEvent): readonly FieldError[] {
  const out: FieldError[] = []
  if (!semanticallyEqual(next.series, previous.series)) checkSeries(out, next)
  const before = keptFields(previous)
  for (const [field, value] of Object.entries(keptFields(next))) {
    if (!semanticallyEqual(value, before[field])) out.push(invalid(field, value, IMMUTABLE))
  }
  return out
}

const shownReference = (reference: Reference): object => ({
  Kind: reference.kind ?? '',
  Namespace: reference.namespace ?? '',
  Name: reference.name ?? '',
  UID: reference.uid ?? '',
  APIVersion: reference.apiVersion ?? '',
  ResourceVersion: reference.resourceVersion ?? '',
  FieldPath: reference.fieldPath ?? '',
})

function keptFields(event: AnyEvent): Readonly<Record<string, unknown>> {
  const { component = '', host = '' } = sourceOf(event)
  return {
    involvedObject: shownReference(referenceOf(event)),
    reason: event.reason ?? '',
    message: noteOf(event),
    source: { Component: component, Host: host },
    firstTimestamp: event.firstTimestamp ?? event.deprecatedFirstTimestamp ?? null,
    lastTimestamp: event.lastTimestamp ?? event.deprecatedLastTimestamp ?? null,
    count: event.count ?? event.deprecatedCount ?? 0,
    type: event.type ?? '',
    eventTime: event.eventTime ?? null,
    action: event.action ?? '',
    related: event.related ? shownReference(event.related) : null,
    reportingController: componentOf(event),
    reportingInstance: event.reportingInstance ?? '',
  }
}
