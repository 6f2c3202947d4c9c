/** Watch events, encoded once for all watchers that see the same object in the same form. */
import type { KeyValue } from '../../store/store.ts'
import type { ServedResource } from '../storage/served-resource.ts'
import { type View, viewBytes } from './view.ts'

export type WatchEventType = 'ADDED' | 'MODIFIED' | 'DELETED'

export interface WatchEventEncoder {
  /** `revision`: the resourceVersion to show, which for a deletion is that of the deletion. */
  encode(resource: ServedResource, type: WatchEventType, kv: KeyValue, revision: number, view: View): Buffer
}

/** Encoded lines are kept for the watchers that are served in the same moment, not longer. */
const KEPT_BYTES_MAX = 4 * 1024 * 1024

const numbers = new WeakMap<object, number>()
let lastNumber = 0

/** The same entry looks different through another version of its definition. */
function seenThrough({ custom }: ServedResource): string {
  if (custom === undefined) return ''
  let number = numbers.get(custom)
  if (number === undefined) {
    lastNumber += 1
    number = lastNumber
    numbers.set(custom, number)
  }
  return ` ${number}`
}

export function createWatchEventEncoder(): WatchEventEncoder {
  const kept = new Map<string, Buffer>()
  let bytes = 0
  const keep = (id: string, line: Buffer) => {
    if (bytes + line.length > KEPT_BYTES_MAX) {
      kept.clear()
      bytes = 0
    }
    kept.set(id, line)
    bytes += line.length
  }
  /** Most watchers of one event ask for the same form, one after the other. */
  let last: Encoded | null = null
  return {
    encode(resource, type, kv, revision, view) {
      if (last !== null && isSame(last, resource, type, kv, revision, view)) return last.line
      const shown = `${view.encoding.format} ${view.form} ${view.include}`
      const form = `${resource.apiVersion} ${shown}${seenThrough(resource)}`
      const id = `${type} ${form} ${revision} ${kv.modRevision} ${kv.key}`
      const known = kept.get(id)
      const line = known ?? view.encoding.event(type, viewBytes(resource, kv, view, revision))
      if (known === undefined) keep(id, line)
      last = { resource, custom: resource.custom, type, kv, revision, view, line }
      return line
    },
  }
}

interface Encoded {
  readonly resource: ServedResource
  readonly custom: ServedResource['custom']
  readonly type: WatchEventType
  readonly kv: KeyValue
  readonly revision: number
  readonly view: View
  readonly line: Buffer
}

const isSame = (
  last: Encoded,
  resource: ServedResource,
  type: WatchEventType,
  kv: KeyValue,
  revision: number,
  view: View,
): boolean =>
  last.kv === kv &&
  last.type === type &&
  last.revision === revision &&
  last.resource === resource &&
  last.custom === resource.custom &&
  last.view.encoding === view.encoding &&
  last.view.form === view.form &&
  last.view.include === view.include
