/** Pods carry the zone and the region of the node that they run on as labels. */
import type { KubeObject } from '../../../kube/object.ts'
import type { Node, Pod } from '../../../kube/types.ts'
import type { AdmissionPlugin, AdmissionRequest, ObjectReader } from '../ports.ts'

const TOPOLOGY_LABELS = ['topology.kubernetes.io/zone', 'topology.kubernetes.io/region']

interface Binding extends KubeObject {
  target?: { name?: string }
}

/** A Binding brings its labels to its pod; a pod that comes with a node gets them at once. */
export function podTopologyLabels(objects: ObjectReader): AdmissionPlugin {
  return {
    name: 'PodTopologyLabels',
    admit(request) {
      const { object } = request
      const name = nodeNameIn(request)
      if (object === null || name === undefined || name === '') return
      const node = objects.get('', 'nodes', '', name) as unknown as Node | null
      const found = Object.entries(node?.metadata.labels ?? {}).filter(([key]) =>
        TOPOLOGY_LABELS.includes(key),
      )
      if (found.length === 0) return
      object.metadata.labels = { ...object.metadata.labels, ...Object.fromEntries(found) }
    },
  }
}

function nodeNameIn({ operation, resource, subresource, object }: AdmissionRequest): string | undefined {
  if (operation !== 'CREATE' || resource.group !== '' || resource.resource !== 'pods') return undefined
  if (subresource === 'binding') return (object as Binding | null)?.target?.name
  return subresource === '' ? (object as unknown as Pod | null)?.spec?.nodeName : undefined
}
