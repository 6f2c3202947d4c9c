/** Failures that cross a thread. */
import { Mk8sError, messageOf, systemCodeOf } from '../../base/errors.ts'
import type { ThreadFailure } from './thread-messages.ts'

const diskCodes = new Set([
  'ENOSPC',
  'EROFS',
  'EIO',
  'EDQUOT',
  'EACCES',
  'EPERM',
  'EFBIG',
  'EMFILE',
  'ENOTDIR',
])

const DISK_HINT = 'check that the data directory is on a healthy disk that is writable and not full'

/**
 * Tells the main thread of an expected failure. Anything else is a bug: thrown outside of every handler, it
 * ends the thread, and the main thread gets it as it is.
 */
export function reportFailure(
  error: unknown,
  post: (message: { type: 'failed'; failure: ThreadFailure }) => void,
) {
  const failure = failureOf(error)
  if (failure !== null) post({ type: 'failed', failure })
  else
    setImmediate(() => {
      throw error
    })
}

/** Null for a bug. */
function failureOf(error: unknown): ThreadFailure | null {
  const known = error instanceof Mk8sError ? error : diskErrorOf(error)
  if (known === null) return null
  const { code, message, why = '', hint = '' } = known
  return { code, message, why, hint }
}

/** A refusal of the operating system as `store/disk`; null for anything else. */
export function diskErrorOf(error: unknown): Mk8sError | null {
  return diskCodes.has(systemCodeOf(error) ?? '') ? directoryError(error) : null
}

export function directoryError(error: unknown): Mk8sError {
  return new Mk8sError('store/disk', 'the data directory cannot be used', {
    why: messageOf(error),
    hint: DISK_HINT,
    cause: error,
  })
}

export function errorOf(failure: ThreadFailure): Mk8sError {
  const { why, hint } = failure
  return new Mk8sError(failure.code, failure.message, { ...(why && { why }), ...(hint && { hint }) })
}
