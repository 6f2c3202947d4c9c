/**
 * Claims: names in a space of their own (cluster IPs, node ports) that an object holds while it exists. They are
 * keys of the store, written and deleted in the object's own transaction, so that two objects never hold one.
 */
import { cloneJson } from '../../../kube/clone.ts'
import type { FieldError } from '../../../kube/field-error.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { Compare, Operation, Store } from '../../store/store.ts'
import type { Claim, ClaimPool, Strategy, StrategyContext } from '../registry/strategy.ts'

const claimKey = (claim: Claim): string => `/mk8s/claims/${claim.space}/${claim.value}`

export interface ClaimPlan {
  readonly compares: readonly Compare[]
  readonly operations: readonly Operation[]
  readonly taken: readonly Claim[]
  readonly released: readonly Claim[]
  readonly errors: readonly FieldError[]
}

const nothing: ClaimPlan = { compares: [], operations: [], taken: [], released: [], errors: [] }

export interface ClaimRequest {
  readonly strategy: Strategy
  /** The object's key in the store: what a claim's value says. */
  readonly key: string
  /** Changed by the strategy; null when the object is deleted. */
  readonly object: KubeObject | null
  readonly previous: KubeObject | null
  readonly context: StrategyContext
  /** Something other than a claim keeps it from this object. */
  readonly isHeldBack?: (claim: Claim) => boolean
  readonly serviceNetworks?: () => readonly string[]
}

/** What to add to the object's transaction. */
export function planClaims(store: Store, request: ClaimRequest): ClaimPlan {
  const { strategy, key, object, previous } = request
  if (strategy.claim === undefined) return nothing
  const held = previous === null ? [] : heldClaims(request, previous)
  if (object === null) return { ...nothing, operations: held.map(one => release(one)), released: held }
  const pool: ClaimPool = {
    isFree: claim => isFreeFor(store, claim, key) && request.isHeldBack?.(claim) !== true,
    serviceNetworks: () => request.serviceNetworks?.() ?? [],
  }
  const { claims, errors } = strategy.claim(object, previous, pool, request.context)
  const wanted = new Map(claims.map(claim => [claimKey(claim), claim]))
  const before = new Set(held.map(claimKey))
  const added = [...wanted.keys()].filter(one => !before.has(one))
  const released = held.filter(one => !wanted.has(claimKey(one)))
  const value = Buffer.from(key)
  return {
    compares: added.map(one => ({
      key: one,
      target: 'mod-revision' as const,
      equals: revisionOf(store, one, key),
    })),
    operations: [...added.map(one => ({ type: 'put' as const, key: one, value })), ...released.map(release)],
    taken: [...wanted].flatMap(([one, claim]) => (before.has(one) ? [] : [claim])),
    released,
    errors,
  }
}

const release = (claim: Claim): Operation => ({ type: 'delete', key: claimKey(claim) })

/** What an object that is stored already holds: everything is chosen, so the strategy only names it. */
function heldClaims(request: ClaimRequest, previous: KubeObject): readonly Claim[] {
  const pool: ClaimPool = { isFree: () => true, serviceNetworks: () => [] }
  const copy = cloneJson(previous)
  return request.strategy.claim?.(copy, previous, pool, request.context).claims ?? []
}

function isFreeFor(store: Store, claim: Claim, key: string): boolean {
  const holder = store.get(claimKey(claim))
  return holder === null || holder.value.toString() === key
}

/** 0 when nobody holds it; the revision of our own claim when it was left over. */
function revisionOf(store: Store, claim: string, key: string): number {
  const holder = store.get(claim)
  return holder !== null && holder.value.toString() === key ? holder.modRevision : 0
}
