/** Shared informers: each resource is listed, parsed and held once, however many want it. */
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { KubeObject } from '../kube/object.ts'
import { Informer } from './informer.ts'
import type { KubeClient } from './kube-client.ts'
import type { ResourceRef } from './resources.ts'

export interface InformerSetParts {
  /** Must be allowed to list and watch everything that is asked for. */
  readonly client: KubeClient
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** See `InformerParts`. */
  readonly fromMemory?: boolean | undefined
}

export class InformerSet {
  readonly #parts: InformerSetParts
  readonly #whole = new Map<string, Informer<KubeObject>>()
  readonly #metadata = new Map<string, Informer<KubeObject>>()
  #signal: AbortSignal | null = null

  constructor(parts: InformerSetParts) {
    this.#parts = parts
  }

  /**
   * The informer of whole objects. `transform` drops what nobody in this process reads; whoever asks first for
   * the resource decides, so it is for resources with one reader.
   */
  informer<T extends KubeObject>(
    resource: ResourceRef,
    options: { readonly transform?: (object: T) => T } = {},
  ): Informer<T> {
    const key = `${resource.group}/${resource.resource}`
    const transform = options.transform as ((object: KubeObject) => KubeObject) | undefined
    const informer = this.#whole.get(key) ?? this.#create(resource, { metadataOnly: false, transform })
    this.#whole.set(key, informer)
    return informer as unknown as Informer<T>
  }

  /**
   * An informer that holds at least identity, owners, finalizers and the deletion time. Where whole objects
   * are held anyway, it is that one, so ask for whole ones first.
   */
  metadataInformer(resource: ResourceRef): Informer<KubeObject> {
    const key = `${resource.group}/${resource.resource}`
    const informer =
      this.#whole.get(key) ??
      this.#metadata.get(key) ??
      this.#create(resource, { metadataOnly: true, transform: ownershipOf })
    if (!this.#whole.has(key)) this.#metadata.set(key, informer)
    return informer
  }

  /** As `metadataInformer`, for a resource that comes and goes: nobody else's, and not started. */
  separateInformer(resource: ResourceRef): Informer<KubeObject> {
    const metadataOnly = true
    return new Informer<KubeObject>({ ...this.#parts, resource, metadataOnly, transform: ownershipOf })
  }

  /** Starts every informer, those asked for later too. */
  start(signal: AbortSignal): void {
    this.#signal ??= signal
    for (const informer of this.#all()) informer.start(this.#signal)
  }

  /** Resolves when everything asked for so far is listed. */
  async synced(): Promise<void> {
    await Promise.all(this.#all().map(informer => informer.synced))
  }

  #all(): Informer<KubeObject>[] {
    return [...this.#whole.values(), ...this.#metadata.values()]
  }

  #create(
    resource: ResourceRef,
    options: {
      readonly metadataOnly: boolean
      readonly transform: ((object: KubeObject) => KubeObject) | undefined
    },
  ): Informer<KubeObject> {
    const { metadataOnly, transform } = options
    const informer = new Informer<KubeObject>({ ...this.#parts, resource, metadataOnly, transform })
    if (this.#signal !== null) informer.start(this.#signal)
    return informer
  }
}

function ownershipOf({ apiVersion, kind, metadata }: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion, ownerReferences, finalizers, deletionTimestamp } = metadata
  const kept: KubeObject['metadata'] = {}
  if (name !== undefined) kept.name = name
  if (namespace !== undefined) kept.namespace = namespace
  if (uid !== undefined) kept.uid = uid
  if (resourceVersion !== undefined) kept.resourceVersion = resourceVersion
  if (ownerReferences !== undefined) kept.ownerReferences = ownerReferences
  if (finalizers !== undefined) kept.finalizers = finalizers
  if (deletionTimestamp !== undefined) kept.deletionTimestamp = deletionTimestamp
  return { apiVersion, kind, metadata: kept }
}
