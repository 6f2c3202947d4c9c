/** DELETE of one object. */
import type { KubeResponse } from '../../../client/transport.ts'
import { successStatus } from '../../../kube/status.ts'
import { callerOf } from './create.ts'
import { internalResource, parseDeleteBody } from './decode-body.ts'
import { deleteObject } from './delete-object.ts'
import { parseDeleteOptions } from './delete-options.ts'
import { valueResponse } from './respond.ts'
import { negotiated, type RequestScope } from './scope.ts'
import { writtenResponse } from './written-response.ts'

/** Kinds whose deleted object is the answer; the others get a Status. */
const RETURN_OBJECT = new Set([
  '/namespaces',
  '/persistentvolumeclaims',
  '/persistentvolumes',
  '/pods',
  '/podtemplates',
  '/resourcequotas',
  '/serviceaccounts',
  '/services',
  'storage.k8s.io/csinodes',
  'storage.k8s.io/storageclasses',
  'storage.k8s.io/volumeattachments',
])

export async function deleteOne(scope: RequestScope): Promise<KubeResponse> {
  const accepted = negotiated(scope)
  const options = parseDeleteOptions(scope.query, parseDeleteBody(scope))
  const { info } = scope
  const deleted = await deleteObject(scope.context, {
    resource: internalResource(scope),
    namespace: info.namespace,
    name: info.name,
    options,
    caller: callerOf(scope, options.dryRun),
  })
  if (!deleted.gone) {
    const waits = options.propagation === 'Background' && scope.query.get('orphanDependents') !== null
    return writtenResponse(scope, waits ? 202 : 200, deleted)
  }
  if (RETURN_OBJECT.has(`${info.group}/${info.resource}`)) return writtenResponse(scope, 200, deleted)
  const status = successStatus(scope.resource.info, info.name, deleted.object.metadata.uid)
  return valueResponse(200, status, accepted.encoding)
}
