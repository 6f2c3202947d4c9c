/** GET of one object: the stored bytes as they are, unless another form or version is asked for. */
import type { KubeResponse } from '../../../client/transport.ts'
import { notFound, resourceVersionTooLarge } from '../../../kube/status.ts'
import type { KeyValue } from '../../store/store.ts'
import { prepareEntries } from '../storage/encoding.ts'
import { objectKey } from '../storage/served-resource.ts'
import { viewBytes } from '../views/view.ts'
import { parseResourceVersion } from './list-options.ts'
import { bytesResponse } from './respond.ts'
import { negotiated, type RequestScope, viewOf } from './scope.ts'
import { waitForRevision } from './wait-for-revision.ts'

/** The entry of the named object; throws 404. Linearizable unless a resourceVersion is given. */
export async function readEntry(scope: RequestScope): Promise<KeyValue> {
  const { store, clock } = scope.context
  const version = parseResourceVersion(scope.query.get('resourceVersion'))
  if (version === null) await store.barrier(scope.signal)
  else if (version > 0 && !(await waitForRevision(store, clock, version))) {
    throw resourceVersionTooLarge(version, store.revision)
  }
  const kv = store.get(objectKey(scope.resource, scope.info.namespace, scope.info.name))
  if (kv === null) throw notFound(scope.resource.info, scope.info.name)
  await prepareEntries(scope.resource, [kv])
  return kv
}

export async function get(scope: RequestScope): Promise<KubeResponse> {
  const view = viewOf(scope, negotiated(scope))
  const kv = await readEntry(scope)
  const pieces = [...viewBytes(scope.resource, kv, view), view.encoding.end]
  return bytesResponse(200, Buffer.concat(pieces), {}, view.encoding)
}
