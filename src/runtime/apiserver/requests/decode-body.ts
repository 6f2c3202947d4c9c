/**
 * From the bytes of a request to an object: kind, field types, unknown and duplicate fields, defaults. Everything wrong with it is 400 in upstream's words; nothing is stored before this is done.
 */
import { must } from '../../../base/assert.ts'
import { invalid as invalidField } from '../../../kube/field-error.ts'
import type { GroupVersionKind } from '../../../kube/model-types.ts'
import type { KubeObject } from '../../../kube/object.ts'
import {
  applyModelDefaults,
  type DecodeResult,
  decodeObject as decodeAlongModel,
  decodeFailure,
} from '../../../kube/schema.ts'
import { badRequest, invalid } from '../../../kube/status.ts'
import { type RawBody, readBodyObject } from '../negotiation/body.ts'
import { toStorage } from '../storage/conversion.ts'
import { apiVersionOf, type ServedResource } from '../storage/served-resource.ts'
import { typeNameOf } from '../storage/type-names.ts'
import type { PatchFacts } from './patch-facts.ts'
import type { RequestScope } from './scope.ts'
import type { FieldValidation } from './write-options.ts'

const DELETE_OPTIONS = 'io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions'
const deleteOptionsKind = { group: '', version: 'v1', kind: 'DeleteOptions' }

export interface DecodeOptions {
  readonly fieldValidation: FieldValidation
  /** The patch that the object comes from. */
  readonly patch?: PatchFacts
}

function readBody(scope: RequestScope, kind: GroupVersionKind, typeName: string): RawBody {
  const view = scope.body ?? new Uint8Array()
  const isCustom = scope.resource.custom !== undefined && typeName === scope.resource.info.typeName
  return readBodyObject({
    bytes: Buffer.from(view.buffer, view.byteOffset, view.byteLength),
    contentType: scope.headers['content-type'],
    kind: kind.kind,
    typeName: isCustom ? null : typeName,
    encodings: scope.context.encodings,
  })
}

/** Throws 400 when the object says that it is something else. */
function checkKind(object: KubeObject, expected: GroupVersionKind): void {
  const wanted = apiVersionOf(expected.group, expected.version)
  const apiVersion: unknown = object.apiVersion ?? ''
  const kind: unknown = object.kind ?? ''
  if (kind !== '' && kind !== expected.kind) {
    const version = String(apiVersion).split('/').at(-1) ?? ''
    throw badRequest(
      `${kind} in version ${JSON.stringify(version)} cannot be handled as a ${expected.kind}: ` +
        `the kind in the data (${kind}) does not match the expected kind (${expected.kind})`,
    )
  }
  if (apiVersion !== '' && apiVersion !== wanted) {
    throw badRequest(
      `the API version in the data (${apiVersion}) does not match the expected API version (${wanted})`,
    )
  }
}

/** What kind of object the request's body is. */
function expectedKind(scope: RequestScope): { kind: GroupVersionKind; typeName: string } {
  const { subresource, resource, context } = scope
  if (subresource === null) return { kind: resource.info, typeName: resource.info.typeName }
  const isOwn = resource.custom !== undefined && subresource.kind.kind === resource.info.kind
  const known = isOwn ? undefined : typeNameOf(context.model, subresource.kind)
  const typeName = known ?? resource.info.typeName
  return { kind: subresource.kind, typeName }
}

/** The object of the body, with the model's defaults. */
export function decodeBody(scope: RequestScope, options: DecodeOptions): KubeObject {
  const { kind, typeName } = expectedKind(scope)
  const raw = readBody(scope, kind, typeName)
  checkKind(raw.value, kind)
  return decodeAs(scope, raw, kind, typeName, options)
}

/** A patched object, checked like a body. */
export function decodeObject(scope: RequestScope, value: KubeObject, options: DecodeOptions): KubeObject {
  const { info } = scope.resource
  return decodeKind(scope, value, info, info.typeName, options)
}

/** A patched object of a kind that a subresource has. */
export function decodeKind(
  scope: RequestScope,
  value: KubeObject,
  kind: GroupVersionKind,
  typeName: string,
  options: DecodeOptions,
): KubeObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badRequest('the patch leaves something that is no object')
  }
  checkKind(value, kind)
  return decodeAs(scope, { value, duplicateFields: [], hasNames: true }, kind, typeName, options)
}

const modeOf = (validation: FieldValidation): 'strict' | 'warn' | 'ignore' =>
  validation === 'Strict' ? 'strict' : validation === 'Warn' ? 'warn' : 'ignore'

const NO_KIND = { group: '', kind: '' }

/** Duplicate and unknown fields: those of a built-in kind in the order of the text, where an unknown one counts once. */
function problemsOf(raw: RawBody, { unknownFields }: DecodeResult, isCustom: boolean): string[] {
  const before = raw.duplicateKeyText === undefined ? [] : [raw.duplicateKeyText]
  const duplicates = raw.duplicateFields.map(path => `duplicate field "${path}"`)
  if (isCustom || duplicates.length === 0 || unknownFields.length === 0)
    return [...before, ...duplicates, ...unknownFields]
  const unknown = unknownFields.map(text => ({ text, path: String(JSON.parse(text.slice(UNKNOWN.length))) }))
  const twice = raw.duplicateFields
    .filter(path => !unknown.some(one => one.path === path))
    .map(path => ({ text: `duplicate field "${path}"`, path }))
  const places = raw.placesOf?.() ?? { first: new Map(), again: new Map() }
  const placed = [
    ...unknown.map(({ text, path }) => ({ text, at: places.first.get(path) ?? 0 })),
    ...twice.map(({ text, path }) => ({ text, at: places.again.get(path) ?? 0 })),
  ]
  return [...before, ...placed.sort((a, b) => a.at - b.at).map(({ text }) => text)]
}

const UNKNOWN = 'unknown field '

function decodeAs(
  scope: RequestScope,
  raw: RawBody,
  kind: GroupVersionKind,
  typeName: string,
  { fieldValidation, patch }: DecodeOptions,
): KubeObject {
  const { model } = scope.context
  const mode = raw.hasNames ? modeOf(fieldValidation) : 'ignore'
  const { info, custom } = scope.resource
  const isCustom = custom !== undefined && typeName === info.typeName
  const decoded = isCustom
    ? custom.codec.decode(raw.value, mode)
    : decodeAlongModel(model, typeName, raw.value, mode)
  const [wrong] = decoded.typeErrors
  const failure = (why: string) =>
    patch === undefined
      ? decodeFailure(kind.kind, kind.version, why)
      : invalid(NO_KIND, '', [invalidField('patch', patch.shown(), why)])
  if (wrong !== undefined) throw failure(wrong)
  const problems =
    mode === 'ignore' ? [] : [...(patch?.problems ?? []), ...problemsOf(raw, decoded, isCustom)]
  if (mode === 'strict' && problems.length > 0) throw failure(`strict decoding error: ${problems.join(', ')}`)
  scope.warnings.push(...problems)
  const { apiVersion: _a, kind: _k, metadata, ...rest } = decoded.object as KubeObject
  const object: KubeObject = {
    apiVersion: apiVersionOf(kind.group, kind.version),
    kind: kind.kind,
    metadata: { ...metadata },
    ...rest,
  }
  applyModelDefaults(model, typeName, object)
  return object
}

/** The form in which the resource is stored, which strategies, admission and writes work on. */
export function internalResource(scope: RequestScope): ServedResource {
  const { resource, context } = scope
  if (resource.servesStoredBytes) return resource
  const { storage } = resource.info
  return must(context.resources.stored(storage.group, storage.resource), 'the stored form of a resource')
}

export function internalForm(
  scope: RequestScope,
  body: KubeObject,
): { readonly resource: ServedResource; readonly object: KubeObject } {
  const resource = internalResource(scope)
  const object = scope.resource.servesStoredBytes ? body : toStorage(scope.resource.info, body)
  resource.strategy.applyDefaults?.(object)
  return { resource, object }
}

/** DeleteOptions of the body, null when there is none. */
export function parseDeleteBody(scope: RequestScope): KubeObject | null {
  if (scope.body === null || scope.body.length === 0) return null
  const raw = readBody(scope, deleteOptionsKind, DELETE_OPTIONS)
  const { kind } = raw.value
  if (kind !== undefined && kind !== 'DeleteOptions') {
    throw badRequest(`the body of a deletion is DeleteOptions, not ${kind}`)
  }
  return decodeAs(scope, raw, deleteOptionsKind, DELETE_OPTIONS, { fieldValidation: 'Ignore' })
}
