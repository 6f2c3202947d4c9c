/** Events, under both of their groups: one stored object with two sets of field names. */
import type { KubeObject } from '../../../../kube/object.ts'
import { column, since, tableOf, wide } from '../columns.ts'
import { defineKind } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind } from '../support.ts'
import {
  type AnyEvent,
  componentOf,
  eventProblems,
  eventUpdateProblems,
  newEventProblems,
  referenceOf,
} from './event-rules.ts'

const table = tableOf<AnyEvent>(
  [
    column('Last Seen', 'Time since it happened last'),
    column('Type', 'Normal or Warning'),
    column('Reason', 'Why, in one word'),
    column('Object', 'What it is about'),
    wide('Subobject', 'Part of the object it is about'),
    wide('Source', 'Who reports it'),
    column('Message', 'What happened'),
    wide('First Seen', 'Time since it happened first'),
    wide('Count', 'How often it happened'),
    wide('Name', 'Name of the event'),
  ],
  (event, nowMs) => {
    const reference = referenceOf(event)
    const first = since(event.firstTimestamp ?? event.deprecatedFirstTimestamp ?? event.eventTime, nowMs)
    const last = event.lastTimestamp ?? event.deprecatedLastTimestamp
    return [
      lastSeen(event, nowMs) ?? (last ? since(last, nowMs) : first),
      event.type ?? '',
      event.reason ?? '',
      `${(reference.kind ?? '').toLowerCase()}${reference.name ? `/${reference.name}` : ''}`,
      reference.fieldPath ?? '',
      sourceText(event),
      (event.message ?? event.note ?? '').trim(),
      first,
      event.series?.count ?? (event.count || event.deprecatedCount || 1),
      event.metadata.name ?? '',
    ]
  },
)

function lastSeen(event: AnyEvent, nowMs: number): string | null {
  const time = event.series?.lastObservedTime
  return time ? since(time, nowMs) : null
}

function sourceText(event: AnyEvent): string {
  const source = event.source ?? event.deprecatedSource ?? {}
  const parts = [source.component || componentOf(event), source.host || event.reportingInstance || '']
  return parts.filter(part => part !== '').join(', ')
}

function selectableFields(object: KubeObject): Record<string, string> {
  const event = asKind<AnyEvent>(object)
  const reference = referenceOf(event)
  const fields: Record<string, string> = {
    reason: event.reason ?? '',
    type: event.type ?? '',
    reportingComponent: componentOf(event),
    reportingController: componentOf(event),
    source: event.source?.component || event.deprecatedSource?.component || componentOf(event),
  }
  const names = ['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'] as const
  for (const name of names) {
    fields[`involvedObject.${name}`] = reference[name] ?? ''
    fields[`regarding.${name}`] = reference[name] ?? ''
  }
  return fields
}

/** What only events.k8s.io/v1 asks for. */
const strict: Partial<Strategy> = {
  validateCreate: object => newEventProblems(asKind<AnyEvent>(object)),
  validateUpdate: (next, previous) => eventUpdateProblems(asKind<AnyEvent>(next), asKind<AnyEvent>(previous)),
}

const eventsOf = (group: string): Strategy =>
  defineKind({
    group,
    resource: 'events',
    validate: object => eventProblems(asKind<AnyEvent>(object)),
    ...(group === '' ? {} : strict),
    selectableFields,
    allowCreateOnUpdate: true,
    table,
  })

export const coreEvents: Strategy = eventsOf('')
export const newEvents: Strategy = eventsOf('events.k8s.io')
