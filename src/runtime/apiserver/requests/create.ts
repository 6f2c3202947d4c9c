/** POST to a collection. */
import type { KubeResponse } from '../../../client/transport.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { badRequest } from '../../../kube/status.ts'
import type { Caller } from './commit.ts'
import { createObject, OTHER_NAMESPACE } from './create-object.ts'
import { decodeBody, internalForm } from './decode-body.ts'
import { fieldTracker } from './field-tracking.ts'
import { originOf } from './origin.ts'
import { negotiated, type RequestScope } from './scope.ts'
import { parseWriteOptions } from './write-options.ts'
import { writtenResponse } from './written-response.ts'

export async function create(scope: RequestScope): Promise<KubeResponse> {
  negotiated(scope)
  const options = parseWriteOptions(scope.query, 'CreateOptions')
  const body = decodeBody(scope, { fieldValidation: options.fieldValidation })
  placeInNamespace(scope, body)
  const { resource, object } = internalForm(scope, body)
  const caller = callerOf(scope, options.dryRun)
  const tracker = fieldTracker(scope, options.fieldManager)
  const written = await createObject(scope.context, { resource, object, caller, tracker })
  return writtenResponse(scope, 201, written)
}

export const callerOf = (scope: RequestScope, dryRun: boolean): Caller => ({
  user: scope.user,
  dryRun,
  term: scope.term,
  signal: scope.signal,
  origin: originOf(scope),
})

/** The namespace of the URL goes into the object; another one in it is refused. */
export function placeInNamespace(scope: RequestScope, object: KubeObject): void {
  const { metadata } = object
  if (!scope.resource.info.namespaced) return
  const given = metadata.namespace ?? ''
  if (given !== '' && given !== scope.info.namespace) {
    throw badRequest(OTHER_NAMESPACE)
  }
  metadata.namespace = scope.info.namespace
}

/** The name of the URL goes into the object; another one in it is refused. */
export function placeUnderName(scope: RequestScope, object: KubeObject): void {
  const given = object.metadata.name ?? ''
  if (given === '') {
    throw badRequest(`name must be provided on the object that is sent to ${scope.info.path}`)
  }
  if (given !== scope.info.name) {
    throw badRequest(
      `the name of the object (${given}) does not match the name on the URL (${scope.info.name})`,
    )
  }
}
