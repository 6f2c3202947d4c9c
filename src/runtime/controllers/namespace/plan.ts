/** The end of a namespace: what is deleted next, which conditions say what is left, and when it may go. */

import type { ResourceRef } from '../../../client/resources.ts'
import type { ResourceInfo } from '../../../kube/model-types.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { formatTime } from '../../../kube/time.ts'
import type { Namespace } from '../../../kube/types.ts'

export const KUBERNETES_FINALIZER = 'kubernetes'

type NamespaceCondition = NonNullable<NonNullable<Namespace['status']>['conditions']>[number]

/** What is left of one resource in the namespace. */
export interface Remaining {
  readonly resource: ResourceRef
  readonly count: number
  /** Finalizer → how many objects wait for it. */
  readonly finalizers: ReadonlyMap<string, number>
}

/** How many of the objects wait for each finalizer. */
export function finalizersOf(objects: readonly KubeObject[]): Map<string, number> {
  const finalizers = new Map<string, number>()
  for (const finalizer of objects.flatMap(object => object.metadata.finalizers ?? [])) {
    finalizers.set(finalizer, (finalizers.get(finalizer) ?? 0) + 1)
  }
  return finalizers
}

/** One reference per stored resource that lives in namespaces and can be deleted, pods first. */
export function namespacedResources(resources: readonly ResourceInfo[]): ResourceRef[] {
  const seen = new Set<string>()
  const found: ResourceRef[] = []
  for (const info of resources) {
    const stored = `${info.storage.group}/${info.storage.resource}`
    const isUsable = info.namespaced && info.verbs.includes('delete') && info.verbs.includes('list')
    if (!isUsable || seen.has(stored)) continue
    seen.add(stored)
    found.push({ group: info.group, version: info.version, resource: info.resource, namespaced: true })
  }
  const rank = (ref: ResourceRef) => (ref.group === '' && ref.resource === 'pods' ? 0 : 1)
  return found.sort((a, b) => rank(a) - rank(b))
}

/** Pods go before everything that they may use; the rest only when none is left. */
export function nextToDelete(remaining: readonly Remaining[]): readonly Remaining[] {
  const pods = remaining.filter(each => isPods(each.resource) && each.count > 0)
  return pods.length > 0 ? pods : remaining.filter(each => each.count > 0)
}

const isPods = (ref: ResourceRef): boolean => ref.group === '' && ref.resource === 'pods'

const gvr = (ref: ResourceRef): string =>
  ref.group === '' ? `${ref.resource}.` : `${ref.resource}.${ref.group}`

/** The conditions of a namespace being deleted; failure is what went wrong while deleting contents. */
export function planConditions(
  namespace: Namespace,
  parts: {
    readonly remaining: readonly Remaining[]
    readonly failure: string | null
    /** What could not be asked for its contents. */
    readonly undiscovered: string | null
    readonly nowMs: number
  },
): NamespaceCondition[] {
  // What waits for the pods to go is not spoken of before its turn.
  const left = nextToDelete(parts.remaining)
  const finalizers = new Map<string, number>()
  for (const each of left) {
    for (const [name, count] of each.finalizers) finalizers.set(name, (finalizers.get(name) ?? 0) + count)
  }
  const contents = left.map(each => `${gvr(each.resource)} has ${each.count} resource instances`)
  const waiting = [...finalizers].map(([name, count]) => `${name} in ${count} resource instances`)
  const conditions = [
    state(
      'NamespaceDeletionDiscoveryFailure',
      parts.undiscovered === null ? null : { reason: 'DiscoveryFailed', message: parts.undiscovered },
      'ResourcesDiscovered',
      'All resources successfully discovered',
    ),
    state(
      'NamespaceDeletionGroupVersionParsingFailure',
      null,
      'ParsedGroupVersions',
      'All legacy kube types successfully parsed',
    ),
    state(
      'NamespaceDeletionContentFailure',
      parts.failure === null ? null : { reason: 'ContentDeletionFailed', message: parts.failure },
      'ContentDeleted',
      'All content successfully deleted, may be waiting on finalization',
    ),
    state(
      'NamespaceContentRemaining',
      contents.length === 0
        ? null
        : {
            reason: 'SomeResourcesRemain',
            message: `Some resources are remaining: ${contents.sort().join(', ')}`,
          },
      'ContentRemoved',
      'All content successfully removed',
    ),
    state(
      'NamespaceFinalizersRemaining',
      waiting.length === 0
        ? null
        : {
            reason: 'SomeFinalizersRemain',
            message: `Some content in the namespace has finalizers remaining: ${waiting.sort().join(', ')}`,
          },
      'ContentHasNoFinalizers',
      'All content-preserving finalizers finished',
    ),
  ]
  return conditions.map(next => keepTime(next, namespace, parts.nowMs))
}

function state(
  type: string,
  problem: { readonly reason: string; readonly message: string } | null,
  reason: string,
  message: string,
): NamespaceCondition {
  return problem === null ? { type, status: 'False', reason, message } : { type, status: 'True', ...problem }
}

function keepTime(next: NamespaceCondition, namespace: Namespace, nowMs: number): NamespaceCondition {
  const current = namespace.status?.conditions?.find(condition => condition.type === next.type)
  const isSame = current?.status === next.status
  const time = isSame ? (current?.lastTransitionTime ?? formatTime(nowMs)) : formatTime(nowMs)
  return { ...next, lastTransitionTime: time }
}
