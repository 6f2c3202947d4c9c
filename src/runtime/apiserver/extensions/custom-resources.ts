/**
 * The resources that CustomResourceDefinitions add to the table. They follow the store's watch, in step with what this
 * member has applied: whoever waits for a revision finds here what that revision says.
 */
import { must } from '../../../base/assert.ts'
import type { Log } from '../../../base/log.ts'
import { applySchema } from '../../../kube/apply/apply-schema.ts'
import {
  type CustomDefinition,
  compareVersions,
  type DefinitionVersion,
  isDefinition,
} from '../../../kube/custom-definition.ts'
import type { Model, ResourceInfo, SubresourceInfo } from '../../../kube/model-types.ts'
import { parseStructural, type Structural } from '../../../kube/structural-schema/structural.ts'
import { structuralApplySchema } from '../../../kube/structural-schema/structural-apply-schema.ts'
import { prefixEnd, type Store, type Watch } from '../../store/store.ts'
import type { CustomForm } from '../storage/custom-form.ts'
import { decodeValue } from '../storage/encoding.ts'
import {
  apiVersionOf,
  headOf,
  type ResourceTable,
  type ServedResource,
  storagePrefix,
} from '../storage/served-resource.ts'
import { type ConversionParts, converterOf } from './conversion.ts'
import { customStrategy } from './custom-strategy.ts'
import { rulesOf } from './rules.ts'
import { createVersionCodec, OBJECT_META } from './version-codec.ts'

const GROUP = 'apiextensions.k8s.io'
const RESOURCE = 'customresourcedefinitions'
const VERBS = ['delete', 'deletecollection', 'get', 'list', 'patch', 'create', 'update', 'watch']
const SUBRESOURCE_VERBS = ['get', 'patch', 'update']
const SCALE = { group: 'autoscaling', version: 'v1', kind: 'Scale' }

interface CustomResourcesParts {
  readonly store: Store
  readonly model: Model
  /** Of the model. */
  readonly table: ResourceTable
  readonly conversions: ConversionParts
  readonly log: Log
}

/** What one definition adds. */
interface Entry {
  readonly definition: CustomDefinition
  /** Versions that are served, newest first. */
  readonly served: readonly ServedResource[]
  /** The stored version, served or not. */
  readonly stored: ServedResource | undefined
  readonly gone: AbortController
}

/** The table of the model with the custom resources in it. */
export function createCustomResources(parts: CustomResourcesParts): ResourceTable {
  return new CustomResources(parts)
}

class CustomResources implements ResourceTable {
  readonly #parts: CustomResourcesParts
  readonly #entries = new Map<string, Entry>()
  #byKey = new Map<string, ServedResource>()
  #byName = new Map<string, ServedResource>()
  #all: readonly ServedResource[] | null = null
  #generation = 0
  #watch: Watch | null = null

  constructor(parts: CustomResourcesParts) {
    this.#parts = parts
  }

  get generation(): number {
    this.#follow()
    return this.#generation
  }

  get all(): readonly ServedResource[] {
    this.#follow()
    this.#all ??= [...this.#parts.table.all, ...this.#ordered()]
    return this.#all
  }

  find(group: string, version: string, resource: string): ServedResource | undefined {
    const known = this.#parts.table.find(group, version, resource)
    if (known !== undefined) return known
    this.#follow()
    return this.#byKey.get(`${group}/${version}/${resource}`)
  }

  stored(group: string, resource: string): ServedResource | undefined {
    const known = this.#parts.table.stored(group, resource)
    if (known !== undefined) return known
    this.#follow()
    return this.#byName.get(`${group}/${resource}`)
  }

  hasGroupVersion(group: string, version: string): boolean {
    if (this.#parts.table.hasGroupVersion(group, version)) return true
    this.#follow()
    return [...this.#byKey.values()].some(({ info }) => info.group === group && info.version === version)
  }

  /** Begins to follow with the first question, when the store has its state. */
  #follow(): void {
    if (this.#watch !== null) return
    const { store } = this.#parts
    const definitions = must(this.#parts.table.stored(GROUP, RESOURCE), 'definitions are of the model')
    const range = { start: definitions.prefix, end: prefixEnd(definitions.prefix) }
    const { entries, revision } = store.range(range)
    for (const name of [...this.#entries.keys()]) this.#drop(name)
    for (const kv of entries) this.#put(decodeValue(definitions, kv) as CustomDefinition)
    this.#index()
    this.#watch = store.watch(
      { ...range, after: revision },
      {
        onEvents: events => {
          for (const event of events) {
            if (event.type === 'put') this.#put(decodeValue(definitions, event.kv) as CustomDefinition)
            else this.#drop(event.key.slice(definitions.prefix.length))
          }
          this.#index()
        },
        onClosed: () => {
          this.#watch = null
        },
      },
    )
  }

  #put(definition: CustomDefinition): void {
    const name = definition.metadata.name ?? ''
    const before = this.#entries.get(name)
    if (before !== undefined && isSameService(before.definition, definition)) return
    this.#drop(name)
    if (!isDefinition(definition, 'Established')) return
    try {
      this.#entries.set(name, this.#entryOf(definition))
    } catch (error) {
      // What an earlier release let in must not keep everything else from being served.
      this.#parts.log.error('a custom resource cannot be served', { definition: name, error })
    }
  }

  #drop(name: string): void {
    this.#entries.get(name)?.gone.abort()
    this.#entries.delete(name)
  }

  #index(): void {
    this.#generation += 1
    this.#all = null
    this.#byKey = new Map()
    this.#byName = new Map()
    for (const { served, stored } of this.#entries.values()) {
      for (const one of served) {
        const { group, version, resource } = one.info
        this.#byKey.set(`${group}/${version}/${resource}`, one)
      }
      if (stored !== undefined) this.#byName.set(`${stored.info.group}/${stored.info.resource}`, stored)
    }
  }

  /** Groups by name; of each group all resources of its newest version first. */
  #ordered(): ServedResource[] {
    const all = [...this.#entries.values()].flatMap(({ served }) => served)
    return all.sort(
      (a, b) =>
        compare(a.info.group, b.info.group) ||
        compareVersions(a.info.version, b.info.version) ||
        compare(a.info.resource, b.info.resource),
    )
  }

  #entryOf(definition: CustomDefinition): Entry {
    const gone = new AbortController()
    const { versions } = definition.spec
    const schemas = new Map(
      versions.map(one => [one.name, parseStructural(one.schema?.openAPIV3Schema)] as const),
    )
    const made = versions.map(version => this.#serve(definition, version, schemas, gone.signal))
    // Instances of what is going have to be reached, though no version is served.
    const isHidden = isDefinition(definition, 'Terminating') && versions.every(one => !one.served)
    const served = made.filter((_one, index) => versions[index]?.[isHidden ? 'storage' : 'served'] === true)
    return { definition, served, stored: made[versions.findIndex(one => one.storage)], gone }
  }

  #serve(
    definition: CustomDefinition,
    version: DefinitionVersion,
    schemas: ReadonlyMap<string, Structural>,
    gone: AbortSignal,
  ): ServedResource {
    const { spec } = definition
    const { group } = spec
    const { kind } = namesOf(definition)
    const storageVersion = must(spec.versions.find(one => one.storage)?.name, 'one version is stored')
    const schema = must(schemas.get(version.name), 'each version has a schema')
    const { model } = this.#parts
    const codec = createVersionCodec({
      ...{ model, group, kind, storageVersion, schemas, version: version.name },
      converter: converterOf(definition, this.#parts.conversions),
    })
    const info = infoOf(definition, version, storageVersion)
    const custom: CustomForm = {
      ...formOf(definition, version, gone),
      codec,
      applySchema: structuralApplySchema(schema, applySchema(model, OBJECT_META)),
      openApi: schema.json,
    }
    const apiVersion = apiVersionOf(group, version.name)
    return {
      info,
      apiVersion,
      strategy: customStrategy(
        definition,
        version,
        schema,
        once(() => rulesOf(schema)),
      ),
      prefix: storagePrefix(group, info.resource),
      storageApiVersion: apiVersionOf(group, storageVersion),
      head: headOf(apiVersion, kind),
      servesStoredBytes: true,
      qualifiedName: `${info.resource}.${group}`,
      custom,
    }
  }
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** The value, made when it is first asked for. */
function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null
  return () => {
    made ??= { value: make() }
    return made.value
  }
}

/** Nothing that decides how objects are served differs. */
function isSameService(a: CustomDefinition, b: CustomDefinition): boolean {
  const of = ({ spec, metadata, status }: CustomDefinition) =>
    JSON.stringify([
      metadata.uid,
      spec,
      status?.acceptedNames,
      isDefinition({ status: status ?? {} }, 'Established'),
      isDefinition({ status: status ?? {} }, 'Terminating'),
    ])
  return of(a) === of(b)
}

/** The names that were accepted: those wished for may be taken. */
function namesOf({ spec, status }: CustomDefinition): CustomDefinition['spec']['names'] {
  const accepted = status?.acceptedNames
  return accepted?.plural ? accepted : spec.names
}

function formOf(
  definition: CustomDefinition,
  version: DefinitionVersion,
  gone: AbortSignal,
): Omit<CustomForm, 'codec' | 'applySchema' | 'openApi'> {
  const { group } = definition.spec
  const { kind } = namesOf(definition)
  const warning = version.deprecationWarning ?? `${group}/${version.name} ${kind} is deprecated`
  return {
    scale: version.subresources?.scale ?? null,
    warning: version.deprecated === true ? warning : null,
    isTerminating: isDefinition(definition, 'Terminating'),
    gone,
  }
}

function infoOf(
  definition: CustomDefinition,
  version: DefinitionVersion,
  storageVersion: string,
): ResourceInfo {
  const { group, scope } = definition.spec
  const names = namesOf(definition)
  const { plural, kind } = names
  const own = { group, version: version.name, kind }
  const subresources: SubresourceInfo[] = []
  if (version.subresources?.status !== undefined) {
    subresources.push({ name: 'status', kind: own, verbs: SUBRESOURCE_VERBS })
  }
  if (version.subresources?.scale !== undefined) {
    subresources.push({ name: 'scale', kind: SCALE, verbs: SUBRESOURCE_VERBS })
  }
  return {
    ...own,
    resource: plural,
    singular: names.singular || kind.toLowerCase(),
    listKind: names.listKind || `${kind}List`,
    namespaced: scope === 'Namespaced',
    verbs: VERBS,
    shortNames: names.shortNames ?? [],
    categories: names.categories ?? [],
    subresources,
    typeName: `${group.split('.').reverse().join('.')}.${version.name}.${kind}`,
    storage: { group, version: storageVersion, resource: plural },
  }
}
