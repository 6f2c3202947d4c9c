/** A pod out of a workload's template, controlled by the workload. */
import type { KubeObject } from '../../../kube/object.ts'
import type { Pod, PodTemplateSpec } from '../../../kube/types.ts'
import { controllerReference } from './owners.ts'

/** Not created yet, and without a name. Its labels, annotations and finalizers are copies. */
export function podOfTemplate(owner: KubeObject, template: PodTemplateSpec | undefined): Pod {
  const { labels, annotations, finalizers } = template?.metadata ?? {}
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      namespace: owner.metadata.namespace ?? '',
      ...(labels === undefined ? {} : { labels: { ...labels } }),
      ...(annotations === undefined ? {} : { annotations: { ...annotations } }),
      ...(finalizers === undefined ? {} : { finalizers: [...finalizers] }),
      ownerReferences: [controllerReference(owner)],
    },
    spec: template?.spec ?? { containers: [] },
  }
}

/** The beginning of the names of an owner's pods, where the API server makes up the rest. */
export const generateNameOf = (owner: KubeObject): string => `${owner.metadata.name}-`
