/**
 * Records Events about objects without ever making its caller wait: repeated ones are counted on the Event that
 * exists, a chatty object is limited, and what cannot be written is dropped.
 */
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { KubeObject } from '../kube/object.ts'
import type { Event, ObjectReference } from '../kube/types.ts'
import { isNotFound, type KubeClient } from './kube-client.ts'
import { EVENTS } from './resources.ts'

export interface EventRecorderParts {
  readonly client: KubeClient
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** `replicaset-controller`, `default-scheduler`, `kubelet`. */
  readonly component: string
  /** The node, for a kubelet. */
  readonly host?: string
}

export type EventType = 'Normal' | 'Warning'

/** Events that wait to be written; later ones are dropped. */
const QUEUE_EVENTS_MAX = 1_000
/** How many different events are remembered for counting; the oldest is forgotten. */
const KNOWN_EVENTS_MAX = 4_096
/** Per object: so many at once, and then one more every five minutes. */
const BURST = 25
const REFILL_MS = 300_000

interface Known {
  readonly name: string
  readonly namespace: string
  count: number
}

interface Bucket {
  tokens: number
  atMs: number
}

interface Pending {
  readonly about: ObjectReference
  readonly type: EventType
  readonly reason: string
  readonly message: string
  readonly atMs: number
}

/** A reference to an object as Events carry it; `fieldPath` names a container. */
export function referenceTo(object: KubeObject, fieldPath?: string): ObjectReference {
  const { name, namespace, uid, resourceVersion } = object.metadata
  const reference: ObjectReference = { apiVersion: object.apiVersion, kind: object.kind }
  if (name !== undefined) reference.name = name
  if (namespace !== undefined) reference.namespace = namespace
  if (uid !== undefined) reference.uid = uid
  if (resourceVersion !== undefined) reference.resourceVersion = resourceVersion
  if (fieldPath !== undefined) reference.fieldPath = fieldPath
  return reference
}

export class EventRecorder {
  readonly #parts: EventRecorderParts
  readonly #known = new Map<string, Known>()
  readonly #buckets = new Map<string, Bucket>()
  readonly #queue: Pending[] = []
  #draining: Promise<void> | null = null
  #last = { atMs: 0, order: 0 }

  constructor(parts: EventRecorderParts) {
    this.#parts = parts
  }

  /** Hands the event over; returns at once. */
  record(about: KubeObject, type: EventType, reason: string, message: string): void {
    this.recordReference(referenceTo(about), type, reason, message)
  }

  recordReference(about: ObjectReference, type: EventType, reason: string, message: string): void {
    const atMs = this.#parts.clock.now()
    if (this.#queue.length >= QUEUE_EVENTS_MAX || !this.#admit(about, atMs)) return
    this.#queue.push({ about, type, reason, message, atMs })
    this.#draining ??= this.#drain()
  }

  /** Resolves when nothing waits any more. */
  async flush(): Promise<void> {
    await this.#draining
  }

  #admit(about: ObjectReference, atMs: number): boolean {
    const key = `${about.kind}/${about.namespace}/${about.name}/${about.uid}`
    const bucket = this.#buckets.get(key) ?? { tokens: BURST, atMs }
    const refilled = Math.min(BURST, bucket.tokens + (atMs - bucket.atMs) / REFILL_MS)
    if (refilled < 1) return false
    remember(this.#buckets, key, { tokens: refilled - 1, atMs })
    return true
  }

  async #drain(): Promise<void> {
    await Promise.resolve()
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      try {
        await this.#write(next)
      } catch (error) {
        this.#parts.log.debug('An event could not be recorded', { reason: next.reason, error })
      }
    }
    this.#draining = null
  }

  async #write(pending: Pending): Promise<void> {
    const { about, type, reason, message } = pending
    const key = JSON.stringify([
      about.kind,
      about.namespace,
      about.name,
      about.uid,
      about.fieldPath,
      type,
      reason,
      message,
    ])
    const known = this.#known.get(key)
    if (known !== undefined && (await this.#countUp(known, pending))) return
    const event = this.#render(pending)
    remember(this.#known, key, {
      name: event.metadata.name ?? '',
      namespace: event.metadata.namespace ?? 'default',
      count: 1,
    })
    await this.#parts.client.create(EVENTS, event)
  }

  /** False when the Event is gone and must be written anew. */
  async #countUp(known: Known, pending: Pending): Promise<boolean> {
    known.count += 1
    const patch = { count: known.count, lastTimestamp: secondsOf(pending.atMs) }
    try {
      const { name, namespace } = known
      await this.#parts.client.patch(EVENTS, { namespace, name, type: 'strategic', patch })
      return true
    } catch (error) {
      if (isNotFound(error)) return false
      throw error
    }
  }

  /** Events of the same moment are listed in their order, too. */
  #orderAt(atMs: number): string {
    const { atMs: before, order } = this.#last
    this.#last = { atMs, order: atMs === before ? order + 1 : 0 }
    return hexDigits(Math.min(this.#last.order, 0xff), 2)
  }

  #render(pending: Pending): Event {
    const { about, type, reason, message, atMs } = pending
    const { component, host, random } = this.#parts
    const time = secondsOf(atMs)
    const suffix = `${atMs.toString(16)}${this.#orderAt(atMs)}${hexDigits(random.float() * 0x1000, 3)}`
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${about.name ?? 'unknown'}.${suffix}`, namespace: about.namespace ?? 'default' },
      involvedObject: about,
      type,
      reason,
      message,
      source: host === undefined ? { component } : { component, host },
      reportingComponent: component,
      reportingInstance: host ?? '',
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
    }
  }
}

const hexDigits = (value: number, digits: number): string =>
  Math.floor(value).toString(16).padStart(digits, '0')

const secondsOf = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`

/** Puts last; the oldest goes when there are too many. */
function remember<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.delete(key)
  map.set(key, value)
  if (map.size <= KNOWN_EVENTS_MAX) return
  for (const oldest of map.keys()) {
    map.delete(oldest)
    return
  }
}
