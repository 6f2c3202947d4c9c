/** Who owns whom, over all resources: fed by informers, asked by the plan. Holds no copies of objects. */
import type { ResourceRef } from '../../../client/resources.ts'
import type { KubeObject } from '../../../kube/object.ts'

export interface GraphNode {
  readonly resource: ResourceRef
  readonly object: KubeObject
}

export class OwnerGraph {
  readonly #nodes = new Map<string, GraphNode>()
  readonly #dependents = new Map<string, Set<string>>()

  get(uid: string): GraphNode | undefined {
    return this.#nodes.get(uid)
  }

  /** Objects that name this uid as an owner. */
  dependentsOf(uid: string): GraphNode[] {
    const found: GraphNode[] = []
    for (const dependent of this.#dependents.get(uid) ?? []) {
      const node = this.#nodes.get(dependent)
      if (node !== undefined) found.push(node)
    }
    return found
  }

  /** The uids of objects that name an owner of this kind. */
  dependentsOfKind(group: string, kind: string): string[] {
    const isOfKind = (apiVersion: string) =>
      (apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '') === group
    return [...this.#nodes]
      .filter(([, { object }]) =>
        object.metadata.ownerReferences?.some(owner => owner.kind === kind && isOfKind(owner.apiVersion)),
      )
      .map(([uid]) => uid)
  }

  hasDependents(uid: string): boolean {
    return this.#dependents.has(uid)
  }

  put(resource: ResourceRef, object: KubeObject): void {
    const uid = object.metadata.uid ?? ''
    this.#unlink(uid)
    this.#nodes.set(uid, { resource, object })
    for (const owner of object.metadata.ownerReferences ?? []) {
      const dependents = this.#dependents.get(owner.uid)
      if (dependents === undefined) this.#dependents.set(owner.uid, new Set([uid]))
      else dependents.add(uid)
    }
  }

  remove(uid: string): void {
    this.#unlink(uid)
    this.#nodes.delete(uid)
  }

  #unlink(uid: string): void {
    for (const owner of this.#nodes.get(uid)?.object.metadata.ownerReferences ?? []) {
      const dependents = this.#dependents.get(owner.uid)
      dependents?.delete(uid)
      if (dependents?.size === 0) this.#dependents.delete(owner.uid)
    }
  }
}
