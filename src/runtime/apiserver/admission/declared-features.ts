/** A pod that runs is changed only to what its node has said that it can do. */
import { featuresForUpdate, missingFeatures } from '../../../kube/declared-features.ts'
import type { Node, Pod } from '../../../kube/types.ts'
import type { AdmissionPlugin, AdmissionRequest, ObjectReader } from '../ports.ts'
import { quoted, refuse } from './refuse.ts'

export function nodeDeclaredFeatureValidator(objects: ObjectReader): AdmissionPlugin {
  return {
    name: 'NodeDeclaredFeatureValidator',
    validate(request) {
      if (!changesPod(request)) return
      const [pod, previous] = [request.object, request.oldObject] as unknown as [Pod, Pod]
      const nodeName = pod.spec?.nodeName
      if (!nodeName) return
      const needed = featuresForUpdate(pod, previous)
      if (needed.length === 0) return
      const node = objects.get('', 'nodes', '', nodeName) as unknown as Node | null
      if (node === null) throw refuse(request, `node ${quoted(nodeName)} not found`)
      const missing = missingFeatures(needed, node)
      if (missing.length === 0) return
      const why = `pod update requires features ${missing.join(', ')} which are not available on node`
      throw refuse(request, `${why} ${quoted(nodeName)}`)
    },
  }
}

const changesPod = ({ operation, resource, subresource, object, oldObject }: AdmissionRequest): boolean =>
  operation === 'UPDATE' &&
  resource.group === '' &&
  resource.resource === 'pods' &&
  (subresource === '' || subresource === 'resize') &&
  object !== null &&
  oldObject !== null
