/** Definitions of custom resources as controllers see them, and the resources that they add while controllers run. */
import type { Informer } from '../../../client/informer.ts'
import type { InformerSet } from '../../../client/informer-set.ts'
import { CUSTOM_RESOURCE_DEFINITIONS, type ResourceRef } from '../../../client/resources.ts'
import { type CustomDefinition, compareVersions, isDefinition } from '../../../kube/custom-definition.ts'
import type { KubeObject } from '../../../kube/object.ts'

/** Without schemas, which are long and of which no controller reads anything. */
export const definitionInformer = (informers: InformerSet): Informer<CustomDefinition> =>
  informers.informer<CustomDefinition>(CUSTOM_RESOURCE_DEFINITIONS, { transform: withoutSchemas })

function withoutSchemas(definition: CustomDefinition): CustomDefinition {
  const { managedFields: _managers, ...metadata } = definition.metadata
  const versions = definition.spec.versions.map(({ name, served, storage }) => ({ name, served, storage }))
  return { ...definition, metadata, spec: { ...definition.spec, versions } }
}

export interface CustomResource extends ResourceRef {
  readonly kind: string
}

/** How an established definition is reached: its newest served version. */
export function customResourceOf(definition: CustomDefinition): CustomResource | undefined {
  if (!isDefinition(definition, 'Established')) return undefined
  const { spec, status } = definition
  const served = spec.versions.filter(one => one.served).map(one => one.name)
  const [version] = served.sort(compareVersions)
  if (version === undefined) return undefined
  const names = status?.acceptedNames?.plural ? status.acceptedNames : spec.names
  const namespaced = spec.scope === 'Namespaced'
  return { group: spec.group, version, resource: names.plural, namespaced, kind: names.kind }
}

/** The instances of one definition, as long as it is served. */
export interface CustomContents {
  readonly resource: CustomResource
  readonly informer: Informer<KubeObject>
}

export interface ContentsListener {
  /** The informer may have yet to list. */
  added(contents: CustomContents): void
  removed(contents: CustomContents): void
}

export const CONTENTS_BY_NAMESPACE = 'namespace'

interface Followed extends CustomContents {
  readonly ended: AbortController
}

/** Follows the instances of every definition: what collectors look at that no model knows. */
export class CustomInformers {
  readonly #informers: InformerSet
  readonly #definitions: Informer<CustomDefinition>
  readonly #followed = new Map<string, Followed>()
  readonly #listeners = new Set<ContentsListener>()
  #unsubscribe: (() => void) | null = null

  constructor(informers: InformerSet) {
    this.#informers = informers
    this.#definitions = definitionInformer(informers)
  }

  get all(): readonly CustomContents[] {
    return [...this.#followed.values()]
  }

  /** When the definitions are listed. */
  start(): void {
    this.#unsubscribe = this.#definitions.onChange((name, next) => this.#consider(name, next))
    for (const one of this.#definitions.list()) this.#consider(one.metadata.name ?? '', one)
  }

  stop(): void {
    this.#unsubscribe?.()
    for (const { ended } of this.#followed.values()) ended.abort()
    this.#followed.clear()
  }

  /** What is followed already is announced, too. Returns an unsubscribe. */
  subscribe(listener: ContentsListener): () => void {
    this.#listeners.add(listener)
    for (const one of this.#followed.values()) listener.added(one)
    return () => this.#listeners.delete(listener)
  }

  #consider(name: string, definition: CustomDefinition | null): void {
    const resource = definition === null ? undefined : customResourceOf(definition)
    const before = this.#followed.get(name)
    if (before !== undefined && resource !== undefined && isSame(before.resource, resource)) return
    if (before !== undefined) {
      this.#followed.delete(name)
      before.ended.abort()
      for (const listener of this.#listeners) listener.removed(before)
    }
    if (resource === undefined) return
    const informer = this.#informers.separateInformer(resource)
    informer.addIndex(CONTENTS_BY_NAMESPACE, object => [object.metadata.namespace ?? ''])
    const followed = { resource, informer, ended: new AbortController() }
    this.#followed.set(name, followed)
    for (const listener of this.#listeners) listener.added(followed)
    informer.start(followed.ended.signal)
  }
}

const isSame = (a: CustomResource, b: CustomResource): boolean =>
  a.version === b.version && a.resource === b.resource && a.kind === b.kind && a.namespaced === b.namespaced
