/** The answer to a write: the object as it is stored now, in the version and form that the client asked for. */
import type { KubeResponse } from '../../../client/transport.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { fromStorage } from '../storage/conversion.ts'
import { viewBytes, viewObject } from '../views/view.ts'
import type { Written } from './commit.ts'
import { bytesResponse, valueResponse } from './respond.ts'
import { negotiated, type RequestScope, viewOf } from './scope.ts'

export function writtenResponse(scope: RequestScope, status: number, written: Written): KubeResponse {
  const view = viewOf(scope, negotiated(scope))
  const { resource } = scope
  if (written.kv !== null && view.encoding.format === 'json') {
    return bytesResponse(status, Buffer.concat(viewBytes(resource, written.kv, view)))
  }
  const object = servedObject(scope, written.object)
  return valueResponse(status, viewObject(resource, object, view), view.encoding)
}

/** The object in the version of the request. */
export const servedObject = ({ resource }: RequestScope, stored: KubeObject): KubeObject =>
  resource.servesStoredBytes ? stored : fromStorage(resource.info, stored)
