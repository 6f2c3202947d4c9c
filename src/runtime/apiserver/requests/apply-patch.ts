/** PATCH with a configuration: server-side apply, which creates what does not exist. */

import { messageOf } from '../../../base/errors.ts'
import type { KubeResponse } from '../../../client/transport.ts'
import { applyConfiguration } from '../../../kube/apply/apply.ts'
import { configurationProblems, problemsText } from '../../../kube/apply/check-configuration.ts'
import { CborError, decodeCbor } from '../../../kube/cbor/cbor.ts'
import { JsonError, parseJson } from '../../../kube/json.ts'
import type { GroupVersionKind } from '../../../kube/model-types.ts'
import type { Json, KubeObject } from '../../../kube/object.ts'
import {
  badRequest,
  conflict,
  forbiddenRequest,
  plainFailure,
  requestEntityTooLarge,
  StatusError,
} from '../../../kube/status.ts'
import { readYaml } from '../../../kube/yaml.ts'
import { mediaTypeOf } from '../negotiation/media-types.ts'
import type { RequestAttributes } from '../ports.ts'
import { toStorage } from '../storage/conversion.ts'
import { apiVersionOf } from '../storage/served-resource.ts'
import type { Written } from './commit.ts'
import { callerOf, placeInNamespace } from './create.ts'
import { createObject } from './create-object.ts'
import { decodeObject, internalResource } from './decode-body.ts'
import { applySchemaOf, applyTarget, type FieldTracker } from './field-tracking.ts'
import { negotiated, type RequestScope } from './scope.ts'
import { settled } from './settled.ts'
import { updateObject } from './update-object.ts'
import { type ApplyOptions, type FieldValidation, parseApplyOptions } from './write-options.ts'
import { servedObject, writtenResponse } from './written-response.ts'

export const APPLY_PATCH = 'application/apply-patch+yaml'
export const APPLY_CBOR = 'application/apply-patch+cbor'
export const APPLY_TYPES: readonly string[] = [APPLY_PATCH, APPLY_CBOR, 'application/apply-patch+json']

const CONFIGURATION_BYTES_MAX = 3 * 1024 * 1024
/** An object that comes and goes at the same time is tried again so often. */
const TRIES_MAX = 5

export async function applyPatch(scope: RequestScope): Promise<KubeResponse> {
  negotiated(scope)
  const options = parseApplyOptions(scope.query)
  const config = readConfiguration(scope, scope.resource.info, options.fieldValidation)
  checkConfiguration(scope, config)
  const { created, written } = await applyOrCreate(scope, config, options)
  return writtenResponse(scope, created ? 201 : 200, written)
}

async function applyOrCreate(
  scope: RequestScope,
  config: KubeObject,
  options: ApplyOptions,
): Promise<{ readonly created: boolean; readonly written: Written }> {
  for (let attempt = 1; ; attempt++) {
    try {
      return { created: false, written: await applyToObject(scope, config, options) }
    } catch (error) {
      if (!isAbsent(scope, error)) throw error
    }
    try {
      return { created: true, written: await createApplied(scope, config, options) }
    } catch (error) {
      const isThere = error instanceof StatusError && error.reason === 'AlreadyExists'
      if (!isThere || attempt === TRIES_MAX) throw error
    }
  }
}

function isAbsent(scope: RequestScope, error: unknown): boolean {
  if (!(error instanceof StatusError) || error.code !== 404 || scope.info.subresource !== '') return false
  const { details } = error.status
  return details?.name === scope.info.name && details.kind === internalResource(scope).info.resource
}

const applyToObject = (scope: RequestScope, config: KubeObject, options: ApplyOptions): Promise<Written> => {
  const tracker = new AppliedTracker()
  return updateObject(scope.context, {
    resource: internalResource(scope),
    namespace: scope.info.namespace,
    name: scope.info.name,
    subresource: scope.info.subresource,
    caller: callerOf(scope, options.dryRun),
    tracker,
    isPatch: true,
    change: current => settled(() => applied(scope, current, config, options, tracker)),
  })
}

async function createApplied(
  scope: RequestScope,
  config: KubeObject,
  options: ApplyOptions,
): Promise<Written> {
  const { uid } = (config.metadata ?? {}) as KubeObject['metadata']
  if (uid) {
    const why = `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`
    throw conflict(scope.resource.info, scope.info.name, why)
  }
  await authorizeCreate(scope)
  const tracker = new AppliedTracker()
  const object = await settled(() => applied(scope, null, config, options, tracker))
  const caller = callerOf(scope, options.dryRun)
  return createObject(scope.context, { resource: internalResource(scope), object, caller, tracker })
}

/** Whoever may patch may not create by it what he may not create. */
async function authorizeCreate(scope: RequestScope): Promise<void> {
  const { info, user, context } = scope
  const attributes: RequestAttributes = {
    user,
    verb: 'create',
    isResource: true,
    path: info.path,
    group: info.group,
    version: info.version,
    resource: info.resource,
    subresource: info.subresource,
    namespace: info.namespace,
    name: info.name,
  }
  const decision = await context.authorizer.authorize(attributes)
  if (!decision.allowed) throw forbiddenRequest(attributes, decision.reason)
}

/** Hands on what the apply itself found out. */
export class AppliedTracker implements FieldTracker {
  entries: Json[] | undefined

  created(): Json[] | undefined {
    return this.entries
  }

  updated(): Json[] | undefined {
    return this.entries
  }
}

/** The object with the configuration in it, in the storage version. */
function applied(
  scope: RequestScope,
  current: KubeObject | null,
  config: KubeObject,
  options: ApplyOptions,
  tracker: AppliedTracker,
): KubeObject {
  const { resource } = scope
  const result = applyConfiguration({
    target: applyTarget(scope, { ...options, operation: 'Apply', subresource: scope.info.subresource }),
    live: current === null ? null : servedObject(scope, current),
    config,
    force: options.force,
  })
  tracker.entries = result.managedFields
  const decoded = decodeObject(scope, result.object, { fieldValidation: 'Ignore' })
  const { name } = decoded.metadata
  if (name !== scope.info.name) {
    throw badRequest(
      `the name of the object (${name ?? ''}) does not match the name on the URL (${scope.info.name})`,
    )
  }
  placeInNamespace(scope, decoded)
  const next = resource.servesStoredBytes ? decoded : toStorage(resource.info, decoded)
  resource.strategy.applyDefaults?.(next)
  return next
}

const kindText = ({ group, version, kind }: GroupVersionKind): string => `${group}/${version}, Kind=${kind}`

/** The body, which must be of the kind; throws 400. */
export function readConfiguration(
  scope: RequestScope,
  expected: GroupVersionKind,
  validation: FieldValidation,
): KubeObject {
  const body = scope.body ?? new Uint8Array()
  if (body.length > CONFIGURATION_BYTES_MAX)
    throw requestEntityTooLarge(`limit is ${CONFIGURATION_BYTES_MAX}`)
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  const isCbor = mediaTypeOf(scope.headers['content-type']) === APPLY_CBOR
  const value = isCbor ? parseCbor(bytes) : parseConfiguration(scope, bytes.toString('utf8'), validation)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badRequest(`error decoding ${isCbor ? 'CBOR' : 'YAML'}: the configuration is not an object`)
  }
  const config = value as KubeObject
  checkKind(config, expected)
  const metadata: unknown = config.metadata ?? {}
  const isMetadata = typeof metadata === 'object' && metadata !== null && !Array.isArray(metadata)
  const object = isMetadata ? { ...config, metadata: { ...metadata } } : config
  if (isMetadata && object.metadata.managedFields !== undefined && object.metadata.managedFields !== null) {
    throw badRequest('metadata.managedFields must be nil')
  }
  return object
}

function checkKind(config: KubeObject, expected: GroupVersionKind): void {
  const { apiVersion, kind }: { apiVersion?: unknown; kind?: unknown } = config
  if (apiVersion === apiVersionOf(expected.group, expected.version) && kind === expected.kind) return
  const [first = '', second] = String(apiVersion ?? '').split('/')
  const [group, version] = second === undefined ? ['', first] : [first, second]
  throw badRequest(`invalid object type: ${kindText({ group, version, kind: String(kind ?? '') })}`)
}

function parseCbor(bytes: Buffer): unknown {
  try {
    return decodeCbor(bytes)
  } catch (error) {
    if (error instanceof CborError) throw badRequest(`error decoding CBOR: ${error.message}`)
    throw error
  }
}

function parseConfiguration(scope: RequestScope, text: string, validation: FieldValidation): unknown {
  try {
    const { value, duplicates } = readEither(text, validation)
    if (duplicates === null || validation === 'Ignore') return value
    const problem = `error converting YAML to JSON: ${duplicates}`
    if (validation === 'Strict') throw badRequest(`error strict decoding YAML: ${problem}`)
    scope.warnings.push(problem)
    return value
  } catch (error) {
    if (error instanceof StatusError) throw error
    throw badRequest(`error decoding YAML: ${messageOf(error)}`)
  }
}

/** What begins like JSON may still be YAML. */
function readEither(text: string, validation: FieldValidation): ReturnType<typeof readYaml> {
  if (!text.trimStart().startsWith('{')) return readYaml(text)
  try {
    const { value, duplicateKeys } = parseJson(text, { findDuplicates: validation !== 'Ignore' })
    const lines = duplicateKeys.map(
      ({ key, line }) => `  line ${line}: key ${JSON.stringify(key)} already set in map`,
    )
    const duplicates = lines.length === 0 ? null : `yaml: unmarshal errors:\n${lines.join('\n')}`
    return { value, duplicates }
  } catch (error) {
    if (error instanceof JsonError) return readYaml(text)
    throw error
  }
}

/** Throws what upstream answers to fields that the kind does not have, or that have another type. */
function checkConfiguration(scope: RequestScope, config: KubeObject): void {
  const { context, resource } = scope
  const problems = configurationProblems(applySchemaOf(context, resource), config)
  if (problems.length === 0) return
  const { name = '', namespace = '' } = (config.metadata ?? {}) as KubeObject['metadata']
  const which = `${namespace}/${name}; ${kindText(resource.info)}`
  const message = `failed to create typed patch object (${which}): ${problemsText(problems)}`
  throw plainFailure(message)
}
