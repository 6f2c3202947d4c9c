/**
 * The replicated record of a cluster authority that is being replaced by the next one, and what each server has
 * confirmed. Certificates only: keys never get into the store. What a worker has is an annotation of its Node.
 */
import { Mk8sError } from '../../base/errors.ts'
import { nameOfBundle } from '../pki/validity.ts'
import { type KeyValue, prefixEnd, type Store } from '../store/store.ts'

/**
 * `trust`: every node trusts both, the earlier one signs. `sign`: the next one signs, both are trusted.
 * `drop`: the next one alone is trusted; once all nodes have that, the record goes.
 */
export type RotationStage = 'trust' | 'sign' | 'drop'
export const STAGES: readonly RotationStage[] = ['trust', 'sign', 'drop']

export interface AuthorityRotation {
  readonly stage: RotationStage
  /** PEM, as the others. */
  readonly earlier: string
  readonly next: string
  /** The key of the next one, certified by the earlier one. */
  readonly cross: string
  /** The member that made the next one. */
  readonly beganBy: number
  /** RFC 3339. */
  readonly beganAt: string
  /** When every node was found to use the next one, in milliseconds since the epoch; null before. */
  readonly usedMs: number | null
  /** The earlier one is not to be trusted for days, but only as long as pods need. */
  readonly dropAsked: boolean
}

export const ROTATION_KEY = '/mk8s/authority-rotation'
const CONFIRMATIONS = `${ROTATION_KEY}/servers/`
export const ROTATION_RANGE = { start: ROTATION_KEY, end: prefixEnd(`${ROTATION_KEY}/`) }

/** On a worker's Node: the bundle that it is to have, by the leader. */
export const WANTED_ANNOTATION = 'mk8s.io/wanted-authorities'
/** On a worker's Node: the bundle that it has, by the worker. */
export const TRUSTED_ANNOTATION = 'mk8s.io/trusted-authorities'

export const confirmationKey = (memberId: number): string => `${CONFIRMATIONS}${memberId.toString(16)}`

/** The certificates that a node trusts in a stage; the first one signs. */
export function bundleAt({ earlier, next }: AuthorityRotation, stage: RotationStage): readonly string[] {
  if (stage === 'trust') return [earlier, next]
  return stage === 'sign' ? [next, earlier] : [next]
}

/** What nodes say that they have, and are told to have. */
export function bundleNameOf(rotation: AuthorityRotation, stage = rotation.stage): string {
  return nameOfBundle(bundleAt(rotation, stage))
}

/** Plain JSON, see ARCHITECTURE, "Values". */
const FORMAT_PLAIN = 1

export const encodeRotation = (rotation: AuthorityRotation): Buffer => encode(rotation)

/** `bundle` is the name of what the server has. */
export const encodeConfirmation = (bundle: string): Buffer => encode({ bundle })

function encode(value: object): Buffer {
  return Buffer.concat([Buffer.of(FORMAT_PLAIN), Buffer.from(JSON.stringify(value))])
}

function decode({ key, value }: KeyValue): unknown {
  if (value[0] !== FORMAT_PLAIN)
    throw new Mk8sError('store/version', `the record ${key} has the unknown format ${value[0]}`)
  return JSON.parse(value.toString('utf8', 1))
}

export interface StoredRotation {
  readonly rotation: AuthorityRotation
  readonly modRevision: number
}

export function readRotation(store: Pick<Store, 'get'>): StoredRotation | null {
  const kv = store.get(ROTATION_KEY)
  return kv === null ? null : { rotation: decode(kv) as AuthorityRotation, modRevision: kv.modRevision }
}

/** The bundle that each server has confirmed, by its member id. */
export function readConfirmations(store: Pick<Store, 'range'>): ReadonlyMap<number, string> {
  const { entries } = store.range({ start: CONFIRMATIONS, end: prefixEnd(CONFIRMATIONS) })
  return new Map(
    entries.map(kv => {
      const id = Number.parseInt(kv.key.slice(CONFIRMATIONS.length), 16)
      return [id, (decode(kv) as { bundle: string }).bundle]
    }),
  )
}
