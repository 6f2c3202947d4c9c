/** core/v1 Event (stored) to and from events.k8s.io/v1 Event: the same facts under other field names. */
import type { KubeObject } from '../../../kube/object.ts'

/** `[core name, events.k8s.io name]`; fields that are called alike are not listed. */
const renamed = [
  ['involvedObject', 'regarding'],
  ['message', 'note'],
  ['reportingComponent', 'reportingController'],
  ['source', 'deprecatedSource'],
  ['firstTimestamp', 'deprecatedFirstTimestamp'],
  ['lastTimestamp', 'deprecatedLastTimestamp'],
  ['count', 'deprecatedCount'],
] as const

function rename(object: KubeObject, pairs: readonly (readonly [string, string])[]): KubeObject {
  const names = new Map<string, string>(pairs)
  const entries = Object.entries(object).map(([name, value]) => [names.get(name) ?? name, value])
  return Object.fromEntries(entries) as KubeObject
}

/** From events.k8s.io/v1 to core/v1. */
export const eventToStorage = (object: KubeObject): KubeObject =>
  rename(
    object,
    renamed.map(([core, other]) => [other, core]),
  )

/** From core/v1 to events.k8s.io/v1. */
export const eventFromStorage = (object: KubeObject): KubeObject => rename(object, renamed)
