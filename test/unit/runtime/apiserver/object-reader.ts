/** An ObjectReader over a plain list of objects, for the unit tests of the API server's parts. */
import type { KubeObject } from '../../../../src/kube/object.ts'
import type { Pod } from '../../../../src/kube/types.ts'
import type { NodePodsReader } from '../../../../src/runtime/apiserver/ports.ts'

/** Objects by `group/resource` (`/pods`); the lists may be changed between calls. */
export function readerOf(objects: Record<string, KubeObject[]>): NodePodsReader {
  const list = (group: string, resource: string, namespace?: string) =>
    (objects[`${group}/${resource}`] ?? []).filter(
      object => namespace === undefined || object.metadata.namespace === namespace,
    )
  return {
    list,
    podsOn: (node, namespace) =>
      (list('', 'pods', namespace) as Pod[]).filter(pod => pod.spec?.nodeName === node),
    get: (group, resource, namespace, name) =>
      list(group, resource).find(
        object => object.metadata.name === name && (object.metadata.namespace ?? '') === namespace,
      ) ?? null,
  }
}

/** An object with a name, and a namespace when it has one. */
export function named(
  kind: string,
  name: string,
  namespace = '',
  rest: Record<string, unknown> = {},
): KubeObject {
  const metadata = { name, uid: `uid-${name}`, ...(namespace === '' ? {} : { namespace }) }
  return { apiVersion: 'v1', kind, metadata, ...rest }
}
