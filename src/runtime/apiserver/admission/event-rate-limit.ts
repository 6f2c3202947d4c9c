/** Events come at a limited rate: to this server, of one namespace, of one user, of one source about one object. */
import type { Clock } from '../../../base/clock.ts'
import { StatusError, tooManyRequests } from '../../../kube/status.ts'
import type { AdmissionPlugin, AdmissionRequest } from '../ports.ts'

export const EVENT_LIMIT_TYPES = ['Server', 'Namespace', 'User', 'SourceAndObject'] as const

export interface EventLimit {
  readonly type: (typeof EVENT_LIMIT_TYPES)[number]
  readonly qps: number
  readonly burst: number
  /** How many buckets are kept, but for the one of a server. */
  readonly cacheSize: number
}

/** What is left of a burst, and when that was. */
interface Bucket {
  tokens: number
  atMs: number
}

/** Takes a token of each limit. Throws 429 with the last limit that had none. */
export function eventRateLimit(limits: readonly EventLimit[], clock: Pick<Clock, 'now'>): AdmissionPlugin {
  const buckets = limits.map(limit => new Buckets(limit, clock))
  return {
    name: 'EventRateLimit',
    callsOut: true,
    validate(request) {
      const { operation, resource } = request
      if ((operation !== 'CREATE' && operation !== 'UPDATE') || resource.kind !== 'Event') return
      if (resource.group !== '' && resource.group !== 'events.k8s.io') return
      let refused: string | undefined
      for (const each of buckets) {
        const key = keyOf(each.limit.type, request)
        if (!each.take(key)) refused = `limit reached on type ${each.limit.type} for key ${key}`
      }
      if (refused !== undefined) throw tooMany(refused)
    },
  }
}

/** Without a time to try again after, so that clients let the event go. */
function tooMany(why: string): StatusError {
  const { details: _after, ...status } = tooManyRequests(`Too many requests: ${why}`).status
  return new StatusError(status)
}

class Buckets {
  readonly limit: EventLimit
  readonly #clock: Pick<Clock, 'now'>
  /** Those used last are last. */
  readonly #all = new Map<string, Bucket>()

  constructor(limit: EventLimit, clock: Pick<Clock, 'now'>) {
    this.limit = limit
    this.#clock = clock
  }

  take(key: string): boolean {
    const { qps, burst, cacheSize } = this.limit
    const nowMs = this.#clock.now()
    const bucket = this.#all.get(key) ?? { tokens: burst, atMs: nowMs }
    const gained = (Math.max(0, nowMs - bucket.atMs) / 1000) * qps
    bucket.tokens = Math.min(burst, bucket.tokens + gained)
    bucket.atMs = nowMs
    this.#all.delete(key)
    const oldest = this.#all.keys().next()
    if (this.#all.size >= cacheSize && oldest.done !== true) this.#all.delete(oldest.value)
    this.#all.set(key, bucket)
    if (bucket.tokens < 1) return false
    bucket.tokens -= 1
    return true
  }
}

interface Event {
  readonly source?: { readonly component?: string; readonly host?: string }
  readonly involvedObject?: Readonly<
    Partial<Record<'kind' | 'namespace' | 'name' | 'uid' | 'apiVersion', string>>
  >
}

function keyOf(type: EventLimit['type'], { namespace, user, object }: AdmissionRequest): string {
  if (type === 'Server') return ''
  if (type === 'Namespace') return namespace
  if (type === 'User') return user.username
  const { source, involvedObject: about } = (object ?? {}) as Event
  const parts = [source?.component, source?.host, about?.kind, about?.namespace, about?.name, about?.uid]
  return [...parts, about?.apiVersion].join('')
}
