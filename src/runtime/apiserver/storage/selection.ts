/** Label and field selectors over stored entries; an entry's labels and fields are parsed once while it is kept. */
import { type FieldRequirement, matchesFields, parseFieldSelector } from '../../../kube/field-selector.ts'
import { type LabelRequirement, matchesLabels, parseLabelSelector } from '../../../kube/labels.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { badRequest } from '../../../kube/status.ts'
import type { KeyValue } from '../../store/store.ts'
import type { Strategy } from '../registry/strategy.ts'
import { decodeValue } from './encoding.ts'
import type { ServedResource } from './served-resource.ts'

/** Whether an entry is selected. */
export type Matcher = (kv: KeyValue) => boolean

export interface Selection {
  /** Null when everything is selected. Throws StatusError 400 for selectors that cannot be used. */
  matcher(
    resource: ServedResource,
    options: { readonly labelSelector: string; readonly fieldSelector: string },
  ): Matcher | null
}

/** What selectors look at, kept per entry. */
interface Facts {
  readonly labels: Texts
  readonly fields: Texts
}

type Texts = Readonly<Record<string, string>>
/** So many labels and fields are looked through for equal ones. */
const SHARED_MAX = 4_096

const NAME = 'metadata.name'
const NAMESPACE = 'metadata.namespace'

export function createSelection(): Selection {
  /** By what looks at the entry, because versions of custom resources may see different fields. */
  const seen = new WeakMap<Strategy, WeakMap<KeyValue, Facts>>()
  const shared = new SharedTexts()
  const supported = new WeakMap<Strategy, ReadonlySet<string> | null>()
  const factsOf = (resource: ServedResource, kv: KeyValue): Facts => {
    let facts = seen.get(resource.strategy)
    if (facts === undefined) {
      facts = new WeakMap()
      seen.set(resource.strategy, facts)
    }
    const known = facts.get(kv)
    if (known !== undefined) return known
    const object = decodeStored(resource, kv)
    const made = {
      labels: shared.share(object.metadata.labels ?? {}),
      fields: shared.share(resource.strategy.selectableFields?.(object) ?? {}),
    }
    facts.set(kv, made)
    return made
  }
  const supportedOf = (resource: ServedResource): ReadonlySet<string> | null => {
    const known = supported.get(resource.strategy)
    if (known !== undefined) return known
    const made = supportedFields(resource)
    supported.set(resource.strategy, made)
    return made
  }
  return {
    matcher(resource, options) {
      const labels = parseLabelSelector(options.labelSelector)
      const fields = parseFieldSelector(options.fieldSelector)
      checkFields(resource, fields, supportedOf(resource))
      return matcherOf(resource, labels, fields, factsOf)
    },
  }
}

/** Many entries have equal labels, or fields, which are kept once: history has several entries of each object. */
class SharedTexts {
  readonly #known = new Map<string, Texts>()

  share(texts: Texts): Texts {
    const id = JSON.stringify(texts)
    const known = this.#known.get(id)
    if (known !== undefined) return known
    if (this.#known.size >= SHARED_MAX) this.#known.clear()
    this.#known.set(id, texts)
    return texts
  }
}

function matcherOf(
  resource: ServedResource,
  labels: readonly LabelRequirement[],
  fields: readonly FieldRequirement[],
  factsOf: (resource: ServedResource, kv: KeyValue) => Facts,
): Matcher | null {
  if (labels.length === 0 && fields.length === 0) return null
  const inKey = fields.filter(term => term.field === NAME || term.field === NAMESPACE)
  const inObject = fields.filter(term => term.field !== NAME && term.field !== NAMESPACE)
  const parses = labels.length > 0 || inObject.length > 0
  return kv => {
    if (inKey.length > 0 && !matchesFields(inKey, placeOf(resource, kv.key))) return false
    if (!parses) return true
    const { labels: own, fields: ownFields } = factsOf(resource, kv)
    return matchesLabels(labels, own) && matchesFields(inObject, ownFields)
  }
}

/** Name and namespace stand in the key: no need to parse. */
function placeOf(resource: ServedResource, key: string): Record<string, string> {
  const place = key.slice(resource.prefix.length)
  const slash = place.indexOf('/')
  return { [NAME]: place.slice(slash + 1), [NAMESPACE]: slash < 0 ? '' : place.slice(0, slash) }
}

/** Strategies read the storage version. */
const decodeStored = (resource: ServedResource, kv: KeyValue): KubeObject =>
  decodeValue(resource.servesStoredBytes ? resource : { ...resource, servesStoredBytes: true }, kv)

function supportedFields(resource: ServedResource): ReadonlySet<string> | null {
  const { info, strategy } = resource
  if (strategy.selectableFields === undefined) return new Set()
  try {
    const empty = {
      apiVersion: resource.storageApiVersion,
      kind: info.kind,
      metadata: {},
      spec: {},
      status: {},
    }
    return new Set(Object.keys(strategy.selectableFields(empty)))
  } catch {
    return null
  }
}

function checkFields(
  resource: ServedResource,
  fields: readonly FieldRequirement[],
  supported: ReadonlySet<string> | null,
): void {
  for (const { field } of fields) {
    if (field === NAME || (field === NAMESPACE && resource.info.namespaced)) continue
    if (supported === null || supported.has(field)) continue
    throw badRequest(unknownField(resource, field))
  }
}

/** Each kind that has fields of its own says it in its own words. */
function unknownField({ info, strategy, custom }: ServedResource, field: string): string {
  if (info.kind === 'Job' && info.group === 'batch')
    return `field label ${JSON.stringify(field)} not supported for Job`
  if (strategy.selectableFields !== undefined || custom !== undefined)
    return `field label not supported: ${field}`
  return `${JSON.stringify(field)} is not a known field selector: only "${NAME}", "${NAMESPACE}"`
}
