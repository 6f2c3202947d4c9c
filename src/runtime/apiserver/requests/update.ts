/** PUT of one object or of one of its subresources that has the object as its body. */
import type { KubeResponse } from '../../../client/transport.ts'
import { cloneJson } from '../../../kube/clone.ts'
import { StatusError } from '../../../kube/status.ts'
import { callerOf, placeInNamespace, placeUnderName } from './create.ts'
import { createObject } from './create-object.ts'
import { decodeBody, internalForm } from './decode-body.ts'
import { fieldTracker } from './field-tracking.ts'
import { negotiated, type RequestScope } from './scope.ts'
import { type UpdateRequest, updateObject } from './update-object.ts'
import { parseWriteOptions } from './write-options.ts'
import { writtenResponse } from './written-response.ts'

export async function update(scope: RequestScope): Promise<KubeResponse> {
  negotiated(scope)
  const options = parseWriteOptions(scope.query, 'UpdateOptions')
  const body = decodeBody(scope, { fieldValidation: options.fieldValidation })
  placeUnderName(scope, body)
  placeInNamespace(scope, body)
  const { resource, object } = internalForm(scope, body)
  const tracker = fieldTracker(scope, options.fieldManager)
  const request: UpdateRequest = {
    resource,
    namespace: scope.info.namespace,
    name: scope.info.name,
    subresource: scope.info.subresource,
    caller: callerOf(scope, options.dryRun),
    tracker,
    change: () => cloneJson(object),
  }
  try {
    return writtenResponse(scope, 200, await updateObject(scope.context, request))
  } catch (error) {
    if (!mayCreate(scope, error)) throw error
    const { caller } = request
    const written = await createObject(scope.context, { resource, object, caller, tracker })
    return writtenResponse(scope, 201, written)
  }
}

const mayCreate = (scope: RequestScope, error: unknown): boolean =>
  error instanceof StatusError &&
  error.code === 404 &&
  scope.info.subresource === '' &&
  scope.resource.strategy.allowCreateOnUpdate === true
