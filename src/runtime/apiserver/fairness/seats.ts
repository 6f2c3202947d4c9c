/** How many seats a request takes: lists take more, by the number of objects that they have to go through. Pure. */

/** As upstream's. */
const OBJECTS_PER_SEAT = 100
const SEATS_MAX = 10
/** No request takes a larger share of its level. */
const SHARE_MAX = 0.15

export interface ListWork {
  /** Objects that are kept of the kind, in the namespace when there is one. */
  readonly objects: number
  /** 0: all. */
  readonly limit: number
  /** It asks for one object by its name. */
  readonly isNamed: boolean
}

export function listSeats({ objects, limit, isNamed }: ListWork, nominal: number): number {
  if (isNamed) return 1
  const most = Math.max(1, Math.min(SEATS_MAX, Math.ceil(nominal * SHARE_MAX)))
  const looked = limit > 0 ? Math.min(limit, objects) : objects
  return Math.min(most, Math.max(1, Math.ceil(looked / OBJECTS_PER_SEAT)))
}
