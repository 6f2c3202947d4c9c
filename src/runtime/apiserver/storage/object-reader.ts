/** Parsed objects from this node's memory, each parsed once while it is the latest. */
import type { Model } from '../../../kube/model-types.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { Pod } from '../../../kube/types.ts'
import { type KeyValue, prefixEnd, type Store } from '../../store/store.ts'
import type { NodePodsReader } from '../ports.ts'
import { decodeValue } from './encoding.ts'
import { PodsByNode } from './pods-by-node.ts'
import { collectionPrefix, createResourceTable, objectKey, type ResourceTable } from './served-resource.ts'

/** A reader over the store's memory; what comes back must not be changed. */
export function createObjectReader(
  store: Store,
  model: Model,
  table: ResourceTable = createResourceTable(model),
): NodePodsReader {
  const parsed = new WeakMap<KeyValue, KubeObject>()
  const parse = (group: string, resource: string, kv: KeyValue): KubeObject => {
    const known = parsed.get(kv)
    if (known !== undefined) return known
    const served = table.stored(group, resource)
    if (served === undefined) throw new TypeError(`no such resource: ${resource} in group "${group}"`)
    const object = decodeValue(served, kv)
    // Another version of a definition may see other fields.
    if (served.custom !== undefined) return object
    // Who owns which field is nobody's business here, and would stay in memory.
    const { managedFields: _, ...metadata } = object.metadata
    object.metadata = metadata
    parsed.set(kv, object)
    return object
  }
  const pods = table.stored('', 'pods')
  const byNode = pods === undefined ? null : new PodsByNode(store, collectionPrefix(pods, ''))
  return {
    get(group, resource, namespace, name) {
      const served = table.stored(group, resource)
      const kv = served === undefined ? null : store.get(objectKey(served, namespace, name))
      return kv === null ? null : parse(group, resource, kv)
    },
    list(group, resource, namespace = '') {
      const served = table.stored(group, resource)
      if (served === undefined) return []
      const start = collectionPrefix(served, namespace)
      return store.range({ start, end: prefixEnd(start) }).entries.map(kv => parse(group, resource, kv))
    },
    podsOn(node, namespace = '') {
      const found: Pod[] = []
      for (const kv of byNode?.candidates(node) ?? []) {
        const pod = parse('', 'pods', kv) as Pod
        if (pod.spec?.nodeName !== node) continue
        if (namespace === '' || pod.metadata.namespace === namespace) found.push(pod)
      }
      return found
    },
  }
}
