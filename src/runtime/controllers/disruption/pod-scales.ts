/** How many pods the controller of a pod wants, from the caches or from its scale. */
import { messageOf } from '../../../base/errors.ts'
import type { Informer } from '../../../client/informer.ts'
import { isNotFound, type KubeClient, type ResourceRef } from '../../../client/kube-client.ts'
import {
  DEPLOYMENTS,
  REPLICA_SETS,
  REPLICATION_CONTROLLERS,
  STATEFUL_SETS,
} from '../../../client/resources.ts'
import type { KubeObject, OwnerReference } from '../../../kube/object.ts'
import type { ControllerContext } from '../shared/context.ts'
import { controllerOf } from '../shared/owners.ts'
import { Scales } from '../shared/scales.ts'

interface Replicated extends KubeObject {
  spec?: { replicas?: number }
}

/** How many pods are wanted is not known; with a cause: it may be known later. */
export class ScaleProblem extends Error {
  override readonly name = 'ScaleProblem'
}

export interface ControllerScale {
  readonly uid: string
  readonly replicas: number
}

const CACHED: Readonly<Record<string, ResourceRef>> = {
  'apps/Deployment': DEPLOYMENTS,
  'apps/ReplicaSet': REPLICA_SETS,
  'apps/StatefulSet': STATEFUL_SETS,
  '/ReplicationController': REPLICATION_CONTROLLERS,
}

export class PodScales {
  readonly #client: KubeClient
  readonly #scales: Scales
  readonly #context: ControllerContext
  readonly #caches = new Map<string, Informer<Replicated>>()

  constructor(context: ControllerContext, client: KubeClient) {
    this.#context = context
    this.#client = client
    this.#scales = new Scales(context)
    for (const [kind, resource] of Object.entries(CACHED)) {
      this.#caches.set(kind, context.informers.informer<Replicated>(resource))
    }
  }

  /** Undefined when the controller is gone. Throws for one without a scale. */
  async find(owner: OwnerReference, namespace: string): Promise<ControllerScale | undefined> {
    const group = owner.apiVersion.includes('/') ? owner.apiVersion.split('/')[0] : ''
    const cache = this.#caches.get(`${group}/${owner.kind}`)
    if (cache === undefined) return this.#ask(owner, namespace)
    const object = cache.get(`${namespace}/${owner.name}`)
    if (object === undefined || object.metadata.uid !== owner.uid) return undefined
    const above = owner.kind === 'ReplicaSet' ? controllerOf(object) : undefined
    // What a ReplicaSet of a Deployment wants now is a step on the way.
    if (above?.kind === 'Deployment') return this.find(above, namespace)
    return { uid: owner.uid, replicas: object.spec?.replicas ?? 1 }
  }

  async #ask(
    { apiVersion, kind, name }: OwnerReference,
    namespace: string,
  ): Promise<ControllerScale | undefined> {
    const resource = this.#scales.resourceOf(apiVersion, kind)
    if (resource === undefined) return undefined
    const missing = `${resource.resource}.${resource.group} does not implement the scale subresource`
    const known = this.#context.model.byResource(resource.group, resource.version, resource.resource)
    if (known !== undefined && !known.subresources.some(each => each.name === 'scale'))
      throw new ScaleProblem(missing)
    try {
      const scale = await this.#scales.get(this.#client, { resource, namespace, name })
      return { uid: scale.metadata.uid ?? '', replicas: scale.spec?.replicas ?? 0 }
    } catch (error) {
      if (!isNotFound(error)) throw new ScaleProblem(messageOf(error), { cause: error })
      if (known !== undefined) return undefined
      throw new ScaleProblem(missing)
    }
  }
}
