/** Events are forgotten after an hour: they hang on leases, one for all events of the same minute. */
import type { Clock } from '../../../base/clock.ts'
import type { Store } from '../../store/store.ts'
import type { ServedResource } from './served-resource.ts'

/** As kube-apiserver's --event-ttl. */
const EVENT_TTL_MS = 3_600_000
const SHARED_FOR_MS = 60_000

export interface EventLeases {
  /** The lease for a value of this resource; 0 for everything that stays. */
  leaseFor(resource: ServedResource): Promise<number> | 0
}

export function createEventLeases(store: Store, clock: Clock): EventLeases {
  let current: { readonly lease: Promise<number>; readonly since: number } | null = null
  const grant = (): Promise<number> => {
    const lease = store.grantLease(EVENT_TTL_MS)
    const granted = { lease, since: clock.monotonic() }
    current = granted
    lease.catch(() => {
      if (current === granted) current = null
    })
    return lease
  }
  return {
    leaseFor({ info }) {
      const { group, resource } = info.storage
      if (resource !== 'events' || (group !== '' && group !== 'events.k8s.io')) return 0
      const isFresh = current !== null && clock.monotonic() - current.since < SHARED_FOR_MS
      return isFresh && current !== null ? current.lease : grant()
    },
  }
}
