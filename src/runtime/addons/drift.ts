/**
 * Whether somebody has changed what an add-on says of an object, and how soon it is put back. Pure. Server-side apply
 * tells: whoever else writes another value into a field takes it from the add-on's manager. Fields that the add-on's
 * manifests do not have are nobody's business here.
 */
import { type BackoffConfig, backoffMs } from '../../base/backoff.ts'
import type { KubeObject } from '../../kube/object.ts'
import { type Correction, FIELD_MANAGER } from './addon-object.ts'

/** What the leader remembers of an object that it has applied. */
export interface Kept {
  readonly uid: string
  /** The fields that were the add-on's when it was applied last. */
  readonly held: string
  /** How often it was put back in a row, and when last. */
  readonly count: number
  readonly lastMs: number
}

/** The first ones are put back at once; who fights on is answered less and less often. */
const AT_ONCE = 3
const BACKOFF: BackoffConfig = { baseMs: 1_000, maxMs: 300_000 }
/** After so long without a change the next one counts as the first again. */
export const CALM_MS = 600_000

interface ManagerEntry {
  readonly manager?: string
  readonly operation?: string
  readonly subresource?: string
  readonly time?: string
  readonly fieldsV1?: { readonly 'f:spec'?: Readonly<Record<string, unknown>> }
}

const entriesOf = ({ metadata }: KubeObject): readonly ManagerEntry[] =>
  (metadata as { managedFields?: readonly ManagerEntry[] }).managedFields ?? []

const isOwn = ({ manager, operation, subresource = '' }: ManagerEntry): boolean =>
  manager === FIELD_MANAGER && operation === 'Apply' && subresource === ''

const ownEntry = (object: KubeObject) => entriesOf(object).find(isOwn)

/** The fields that are the add-on's, as one text. */
export const heldFields = (object: KubeObject): string => JSON.stringify(ownEntry(object)?.fieldsV1 ?? null)

export const isChanged = (live: KubeObject, kept: Kept | undefined): boolean =>
  kept === undefined || kept.uid !== live.metadata.uid || kept.held !== heldFields(live)

/** Who wrote last, besides the add-on itself and whoever keeps its status. */
export function lastWriter(live: KubeObject): string {
  const others = entriesOf(live).filter(entry => !isOwn(entry) && entry.subresource !== 'status')
  const newest = others.sort((a, b) => ((a.time ?? '') < (b.time ?? '') ? 1 : -1))[0]
  return newest?.manager ?? ''
}

/** How long a change has to wait until it is put back; 0: now. */
export function pauseMs(kept: Kept | undefined, nowMs: number): number {
  if (kept === undefined || kept.count < AT_ONCE) return 0
  const waitMs = backoffMs(BACKOFF, kept.count - AT_ONCE + 1)
  return Math.max(kept.lastMs + waitMs - nowMs, 0)
}

export const nextCount = (kept: Kept | undefined, nowMs: number): number =>
  kept === undefined || nowMs - kept.lastMs > CALM_MS ? 1 : kept.count + 1

interface Scaled extends KubeObject {
  readonly spec?: { readonly replicas?: number }
}

/** An object whose number of replicas the manifests say, and which is somebody else's by now. */
export const hasLostReplicas = (wanted: Scaled, live: KubeObject): boolean =>
  wanted.spec?.replicas !== undefined && ownEntry(live)?.fieldsV1?.['f:spec']?.['f:replicas'] === undefined

/** Left out, a field that is somebody else's stays as it is. */
export function withoutReplicas(wanted: Scaled): KubeObject {
  const { replicas: _, ...spec } = wanted.spec ?? {}
  return { ...wanted, spec } as KubeObject
}

const CORRECTIONS_MAX = 10

/** Each object once, newest first. */
export function withCorrections(
  before: readonly Correction[] = [],
  added: readonly Correction[],
): Correction[] {
  const fresh = new Set(added.map(({ object }) => object))
  return [...added.toReversed(), ...before.filter(({ object }) => !fresh.has(object))].slice(
    0,
    CORRECTIONS_MAX,
  )
}

/** Changed so often in a row, and so lately, that somebody seems to want something else. */
export const isContested = ({ count }: Correction, sinceMs: number): boolean =>
  count > AT_ONCE && sinceMs < CALM_MS
