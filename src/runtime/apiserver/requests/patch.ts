/** PATCH: JSON, merge and strategic merge patches over the object as the client sees it; again on a lost race. */
import type { KubeResponse } from '../../../client/transport.ts'
import { goText } from '../../../kube/go-types.ts'
import { JsonError, type ParsedJson, parseJson } from '../../../kube/json.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { applyJsonPatch } from '../../../kube/patch/json-patch.ts'
import { applyMergePatch } from '../../../kube/patch/merge-patch.ts'
import { applyStrategicMerge } from '../../../kube/patch/strategic-merge.ts'
import { badRequest, requestEntityTooLarge, unsupportedMediaType } from '../../../kube/status.ts'
import { mediaTypeOf } from '../negotiation/media-types.ts'
import { toStorage } from '../storage/conversion.ts'
import { APPLY_CBOR, APPLY_PATCH, APPLY_TYPES, applyPatch } from './apply-patch.ts'
import { callerOf } from './create.ts'
import { decodeObject, internalResource } from './decode-body.ts'
import { fieldTracker } from './field-tracking.ts'
import { duplicateProblems, jsonPatchProblems, type PatchFacts } from './patch-facts.ts'
import { negotiated, type RequestScope } from './scope.ts'
import { updateObject } from './update-object.ts'
import { type FieldValidation, parseWriteOptions, type WriteOptions } from './write-options.ts'
import { servedObject, writtenResponse } from './written-response.ts'

const JSON_PATCH = 'application/json-patch+json'
const MERGE_PATCH = 'application/merge-patch+json'
const STRATEGIC_PATCH = 'application/strategic-merge-patch+json'
const PATCH_TYPES = [JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH]
const PATCH_BYTES_MAX = 3 * 1024 * 1024
const JSON_PATCH_OPERATIONS_MAX = 10_000

export interface Patcher {
  /** Turns an object as the client sees it into the patched one. */
  apply(object: unknown): unknown
  /** Of what it made of an object. */
  factsOf(result: unknown): PatchFacts
}

export async function patch(scope: RequestScope): Promise<KubeResponse> {
  if (APPLY_TYPES.includes(mediaTypeOf(scope.headers['content-type']))) return applyPatch(scope)
  negotiated(scope)
  const options = parseWriteOptions(scope.query, 'PatchOptions')
  const patcher = patcherOf(scope, options.fieldValidation)
  const resource = internalResource(scope)
  const written = await updateObject(scope.context, {
    resource,
    namespace: scope.info.namespace,
    name: scope.info.name,
    subresource: scope.info.subresource,
    caller: callerOf(scope, options.dryRun),
    tracker: fieldTracker(scope, options.fieldManager),
    isPatch: true,
    change: current => patched(scope, current, patcher, options),
  })
  return writtenResponse(scope, 200, written)
}

/** The patch of the request; throws 415 for other kinds, 400 for what cannot be read. */
export function patcherOf(
  scope: RequestScope,
  validation: FieldValidation,
  typeName = scope.resource.info.typeName,
): Patcher {
  const type = mediaTypeOf(scope.headers['content-type'])
  const isTyped = scope.resource.custom === undefined || typeName !== scope.resource.info.typeName
  const types = isTyped ? PATCH_TYPES : PATCH_TYPES.filter(one => one !== STRATEGIC_PATCH)
  if (!types.includes(type)) throw unsupportedMediaType([...types, APPLY_PATCH, APPLY_CBOR])
  const { value, duplicateFields } = readPatch(scope, validation)
  const problems = duplicateProblems(duplicateFields, validation)
  if (type === JSON_PATCH) {
    if (Array.isArray(value) && value.length > JSON_PATCH_OPERATIONS_MAX) {
      throw requestEntityTooLarge(
        `The allowed maximum operations in a JSON patch is ${JSON_PATCH_OPERATIONS_MAX}, got ${value.length}`,
      )
    }
    const found = jsonPatchProblems(value, duplicateFields, validation)
    return { apply: object => applyJsonPatch(object, value), factsOf: shownAsJson(found) }
  }
  if (type === MERGE_PATCH)
    return { apply: object => applyMergePatch(object, value), factsOf: shownAsJson(problems) }
  return {
    apply: object => applyStrategicMerge(scope.context.model, typeName, object, value),
    factsOf: () => ({ shown: () => goText(value), problems }),
  }
}

const shownAsJson = (problems: readonly string[]) => (result: unknown) => ({
  shown: () => JSON.stringify(result),
  problems,
})

function readPatch(scope: RequestScope, validation: FieldValidation): ParsedJson {
  const body = scope.body ?? new Uint8Array()
  if (body.length > PATCH_BYTES_MAX) throw requestEntityTooLarge(`limit is ${PATCH_BYTES_MAX}`)
  try {
    const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8')
    return parseJson(text, { findDuplicates: validation !== 'Ignore' })
  } catch (error) {
    if (error instanceof JsonError) throw badRequest(`error decoding patch: ${error.message}`)
    throw error
  }
}

/** The present object, patched in the version of the request and decoded again, in the storage version. */
function patched(
  scope: RequestScope,
  current: KubeObject,
  patcher: Patcher,
  options: WriteOptions,
): KubeObject {
  const { resource } = scope
  const before = servedObject(scope, current)
  const result = patcher.apply(before) as KubeObject
  const { fieldValidation } = options
  const decoded = decodeObject(scope, result, { fieldValidation, patch: patcher.factsOf(result) })
  const { name = '' } = decoded.metadata
  if (name !== scope.info.name) {
    throw badRequest(
      `the name of the object (${name}) does not match the name on the URL (${scope.info.name})`,
    )
  }
  const next = resource.servesStoredBytes ? decoded : toStorage(resource.info, decoded)
  resource.strategy.applyDefaults?.(next)
  return next
}
