/** What is next when the cluster authority is being replaced: for the leader, and for each server. Pure. */
import { X509Certificate } from 'node:crypto'
import { EARLIER_TRUSTED_MS } from '../pki/refresh-authority.ts'
import { BACKDATE_MS, startOf } from '../pki/validity.ts'
import { type AuthorityRotation, bundleAt, STAGES, type Stages } from './rotation-record.ts'

/** Pods' copies of the authorities follow within seconds, because kubelets watch them; programs need to read them. */
export const PODS_MS = 10_000

/** How long the earlier one is kept once all nodes use the next one. */
export interface KeptMs {
  readonly usual: number
  /** When somebody asked to drop it. */
  readonly asked: number
}

export const AUTHORITY_KEPT: KeptMs = { usual: EARLIER_TRUSTED_MS, asked: PODS_MS }

export interface RotationFacts<R extends Stages = AuthorityRotation> {
  readonly rotation: R
  /** The name of what every node is to have in this stage. */
  readonly bundle: string
  readonly kept: KeptMs
  /** Servers that are to stay. */
  readonly servers: readonly { readonly id: number; readonly nodeName: string }[]
  /** The bundle that each server has. */
  readonly confirmed: ReadonlyMap<number, string>
  /** `wanted` is the bundle it was told to have, `trusted` the one it says it has. */
  readonly workers: readonly WorkerFacts[]
  readonly nowMs: number
}

export interface WorkerFacts {
  readonly name: string
  readonly wanted: string | undefined
  readonly trusted: string | undefined
}

export type RotationStep<R extends Stages = AuthorityRotation> =
  /** Names of nodes; when there are none, for the time `untilMs`. */
  | { readonly type: 'wait'; readonly for: readonly string[]; readonly untilMs: number | null }
  | { readonly type: 'tell'; readonly workers: readonly string[]; readonly bundle: string }
  | { readonly type: 'write'; readonly rotation: R }
  /** All nodes have the next authority and nothing else; or nobody is left who has its key. */
  | { readonly type: 'end'; readonly done: boolean }

/** Servers first: workers get their certificates from any of them. */
export function planRotation<R extends Stages>(facts: RotationFacts<R>): RotationStep<R> {
  const { bundle, servers, confirmed, workers } = facts
  if (isLost(facts)) return { type: 'end', done: false }
  const slow = servers.filter(({ id }) => confirmed.get(id) !== bundle)
  if (slow.length > 0) return waitFor(slow.map(({ nodeName }) => nodeName))
  const untold = workers.filter(({ wanted }) => wanted !== bundle)
  if (untold.length > 0) return { type: 'tell', workers: untold.map(({ name }) => name), bundle }
  const lacking = workers.filter(({ trusted }) => trusted !== bundle)
  if (lacking.length > 0) return waitFor(lacking.map(({ name }) => name))
  return planNextStage(facts)
}

const waitFor = (names: readonly string[]) => ({
  type: 'wait' as const,
  for: names.toSorted(),
  untilMs: null,
})

/** The server that made the next authority is gone, and no other one has its key. */
function isLost<R extends Stages>({ rotation, bundle, servers, confirmed }: RotationFacts<R>): boolean {
  if (rotation.stage !== 'trust' || servers.some(({ id }) => id === rotation.beganBy)) return false
  return servers.length > 0 && !servers.some(({ id }) => confirmed.get(id) === bundle)
}

function planNextStage<R extends Stages>({ rotation, kept, nowMs }: RotationFacts<R>): RotationStep<R> {
  if (rotation.stage === 'drop') return { type: 'end', done: true }
  if (rotation.stage === 'trust') return { type: 'write', rotation: { ...rotation, stage: 'sign' } }
  if (rotation.usedMs === null) return { type: 'write', rotation: { ...rotation, usedMs: nowMs } }
  const untilMs = dropsAt(rotation, kept) ?? 0
  if (nowMs < untilMs) return { type: 'wait', for: [], untilMs }
  return { type: 'write', rotation: { ...rotation, stage: 'drop' } }
}

/** When the earlier authority is dropped; null while that depends on nodes. */
export function dropsAt({ usedMs, dropAsked }: Stages, kept: KeptMs): number | null {
  return usedMs === null ? null : usedMs + (dropAsked ? kept.asked : kept.usual)
}

export interface ServerFacts {
  /** PEM; the one that signs first. */
  readonly trusted: readonly string[]
  /** PEM of the next authority, where its key is here. */
  readonly coming: string | null
  /** PEM of what it shows for those who know the earlier one only. */
  readonly cross: string | null
  readonly rotation: AuthorityRotation | null
  readonly nowMs: number
}

export type ServerStep =
  | { readonly type: 'none' }
  /** The key of the next authority has to be got from another server first. */
  | { readonly type: 'fetch' }
  /** Trusts these from now on, the first of which signs. */
  | { readonly type: 'set'; readonly bundle: readonly string[]; readonly cross: string | null }

export function planServer(facts: ServerFacts): ServerStep {
  const { trusted, coming, rotation } = facts
  if (rotation === null) return planWithout(facts)
  const has = STAGES.findIndex(stage => bundleAt(rotation, stage).join('') === trusted.join(''))
  const isHere = coming === rotation.next || trusted[0] === rotation.next
  if (!isHere) return { type: 'fetch' }
  const stage = STAGES.indexOf(rotation.stage)
  const cross = rotation.stage === 'sign' ? rotation.cross : null
  // A server that has joined in the meantime has the authorities already.
  if (has > stage || (has === stage && facts.cross === cross)) return { type: 'none' }
  return { type: 'set', bundle: bundleAt(rotation, rotation.stage), cross }
}

/** What is left of one that was given up, or of one that this server saw the end of too late. */
function planWithout({ trusted, coming, nowMs }: ServerFacts): ServerStep {
  const [signer = ''] = trusted
  // A key that was never trusted stays: what is to begin with it may be under way.
  if (coming !== null && trusted.includes(coming))
    return { type: 'set', bundle: trusted.filter(each => each !== coming), cross: null }
  if (trusted.length < 2) return { type: 'none' }
  const signedMs = nowMs - (startOf(new X509Certificate(signer)) + BACKDATE_MS)
  if (signedMs < EARLIER_TRUSTED_MS) return { type: 'none' }
  return { type: 'set', bundle: [signer], cross: null }
}
