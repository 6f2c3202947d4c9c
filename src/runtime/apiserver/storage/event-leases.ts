/**
 * Events are forgotten after an hour, and earlier where there are too many: they hang on leases, one for the events
 * of the same minute, and the oldest lease of this server is revoked when its events take more than they may.
 */
import type { Clock } from '../../../base/clock.ts'
import type { Store } from '../../store/store.ts'
import type { ServedResource } from './served-resource.ts'

/** As kube-apiserver's --event-ttl. */
const EVENT_TTL_MS = 3_600_000
const SHARED_FOR_MS = 60_000
/** What hangs on a lease goes in one transaction, which must not take long. */
const SHARED_BY_MAX = 1_000
/** Of the events that came through this server, with what each takes beside its value. */
export const EVENT_BYTES_MAX = 64 * 1024 * 1024
const ENTRY_BYTES = 400

export interface EventLeases {
  /** The lease for a value of this resource and size; 0 for everything that stays. */
  leaseFor(resource: ServedResource, bytes: number): Promise<number> | 0
}

interface Shared {
  readonly lease: Promise<number>
  readonly sinceMs: number
  count: number
  bytes: number
}

export function createEventLeases(store: Store, clock: Clock): EventLeases {
  /** Oldest first; the last one is given out. */
  const all: Shared[] = []
  let bytes = 0
  const forgetFirst = (): Shared | undefined => {
    const first = all.shift()
    bytes -= first?.bytes ?? 0
    return first
  }
  const grant = (): Shared => {
    const shared = { lease: store.grantLease(EVENT_TTL_MS), sinceMs: clock.monotonic(), count: 0, bytes: 0 }
    all.push(shared)
    shared.lease.catch(() => {
      const at = all.indexOf(shared)
      if (at >= 0) bytes -= all.splice(at, 1)[0]?.bytes ?? 0
    })
    return shared
  }
  const shorten = (): void => {
    while (all.length > 1 && isOver(all[0], clock)) forgetFirst()
    // One that cannot be revoked, or is over, ends by itself.
    while (all.length > 1 && bytes > EVENT_BYTES_MAX)
      void forgetFirst()
        ?.lease.then(lease => store.revokeLease(lease))
        .catch(() => {})
  }
  return {
    leaseFor({ info }, size) {
      const { group, resource } = info.storage
      if (resource !== 'events' || (group !== '' && group !== 'events.k8s.io')) return 0
      const last = all.at(-1)
      const isFresh = last !== undefined && clock.monotonic() - last.sinceMs < SHARED_FOR_MS
      const shared = isFresh && last.count < SHARED_BY_MAX ? last : grant()
      shared.count += 1
      shared.bytes += size + ENTRY_BYTES
      bytes += size + ENTRY_BYTES
      shorten()
      return shared.lease
    },
  }
}

const isOver = (shared: Shared | undefined, clock: Clock): boolean =>
  shared !== undefined && clock.monotonic() - shared.sinceMs > EVENT_TTL_MS + SHARED_FOR_MS
