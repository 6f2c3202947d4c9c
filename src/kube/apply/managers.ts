/** Who owns which fields: the entries of metadata.managedFields, read, written and kept few. */
import { compareTexts } from '../../base/compare-texts.ts'
import { isMap } from '../json-map.ts'
import type { Json } from '../object.ts'
import { type FieldSet, intersection, isEmptySet, newFieldSet, union } from './field-set.ts'
import { decodeFields, encodeFields, type FieldsV1, touches } from './fields-v1.ts'

export type ManagerOperation = 'Apply' | 'Update'

export interface ManagerIdentity {
  readonly manager: string
  readonly operation: ManagerOperation
  /** The version that the manager spoke. */
  readonly apiVersion: string
  /** Empty for the object itself. */
  readonly subresource: string
}

export interface ManagerFields extends ManagerIdentity {
  /** RFC 3339; when the entry was last changed by its manager. */
  readonly time: string | undefined
  readonly set: FieldSet
}

/** By `managerKey`. */
export type Managers = Map<string, ManagerFields>

/** Who counts as the same manager: appliers stay the same when they go to another version. */
export function managerKey(identity: ManagerIdentity): string {
  const { manager, operation, apiVersion, subresource } = identity
  return JSON.stringify({
    ...(manager === '' ? {} : { manager }),
    operation,
    ...(operation === 'Apply' || apiVersion === '' ? {} : { apiVersion }),
    ...(subresource === '' ? {} : { subresource }),
  })
}

/** The entries of a stored object, which are canonical; each is looked into only when it must be. */
export function storedManagers(entries: readonly Json[] | undefined): Managers {
  const managers: Managers = new Map()
  for (const entry of entries ?? []) {
    if (!isStoredEntry(entry)) return decodeManagers(entries) ?? new Map()
    const stored = new StoredEntry(entry)
    managers.set(managerKey(stored), stored)
  }
  return managers
}

interface RawEntry {
  readonly manager?: string
  readonly operation: ManagerOperation
  readonly apiVersion: string
  readonly subresource?: string
  readonly time?: string
  readonly fieldsV1: FieldsV1
}

const isStoredEntry = (entry: Json): entry is Json & RawEntry =>
  isMap(entry) &&
  (entry['operation'] === 'Apply' || entry['operation'] === 'Update') &&
  typeof entry['apiVersion'] === 'string' &&
  isMap(entry['fieldsV1'])

class StoredEntry implements ManagerFields {
  readonly manager: string
  readonly operation: ManagerOperation
  readonly apiVersion: string
  readonly subresource: string
  readonly time: string | undefined
  readonly #raw: Json & RawEntry
  #set: FieldSet | undefined

  constructor(raw: Json & RawEntry) {
    this.manager = raw.manager ?? ''
    this.operation = raw.operation
    this.apiVersion = raw.apiVersion
    this.subresource = raw.subresource ?? ''
    this.time = raw.time
    this.#raw = raw
  }

  get raw(): Json & RawEntry {
    return this.#raw
  }

  get set(): FieldSet {
    this.#set ??= decodeFields(this.#raw.fieldsV1) ?? newFieldSet()
    return this.#set
  }
}

/** Whether an entry has one of the paths. */
export const ownsAny = (entry: ManagerFields, paths: FieldSet): boolean =>
  entry instanceof StoredEntry
    ? touches(entry.raw.fieldsV1, paths)
    : !isEmptySet(intersection(entry.set, paths))

/** Null when an entry is not one that a server writes. */
export function decodeManagers(entries: unknown): Managers | null {
  const managers: Managers = new Map()
  if (entries === undefined || entries === null) return managers
  if (!Array.isArray(entries)) return null
  for (const entry of entries) {
    const decoded = decodeEntry(entry)
    if (decoded === null) return null
    managers.set(managerKey(decoded), decoded)
  }
  return managers
}

function decodeEntry(entry: unknown): ManagerFields | null {
  if (!isMap(entry)) return null
  const { manager, operation, apiVersion, subresource, time, fieldsType, fieldsV1 } = entry
  if (operation !== 'Apply' && operation !== 'Update') return null
  if (typeof apiVersion !== 'string' || apiVersion === '' || fieldsType !== 'FieldsV1') return null
  const set = fieldsV1 === undefined || fieldsV1 === null ? newFieldSet() : decodeFields(fieldsV1)
  if (set === null) return null
  return {
    manager: typeof manager === 'string' ? manager : '',
    operation,
    apiVersion,
    subresource: typeof subresource === 'string' ? subresource : '',
    time: typeof time === 'string' ? time : undefined,
    set,
  }
}

/** The entries in upstream's order; undefined when nobody owns anything. */
export function encodeManagers(managers: Managers): Json[] | undefined {
  if (managers.size === 0) return undefined
  return [...managers.values()]
    .sort(compareEntries)
    .map(entry => (entry instanceof StoredEntry ? entry.raw : encodeEntry(entry)))
}

function encodeEntry(entry: ManagerFields): Json {
  return {
    ...(entry.manager === '' ? {} : { manager: entry.manager }),
    operation: entry.operation,
    apiVersion: entry.apiVersion,
    ...(entry.time === undefined ? {} : { time: entry.time }),
    fieldsType: 'FieldsV1',
    fieldsV1: encodeFields(entry.set),
    ...(entry.subresource === '' ? {} : { subresource: entry.subresource }),
  }
}

function compareEntries(a: ManagerFields, b: ManagerFields): number {
  return (
    compareTexts(a.operation, b.operation) ||
    compareTexts(a.time ?? '', b.time ?? '') ||
    compareTexts(a.manager, b.manager) ||
    compareTexts(a.apiVersion, b.apiVersion) ||
    compareTexts(a.subresource, b.subresource)
  )
}

/** An entry that owns something else. */
export function withSet(entry: ManagerFields, set: FieldSet): ManagerFields {
  const { manager, operation, apiVersion, subresource, time } = entry
  return { manager, operation, apiVersion, subresource, time, set }
}

/** Sets an entry, or takes it away when it owns nothing. */
export function putManager(managers: Managers, key: string, entry: ManagerFields): void {
  if (isEmptySet(entry.set)) managers.delete(key)
  else managers.set(key, entry)
}

/** So many updaters are kept apart; the oldest of the others become one per version. */
const UPDATERS_MAX = 10
const OLD_UPDATERS = 'ancient-changes'

export function capManagers(managers: Managers): void {
  const updaters = [...managers].filter(([, entry]) => entry.operation === 'Update')
  let count = updaters.length
  if (count <= UPDATERS_MAX) return
  updaters.sort(
    ([a, { time: left }], [b, { time: right }]) =>
      compareTexts(left ?? '', right ?? '') || compareTexts(a, b),
  )
  const firstOfVersion = new Map<string, string>()
  for (const [key, entry] of updaters) {
    if (count <= UPDATERS_MAX) return
    const { apiVersion } = entry
    const first = firstOfVersion.get(apiVersion)
    if (first === undefined) firstOfVersion.set(apiVersion, key)
    else {
      mergeIntoBucket(managers, first, key, entry)
      count--
    }
  }
}

/** The second old updater of a version makes the bucket out of the first. */
function mergeIntoBucket(managers: Managers, first: string, key: string, entry: ManagerFields): void {
  const { apiVersion, time } = entry
  const identity = { manager: OLD_UPDATERS, operation: 'Update', apiVersion, subresource: '' } as const
  const bucket = managerKey(identity)
  const former = managers.get(bucket) ?? managers.get(first)
  if (!managers.has(bucket)) managers.delete(first)
  managers.delete(key)
  const set = former === undefined ? entry.set : union(entry.set, former.set)
  managers.set(bucket, { ...identity, time, set })
}
