/**
 * Ownership after an ordinary write: who changes a field takes it from everybody, and a field that is gone is
 * nobody's.
 */

import { equalJson } from '../equality.ts'
import type { Json, KubeObject } from '../object.ts'
import { changedFields, isSame } from './compare.ts'
import { difference, type FieldSet, isEmptySet, recursiveDifference, union } from './field-set.ts'
import {
  capManagers,
  decodeManagers,
  encodeManagers,
  type ManagerIdentity,
  type Managers,
  managerKey,
  ownsAny,
  putManager,
  storedManagers,
  withSet,
} from './managers.ts'
import { type ApplyTarget, StateComparison, withoutStripped } from './target.ts'

/** An object before it has any field; its structs count as present. */
const NOTHING: object = {}

/** The managedFields of an object that is created. */
export function trackCreate(target: ApplyTarget, next: KubeObject): Json[] | undefined {
  const managers = isReset(next.metadata.managedFields)
    ? new Map()
    : (decodeManagers(next.metadata.managedFields) ?? new Map())
  recordUpdate(target, managers, new StateComparison(target, NOTHING, withoutManagers(next)))
  return encodeManagers(managers)
}

export interface TrackOptions {
  /** The entries of the new object count, as the client may change them; not so for subresources. */
  readonly takesEntries: boolean
}

/** The managedFields of an object that is changed; those it had when nothing about them changes. */
export function trackUpdate(
  target: ApplyTarget,
  previous: KubeObject,
  next: KubeObject,
  { takesEntries }: TrackOptions,
): Json[] | undefined {
  const before = previous.metadata.managedFields
  const given = takesEntries ? next.metadata.managedFields : undefined
  if (isReset(given)) return undefined
  const decoded = given === undefined || equalJson(given, before) ? null : decodeManagers(given)
  const replaces = decoded !== null && decoded.size > 0
  if (!replaces && (before === undefined || before.length === 0)) return undefined
  const comparison = new StateComparison(target, withoutManagers(previous), withoutManagers(next))
  if (!replaces && isSame(comparison.own())) return before
  const managers = replaces ? decoded : storedManagers(before)
  recordUpdate(target, managers, comparison)
  return encodeManagers(managers)
}

/** One entry without anything in it: the client wants nobody to own anything any more. */
function isReset(entries: unknown): boolean {
  if (!Array.isArray(entries) || entries.length !== 1) return false
  const [entry] = entries
  return typeof entry === 'object' && entry !== null && Object.values(entry).every(isUnset)
}

const isUnset = (value: unknown): boolean => value === undefined || value === null || value === ''

export function withoutManagers(object: KubeObject): KubeObject {
  const { managedFields: _managers, ...metadata } = object.metadata
  return { ...object, metadata }
}

/** Changes `managers`. */
export function recordUpdate(target: ApplyTarget, managers: Managers, comparison: StateComparison): void {
  takeFromOthers(managers, comparison)
  const own = comparison.own()
  const taken = recursiveDifference(difference(changedFields(own), own.removed), target.ignored)
  addToManager(managers, target.identity, withoutStripped(taken), target.now)
  capManagers(managers)
}

/** What changed or went belongs to no former owner any more. */
export function takeFromOthers(managers: Managers, comparison: StateComparison, except?: string): void {
  for (const [key, entry] of [...managers]) {
    if (key === except) continue
    const changes = comparison.in(entry.apiVersion)
    if (changes === null) {
      managers.delete(key)
      continue
    }
    const gone = union(changedFields(changes), changes.removed)
    if (ownsAny(entry, gone)) putManager(managers, key, withSet(entry, difference(entry.set, gone)))
  }
}

function addToManager(managers: Managers, identity: ManagerIdentity, set: FieldSet, now: string): void {
  if (isEmptySet(set)) return
  const key = managerKey(identity)
  const former = managers.get(key)
  managers.set(key, {
    ...identity,
    time: now,
    set: former === undefined ? set : union(set, former.set),
  })
}
