/** DELETE of a collection: every object that the selectors select, a few at a time. */
import type { KubeResponse } from '../../../client/transport.ts'
import { StatusError } from '../../../kube/status.ts'
import type { KeyValue } from '../../store/store.ts'
import { decodeValue } from '../storage/encoding.ts'
import { listPieces } from '../views/list-pieces.ts'
import { callerOf } from './create.ts'
import { internalResource, parseDeleteBody } from './decode-body.ts'
import { deleteObject } from './delete-object.ts'
import { type DeleteOptions, parseDeleteOptions } from './delete-options.ts'
import { selectEntries } from './list.ts'
import { parseListOptions } from './list-options.ts'
import { originOf } from './origin.ts'
import { bytesResponse } from './respond.ts'
import { negotiated, type RequestScope, viewOf } from './scope.ts'

const AT_ONCE = 16

export async function deleteCollection(scope: RequestScope): Promise<KubeResponse> {
  const view = viewOf(scope, negotiated(scope))
  const listOptions = parseListOptions(scope.query)
  const options = parseDeleteOptions(scope.query, parseDeleteBody(scope))
  const { entries, metadata } = await selectEntries(scope, listOptions)
  for (let start = 0; start < entries.length; start += AT_ONCE) {
    scope.signal.throwIfAborted()
    await Promise.all(entries.slice(start, start + AT_ONCE).map(kv => deleteEntry(scope, kv, options)))
  }
  const pieces = listPieces({ resource: scope.resource, entries, metadata, view })
  return bytesResponse(200, Buffer.concat([...pieces]), {}, view.encoding)
}

async function deleteEntry(scope: RequestScope, kv: KeyValue, options: DeleteOptions): Promise<void> {
  const resource = internalResource(scope)
  const { metadata } = decodeValue(resource, kv)
  try {
    await deleteObject(scope.context, {
      resource,
      namespace: metadata.namespace ?? '',
      name: metadata.name ?? '',
      options,
      caller: { ...callerOf(scope, options.dryRun), origin: originOf(scope, true) },
    })
  } catch (error) {
    if (!(error instanceof StatusError && error.code === 404)) throw error
  }
}
