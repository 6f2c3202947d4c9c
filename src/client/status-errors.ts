/** From an HTTP answer to a StatusError, and the questions that callers ask of a caught one. */
import { noSuchPath, type Status, StatusError } from '../kube/status.ts'

/** The error of a non-2xx response; a body that is no Status is quoted. */
export function statusErrorOf(code: number, body: Buffer): StatusError {
  const text = body.toString('utf8')
  try {
    const parsed = JSON.parse(text) as { kind?: unknown }
    if (parsed !== null && parsed.kind === 'Status') return statusErrorOfObject(parsed)
  } catch {
    // Not JSON: a proxy or a non-resource path answers in plain text.
  }
  const message = text.slice(0, MESSAGE_CHARS_MAX)
  const details = { causes: [{ reason: UNEXPECTED, message }] }
  return statusErrorOfObject({ code, message, reason: reasonOf(code), details })
}

/** The cause that Kubernetes' own clients give an answer that is no Status. */
const UNEXPECTED = 'UnexpectedServerResponse'

const NO_SUCH_PATH = noSuchPath().message

const MESSAGE_CHARS_MAX = 2_048

/** The error of a Status that came as a body or as a watch's ERROR event. */
export function statusErrorOfObject(object: object): StatusError {
  const given = object as Partial<Status>
  return new StatusError({
    ...given,
    apiVersion: 'v1',
    kind: 'Status',
    metadata: {},
    status: 'Failure',
    message: given.message ?? '',
    reason: given.reason ?? reasonOf(given.code ?? 500),
    code: given.code ?? 500,
  } as Status)
}

function reasonOf(code: number): string {
  switch (code) {
    case 401:
      return 'Unauthorized'
    case 403:
      return 'Forbidden'
    case 404:
      return 'NotFound'
    case 409:
      return 'Conflict'
    case 410:
      return 'Gone'
    case 429:
      return 'TooManyRequests'
    case 503:
      return 'ServiceUnavailable'
    default:
      return code >= 500 ? 'InternalError' : 'BadRequest'
  }
}

const hasReason = (error: unknown, ...reasons: string[]): boolean =>
  error instanceof StatusError && reasons.includes(error.status.reason ?? '')

export const isNotFound = (error: unknown): boolean => hasReason(error, 'NotFound')
export const isConflict = (error: unknown): boolean => hasReason(error, 'Conflict')
export const isAlreadyExists = (error: unknown): boolean => hasReason(error, 'AlreadyExists')
export const isInvalid = (error: unknown): boolean => hasReason(error, 'Invalid')
/** The resourceVersion or continue token is too old: list again from the start. */
export const isExpired = (error: unknown): boolean => hasReason(error, 'Expired', 'Gone')
/** The answer was no Status: nobody who speaks Kubernetes gave it. */
export const isUnexpectedResponse = (error: unknown): boolean =>
  error instanceof StatusError &&
  (error.status.details?.causes ?? []).some(cause => cause.reason === UNEXPECTED)
/** The path was not found, and not an object: nobody serves its kind now, or no Kubernetes server has answered. */
export const isNoSuchPath = (error: unknown): boolean =>
  isNotFound(error) && (isUnexpectedResponse(error) || (error as StatusError).message === NO_SUCH_PATH)
/** A namespace that is being deleted takes no new objects; nothing is wrong. */
export const isNamespaceTerminating = (error: unknown): boolean =>
  error instanceof StatusError &&
  (error.status.details?.causes ?? []).some(cause => cause.reason === 'NamespaceTerminating')

/** For `catch`: swallows errors that are fine where they come, such as that of an object that is gone already. */
export const unless =
  (isFine: (error: unknown) => boolean) =>
  (error: unknown): void => {
    if (!isFine(error)) throw error
  }
