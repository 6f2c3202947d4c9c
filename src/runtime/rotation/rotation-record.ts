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

/** What the replacement of anything that all servers share goes by. */
export interface Stages {
  readonly stage: RotationStage
  /** The member that made the next one. */
  readonly beganBy: number
  /** RFC 3339. */
  readonly beganAt: string
  /** When every node was found to use the next one, in milliseconds since the epoch; null before. */
  readonly usedMs: number | null
  /** The earlier one is not to be trusted for days, but only as long as pods need. */
  readonly dropAsked: boolean
}

export interface AuthorityRotation extends Stages {
  /** PEM, as the others. */
  readonly earlier: string
  readonly next: string
  /** The key of the next one, certified by the earlier one. */
  readonly cross: string
}

export const ROTATION_KEY = '/mk8s/authority-rotation'

/** On a worker's Node: the bundle that it is to have, by the leader. */
export const WANTED_ANNOTATION = 'mk8s.io/wanted-authorities'
/** On a worker's Node: the bundle that it has, by the worker. */
export const TRUSTED_ANNOTATION = 'mk8s.io/trusted-authorities'

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

function encode(value: object): Buffer {
  return Buffer.concat([Buffer.of(FORMAT_PLAIN), Buffer.from(JSON.stringify(value))])
}

function decode({ key, value }: KeyValue): unknown {
  if (value[0] !== FORMAT_PLAIN)
    throw new Mk8sError('store/version', `the record ${key} has the unknown format ${value[0]}`)
  return JSON.parse(value.toString('utf8', 1))
}

export interface Stored<R> {
  readonly rotation: R
  readonly modRevision: number
}

/** Where the record of one replacement is in the store, and what each server has confirmed. */
export interface RotationRecords<R> {
  readonly key: string
  readonly range: { readonly start: string; readonly end: string }
  encode(rotation: R): Buffer
  read(store: Pick<Store, 'get'>): Stored<R> | null
  confirmationKey(memberId: number): string
  /** `bundle` is the name of what the server has. */
  encodeConfirmation(bundle: string): Buffer
  /** The bundle that each server has confirmed, by its member id. */
  confirmations(store: Pick<Store, 'range'>): ReadonlyMap<number, string>
}

export function rotationRecords<R extends Stages>(key: string): RotationRecords<R> {
  const servers = `${key}/servers/`
  return {
    key,
    range: { start: key, end: prefixEnd(`${key}/`) },
    encode,
    read(store) {
      const kv = store.get(key)
      return kv === null ? null : { rotation: decode(kv) as R, modRevision: kv.modRevision }
    },
    confirmationKey: memberId => `${servers}${memberId.toString(16)}`,
    encodeConfirmation: bundle => encode({ bundle }),
    confirmations(store) {
      const { entries } = store.range({ start: servers, end: prefixEnd(servers) })
      return new Map(
        entries.map(kv => {
          const id = Number.parseInt(kv.key.slice(servers.length), 16)
          return [id, (decode(kv) as { bundle: string }).bundle]
        }),
      )
    },
  }
}

export const AUTHORITY_RECORDS: RotationRecords<AuthorityRotation> = rotationRecords(ROTATION_KEY)
