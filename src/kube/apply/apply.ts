/**
 * Server-side apply: merges a configuration into the present object, takes away what its manager applied before and
 * does not any more, and says who owns what afterwards. Pure; `track-update.ts` is the same for ordinary writes.
 */
import { equalJson } from '../equality.ts'
import type { Json, KubeObject } from '../object.ts'
import { changedFields } from './compare.ts'
import { type Conflict, conflictError, conflictsWithout } from './conflicts.ts'
import {
  difference,
  equalSets,
  type FieldSet,
  intersection,
  isEmptySet,
  isSubset,
  newFieldSet,
  recursiveDifference,
  union,
} from './field-set.ts'
import { KUBECTL, lastAppliedFields, withLastApplied } from './last-applied.ts'
import {
  encodeManagers,
  type ManagerFields,
  type Managers,
  managerKey,
  ownsAny,
  putManager,
  storedManagers,
} from './managers.ts'
import { mergeValues } from './merge-values.ts'
import { removeFields } from './remove-fields.ts'
import { type ApplyTarget, type ApplyVersion, StateComparison, withoutStripped } from './target.ts'
import { recordUpdate, takeFromOthers, withoutManagers } from './track-update.ts'
import { valueSet, withNamedFields } from './value-set.ts'

export interface ApplyRequest {
  readonly target: ApplyTarget
  /** In the version of the request; null when the object does not exist yet. */
  readonly live: KubeObject | null
  /** What was sent, checked with `configurationProblems`. */
  readonly config: KubeObject
  readonly force: boolean
}

export interface Applied {
  /** Without defaults for what the configuration adds, and without managedFields. */
  readonly object: KubeObject
  readonly managedFields: Json[] | undefined
}

/** Owns what an object has when the first configuration is applied to it and nobody owns anything. */
const BEFORE_FIRST_APPLY = 'before-first-apply'

/** Throws StatusError 409 when others own fields with other values and `force` is not set. */
export function applyConfiguration(request: ApplyRequest): Applied {
  const { target, config } = request
  const isKubectl = target.identity.manager === KUBECTL
  const { live, managers } = liveState(request)
  let outcome = applyOnce(request, live, managers, request.force)
  if (isConflict(outcome) && isKubectl && request.live !== null) {
    const left = conflictsWithout(outcome, lastAppliedFields(target.schema, live))
    outcome = left.length > 0 ? left : applyOnce(request, live, managers, true)
  }
  if (isConflict(outcome)) throw conflictError(outcome)
  const object = isKubectl ? withLastApplied(outcome.object, config) : outcome.object
  return { object, managedFields: encodeManagers(outcome.managers) }
}

interface Outcome {
  readonly object: KubeObject
  readonly managers: Managers
}

const isConflict = (outcome: Outcome | readonly Conflict[]): outcome is readonly Conflict[] =>
  Array.isArray(outcome)

function liveState({ target, live, config }: ApplyRequest): { live: KubeObject; managers: Managers } {
  if (live === null) {
    const empty = { apiVersion: config.apiVersion, kind: config.kind, metadata: {} }
    return { live: empty, managers: new Map() }
  }
  const object = withoutManagers(live)
  const managers = storedManagers(live.metadata.managedFields)
  if (managers.size === 0) {
    const identity = { ...target.identity, manager: BEFORE_FIRST_APPLY, operation: 'Update' as const }
    const before = { ...target, identity }
    recordUpdate(before, managers, new StateComparison(before, {}, object))
  }
  return { live: object, managers }
}

function applyOnce(
  { target, config }: ApplyRequest,
  live: KubeObject,
  before: Managers,
  force: boolean,
): Outcome | readonly Conflict[] {
  const { identity, schema, ignored } = target
  const managers: Managers = new Map(before)
  const key = managerKey(identity)
  const last = before.get(key)
  const set = recursiveDifference(valueSet(schema, config), ignored)
  const entry: ManagerFields = { ...identity, time: last?.time, set }
  managers.set(key, entry)
  const merged = mergeValues(schema, live, config) as KubeObject
  const object = pruned(target, merged, managers, last)
  const comparison = new StateComparison(target, live, object)
  const conflicts = findConflicts(managers, comparison, key)
  if (!force && conflicts.length > 0) return conflicts
  takeFromOthers(managers, comparison, key)
  const isNew = !equalJson(live, object) || last === undefined
  const kept = withoutStripped(set)
  const time = isNew || !equalSets(kept, last.set) ? target.now : last.time
  putManager(managers, key, { ...entry, set: kept, time })
  return { object, managers }
}

function findConflicts(managers: Managers, comparison: StateComparison, own: string): Conflict[] {
  const conflicts: Conflict[] = []
  for (const [key, manager] of managers) {
    if (key === own) continue
    const changes = comparison.in(manager.apiVersion)
    if (changes === null) continue
    const changed = changedFields(changes)
    if (ownsAny(manager, changed)) conflicts.push({ manager, set: intersection(manager.set, changed) })
  }
  return conflicts
}

/** Without the fields that the manager applied last time, does not apply now, and nobody else owns. */
function pruned(
  target: ApplyTarget,
  merged: KubeObject,
  managers: Managers,
  last: ManagerFields | undefined,
): KubeObject {
  if (last === undefined || isEmptySet(last.set)) return merged
  const now = managers.get(managerKey(target.identity))
  const sameVersion = last.apiVersion === target.identity.apiVersion
  if (sameVersion && now !== undefined && isSubset(last.set, now.set)) return merged
  const view = viewOf(target, last.apiVersion)
  if (view === undefined) return merged
  const named = (set: FieldSet) => withNamedFields(view.schema, set)
  const whole = view.convert(merged)
  const bare = view.revert(removeFields(view.schema, whole, named(last.set)) as object) as KubeObject
  const owned = withOwned(target, managers, merged, { left: bare, first: last.apiVersion })
  const gone = difference(
    named(valueSet(view.schema, whole)),
    named(valueSet(view.schema, view.convert(owned))),
  )
  return view.revert(
    removeFields(view.schema, whole, intersection(gone, named(last.set))) as object,
  ) as KubeObject
}

/** An object in one of its versions, the request's own among them. */
function viewOf(target: ApplyTarget, apiVersion: string): ApplyVersion | undefined {
  if (apiVersion !== target.identity.apiVersion) return target.version(apiVersion)
  return { schema: target.schema, convert: object => object, revert: object => object }
}

/** `left` with what anybody owns of `merged`, looked at in the version that each owner speaks. */
function withOwned(
  target: ApplyTarget,
  managers: Managers,
  merged: KubeObject,
  from: { readonly left: KubeObject; readonly first: string },
): KubeObject {
  const sets = new Map<string, FieldSet>([[from.first, newFieldSet()]])
  for (const { apiVersion, set } of managers.values()) {
    const known = sets.get(apiVersion)
    sets.set(apiVersion, known === undefined ? set : union(known, set))
  }
  let { left } = from
  for (const [apiVersion, set] of sets) {
    const view = viewOf(target, apiVersion)
    if (view === undefined) continue
    const named = (one: FieldSet) => withNamedFields(view.schema, one)
    const whole = view.convert(merged)
    const kept = union(named(valueSet(view.schema, view.convert(left))), named(set))
    const others = difference(named(valueSet(view.schema, whole)), kept)
    left = view.revert(removeFields(view.schema, whole, others) as object) as KubeObject
  }
  return left
}
