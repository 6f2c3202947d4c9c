/** Which objects of a kind a change of a pod is of interest to. */
import { type Informer, keyOf } from '../../../client/informer.ts'
import { selects } from '../../../kube/labels.ts'
import type { KubeObject, LabelSelector, Pod } from '../../../kube/types.ts'
import { controllerOf } from './owners.ts'

/** Its name in every informer of the controllers. */
const NAMESPACE_INDEX = 'namespace'

export interface PodOwners<T extends KubeObject> {
  readonly kind: string
  /** Indexed by namespace. */
  readonly informer: Informer<T>
  readonly selectorOf: (owner: T) => LabelSelector | undefined
}

/** The key of the owner that controls the pod, or those of the owners that might adopt it. */
export function podOwnerKeys<T extends KubeObject>(owners: PodOwners<T>, pod: Pod): string[] {
  const { kind, informer, selectorOf } = owners
  const namespace = pod.metadata.namespace ?? ''
  const controller = controllerOf(pod)
  if (controller !== undefined) return controller.kind === kind ? [`${namespace}/${controller.name}`] : []
  return informer
    .byIndex(NAMESPACE_INDEX, namespace)
    .filter(owner => selects(selectorOf(owner), pod.metadata.labels))
    .map(keyOf)
}
