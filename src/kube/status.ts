/**
 * Kubernetes' Status object and the error that carries it, with one constructor for each answer that
 * kube-apiserver gives: its code, reason, message and details.
 */
import { errorCodes, Mk8sError, messageOf } from '../base/errors.ts'
import type { FieldError } from './field-error.ts'

export interface StatusCause {
  reason?: string
  message?: string
  field?: string
}

export interface StatusDetails {
  name?: string
  group?: string
  kind?: string
  uid?: string
  causes?: StatusCause[]
  retryAfterSeconds?: number
}

export interface Status {
  kind: 'Status'
  apiVersion: 'v1'
  metadata: { resourceVersion?: string; continue?: string; remainingItemCount?: number }
  status: 'Success' | 'Failure'
  message?: string
  reason?: string
  details?: StatusDetails
  code?: number
}

/** A resource in its group; `ResourceInfo` is one. */
export interface GroupResource {
  readonly group: string
  readonly resource: string
}

/** A kind in its group; `ResourceInfo` is one. */
export interface GroupKind {
  readonly group: string
  readonly kind: string
}

/** What an API client is told when its request fails. */
export class StatusError extends Error {
  override readonly name = 'StatusError'
  readonly status: Status

  constructor(status: Status, options?: { cause?: unknown }) {
    super(status.message ?? '', options)
    this.status = status
  }

  /** HTTP status code. */
  get code(): number {
    return this.status.code ?? 500
  }

  get reason(): string {
    return this.status.reason ?? ''
  }
}

/** `deployments.apps`; `pods` in the core group. */
export function qualifiedName(target: GroupResource): string {
  return target.group === '' ? target.resource : `${target.resource}.${target.group}`
}

const qualifiedKind = (target: GroupKind): string =>
  target.group === '' ? target.kind : `${target.kind}.${target.group}`

function failure(code: number, reason: string, message: string, details?: StatusDetails): StatusError {
  return new StatusError({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message,
    reason,
    ...(details === undefined ? {} : { details }),
    code,
  })
}

function detailsOf(target: GroupResource, name: string, more: StatusDetails = {}): StatusDetails {
  return {
    ...(name === '' ? {} : { name }),
    ...(target.group === '' ? {} : { group: target.group }),
    ...(target.resource === '' ? {} : { kind: target.resource }),
    ...more,
  }
}

const named = (target: GroupResource, name: string): string =>
  `${qualifiedName(target)} ${JSON.stringify(name)}`

export const notFound = (target: GroupResource, name: string): StatusError =>
  failure(404, 'NotFound', `${named(target, name)} not found`, detailsOf(target, name))

/** A path that no resource is served at. */
export const noSuchPath = (): StatusError =>
  failure(404, 'NotFound', 'the server could not find the requested resource', {})

export const alreadyExists = (target: GroupResource, name: string): StatusError =>
  failure(409, 'AlreadyExists', `${named(target, name)} already exists`, detailsOf(target, name))

/** No free name was found for a generateName. */
export const generateNameConflict = (
  target: GroupResource,
  name: string,
  retryAfterSeconds = 1,
): StatusError =>
  failure(
    409,
    'AlreadyExists',
    `${named(target, name)} already exists, the server was not able to generate a unique name for the object`,
    detailsOf(target, name, { retryAfterSeconds }),
  )

export const MODIFIED =
  'the object has been modified; please apply your changes to the latest version and try again'

export const conflict = (target: GroupResource, name: string, why: string = MODIFIED): StatusError =>
  failure(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${named(target, name)}: ${why}`,
    detailsOf(target, name),
  )

/** A precondition of a delete or an update does not hold. */
export function preconditionFailed(
  target: GroupResource,
  name: string,
  of: { readonly field: 'UID' | 'ResourceVersion'; readonly wanted: string; readonly found: string },
): StatusError {
  const why = `Precondition failed: ${of.field} in precondition: ${of.wanted}, ${of.field} in object meta: ${of.found}`
  return conflict(target, name, why)
}

/** The errors of validation in one message: bare when there is one, in brackets when there are more. */
export function aggregateMessage(errors: readonly FieldError[]): string {
  const lines = [...new Set(errors.map(error => `${error.field}: ${error.message}`))]
  return lines.length === 1 ? (lines[0] ?? '') : `[${lines.join(', ')}]`
}

export function invalid(target: GroupKind, name: string, errors: readonly FieldError[]): StatusError {
  const head = `${qualifiedKind(target)} ${JSON.stringify(name)} is invalid`
  const causes = errors.map(error => ({
    reason: error.type,
    message: error.message,
    field: error.field,
  }))
  const message = errors.length === 0 ? head : `${head}: ${aggregateMessage(errors)}`
  return failure(422, 'Invalid', message, {
    ...(name === '' ? {} : { name }),
    ...(target.group === '' ? {} : { group: target.group }),
    ...(target.kind === '' ? {} : { kind: target.kind }),
    ...(causes.length === 0 ? {} : { causes }),
  })
}

export const badRequest = (message: string): StatusError => failure(400, 'BadRequest', message)

export const unauthorized = (message = 'Unauthorized'): StatusError => failure(401, 'Unauthorized', message)

/** `why` is the authorizer's or the admission plugin's sentence. No resource: `forbidden: …`. */
export function forbidden(target: GroupResource, name: string, why: string): StatusError {
  if (target.resource === '') return failure(403, 'Forbidden', `forbidden: ${why}`, {})
  const head = name === '' ? qualifiedName(target) : named(target, name)
  return failure(403, 'Forbidden', `${head} is forbidden: ${why}`, detailsOf(target, name))
}

/** What `forbiddenRequest` needs of a request; `RequestAttributes` is one. */
export interface ForbiddenAttributes extends GroupResource {
  readonly user: { readonly username: string }
  readonly verb: string
  readonly isResource: boolean
  readonly path: string
  readonly subresource: string
  readonly namespace: string
  readonly name: string
}

/** The sentence of a refusal: who may not do what and where. */
export function forbiddenMessage(attributes: ForbiddenAttributes): string {
  const user = `User ${JSON.stringify(attributes.user.username)} cannot ${attributes.verb}`
  if (!attributes.isResource) return `${user} path ${JSON.stringify(attributes.path)}`
  const { resource, subresource } = attributes
  const full = subresource === '' ? resource : `${resource}/${subresource}`
  const where =
    attributes.namespace === ''
      ? 'at the cluster scope'
      : `in the namespace ${JSON.stringify(attributes.namespace)}`
  return `${user} resource ${JSON.stringify(full)} in API group ${JSON.stringify(attributes.group)} ${where}`
}

/** The authorizer said no. */
export function forbiddenRequest(attributes: ForbiddenAttributes, reason = ''): StatusError {
  const sentence = forbiddenMessage(attributes)
  const why = reason === '' ? sentence : `${sentence}: ${reason}`
  const target = attributes.isResource ? attributes : { group: '', resource: '' }
  return forbidden(target, attributes.name, why)
}

export const methodNotSupported = (target: GroupResource, action: string): StatusError =>
  failure(
    405,
    'MethodNotAllowed',
    `${action} is not supported on resources of kind ${JSON.stringify(qualifiedName(target))}`,
    detailsOf(target, ''),
  )

/** A method that the path does not know at all. */
export const methodNotAllowed = (): StatusError =>
  failure(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource', {})

export const notAcceptable = (accepted: readonly string[]): StatusError =>
  failure(406, 'NotAcceptable', `only the following media types are accepted: ${accepted.join(', ')}`)

/** An object that cannot be written in protobuf. */
export const noProtobufForm = ({ version, kind }: { version: string; kind: string }): StatusError =>
  failure(
    406,
    'NotAcceptable',
    `object *${version}.${kind} does not implement the protobuf marshalling interface and cannot be encoded to a ` +
      'protobuf message',
  )

export const unsupportedMediaType = (accepted: readonly string[]): StatusError =>
  failure(
    415,
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')}`,
  )

export const requestEntityTooLarge = (message: string): StatusError =>
  failure(413, 'RequestEntityTooLarge', `Request entity too large: ${message}`)

export const tooManyRequests = (message: string, retryAfterSeconds = 1): StatusError =>
  failure(429, 'TooManyRequests', message, { retryAfterSeconds })

export const timeout = (message: string, retryAfterSeconds = 0): StatusError =>
  failure(504, 'Timeout', `Timeout: ${message}`, retryAfterSeconds > 0 ? { retryAfterSeconds } : {})

/** A resourceVersion from the future. */
export const resourceVersionTooLarge = (wanted: number, current: number): StatusError =>
  failure(504, 'Timeout', `Timeout: Too large resource version: ${wanted}, current: ${current}`, {
    causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
    retryAfterSeconds: 1,
  })

/** A resourceVersion or a continue token whose history is compacted. */
export const resourceVersionExpired = (message: string): StatusError => failure(410, 'Expired', message)

/** What upstream says of errors that it has no name for: 500 without a reason. */
export const plainFailure = (message: string): StatusError =>
  new StatusError({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, code: 500 })

/** Another form of the object than what the path has. */
export const noSuchForm = (message: string): StatusError => failure(406, 'NotAcceptable', message)

export const internalError = (error: unknown): StatusError =>
  new StatusError(
    failure(500, 'InternalError', `Internal error occurred: ${messageOf(error)}`, {
      causes: [{ message: messageOf(error) }],
    }).status,
    { cause: error },
  )

export const serviceUnavailable = (message: string): StatusError =>
  failure(503, 'ServiceUnavailable', message)

const RETRY_AFTER_SECONDS = 1

/** The Status of anything thrown: itself, by the table of error codes, or an internal error. */
export function statusErrorFrom(error: unknown): StatusError {
  if (error instanceof StatusError) return error
  if (!(error instanceof Mk8sError)) return internalError(error)
  const info = errorCodes[error.code]
  const details = info.retry ? { retryAfterSeconds: RETRY_AFTER_SECONDS } : undefined
  const message = error.why === undefined ? error.message : `${error.message}: ${error.why}`
  return new StatusError(failure(info.status, info.reason, message, details).status, { cause: error })
}

/** The body of a success that returns no object. */
export function successStatus(target: GroupResource, name: string, uid?: string): Status {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: detailsOf(target, name, uid === undefined ? {} : { uid }),
  }
}
