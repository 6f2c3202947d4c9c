/** What a change of an object is done to: its versions, who does it, and which fields nobody ever owns. */

import type { ObjectMeta } from '../object.ts'
import type { ApplySchema } from './apply-schema.ts'
import { type Comparison, compareValues, withoutIgnored } from './compare.ts'
import { difference, type FieldSet, setOf } from './field-set.ts'
import type { ManagerIdentity } from './managers.ts'

/** An object in one of its versions. */
export interface ApplyVersion {
  readonly schema: ApplySchema
  /** From the version of the request. Must not change its argument. */
  convert(object: object): object
  /** Back to the version of the request. */
  revert(object: object): object
}

export interface ApplyTarget {
  /** The version of the request, which the objects given are in. */
  readonly schema: ApplySchema
  /** Other versions of the kind, which earlier managers may have spoken; undefined when it is not served. */
  version(apiVersion: string): ApplyVersion | undefined
  readonly identity: ManagerIdentity
  /** What this request cannot change whatever it says: status, or for status everything else. */
  readonly ignored: FieldSet
  /** RFC 3339. */
  readonly now: string
}

const metadataField = (name: string): readonly string[] => ['f:metadata', `f:${name}`]

/** The server's own fields, and those that only say which object it is. */
const strippedFields = setOf(
  ['f:apiVersion'],
  ['f:kind'],
  ['f:metadata'],
  metadataField('name'),
  metadataField('namespace'),
  metadataField('creationTimestamp'),
  metadataField('selfLink'),
  metadataField('uid'),
  metadataField('clusterName'),
  metadataField('generation'),
  metadataField('managedFields'),
  metadataField('resourceVersion'),
)

export const withoutStripped = (set: FieldSet): FieldSet => difference(set, strippedFields)

/** Without what nobody owns and every write changes. */
function comparable(object: object): object {
  const { metadata } = object as { metadata?: ObjectMeta }
  if (metadata === undefined) return object
  const { uid: _u, resourceVersion: _r, generation: _g, managedFields: _m, ...rest } = metadata
  const { name: _n, namespace: _s, creationTimestamp: _c, selfLink: _l, ...compared } = rest
  return { ...object, metadata: compared }
}

/** Compares two states, in whatever versions managers speak, each version once. */
export class StateComparison {
  readonly #target: ApplyTarget
  readonly #before: object
  readonly #after: object
  readonly #known = new Map<string, Comparison | null>()

  constructor(target: ApplyTarget, before: object, after: object) {
    this.#target = target
    this.#before = comparable(before)
    this.#after = comparable(after)
  }

  /** In the version of the request. */
  own(): Comparison {
    const { identity } = this.#target
    return this.in(identity.apiVersion) ?? { added: setOf(), modified: setOf(), removed: setOf() }
  }

  /** Null when the version is not served any more. */
  in(apiVersion: string): Comparison | null {
    let comparison = this.#known.get(apiVersion)
    if (comparison === undefined) {
      comparison = this.#compare(apiVersion)
      this.#known.set(apiVersion, comparison)
    }
    return comparison
  }

  #compare(apiVersion: string): Comparison | null {
    const target = this.#target
    const { ignored } = target
    if (apiVersion === target.identity.apiVersion) {
      return withoutIgnored(compareValues(target.schema, this.#before, this.#after), ignored)
    }
    const version = target.version(apiVersion)
    if (version === undefined) return null
    const before = version.convert(this.#before)
    const after = version.convert(this.#after)
    return withoutIgnored(compareValues(version.schema, before, after), ignored)
  }
}
