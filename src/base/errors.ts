/**
 * The one table of error codes and the one error class for expected failures.
 * From the table come the exit code, the HTTP status and reason, the retry decision and docs/errors.md.
 */

export interface ErrorCodeInfo {
  /** Process exit code: 1 failed, 2 usage, 3 no quorum or leader, 4 not running, 5 timed out, 6 refused. */
  readonly exit: 1 | 2 | 3 | 4 | 5 | 6
  /** HTTP status when the failure reaches an API client. */
  readonly status: number
  /** Kubernetes Status reason. */
  readonly reason: string
  /** Whether the same call may succeed later with nobody doing anything. */
  readonly retry: boolean
  /** One line for docs/errors.md. */
  readonly meaning: string
}

const failed = (meaning: string, over: Partial<ErrorCodeInfo> = {}): ErrorCodeInfo => ({
  exit: 1,
  status: 500,
  reason: 'InternalError',
  retry: false,
  meaning,
  ...over,
})

export const errorCodes = {
  'store/no-leader': failed('No member of the datastore leads, so nothing can be written.', {
    exit: 3,
    status: 503,
    reason: 'ServiceUnavailable',
    retry: true,
  }),
  'store/outcome-unknown': failed('The write was not answered in time; it may or may not have happened.', {
    exit: 5,
    status: 504,
    reason: 'Timeout',
  }),
  'store/fenced': failed('A write of an earlier term was refused because leadership has moved on.', {
    status: 409,
    reason: 'Conflict',
  }),
  'store/compacted': failed('The revision asked for is older than the oldest one kept.', {
    status: 410,
    reason: 'Expired',
  }),
  'store/future-revision': failed('The revision asked for has not happened yet.', {
    status: 504,
    reason: 'Timeout',
    retry: true,
  }),
  'store/too-large': failed('The value is larger than the store accepts.', {
    status: 413,
    reason: 'RequestEntityTooLarge',
  }),
  'store/overloaded': failed('Too many writes are waiting.', {
    status: 429,
    reason: 'TooManyRequests',
    retry: true,
  }),
  'store/no-lease': failed('The lease does not exist or has expired.', {
    status: 409,
    reason: 'Conflict',
  }),
  'store/lease-exists': failed('A lease with this id exists already.', {
    status: 409,
    reason: 'Conflict',
  }),
  'store/no-key': failed('The key whose value or lease a write was to keep does not exist.', {
    status: 409,
    reason: 'Conflict',
  }),
  'store/corrupt': failed('The data on disk is damaged; the node stops rather than guess.'),
  'store/disk': failed('The disk refused a write or a flush; the node stops rather than guess.'),
  'store/locked': failed('Another process uses this data directory.', { exit: 6 }),
  'store/version': failed('The data was written by a version that this one does not understand.', {
    exit: 6,
  }),
  'config/invalid': failed('A flag, variable or configuration file holds something that cannot be used.', {
    exit: 2,
    status: 400,
    reason: 'BadRequest',
  }),
  'config/unreadable': failed('A configuration file cannot be read or parsed.', { exit: 1 }),
  'pki/invalid': failed('A certificate or key is missing, damaged, or does not belong to its partner.', {
    exit: 6,
  }),
  'host/not-root': failed('The command needs root.', { exit: 6 }),
  'host/unsupported': failed('This machine cannot do what was asked.', { exit: 6 }),
  'host/port-taken': failed('A port that mk8s needs is in use.', { exit: 6 }),
  'host/address-gone': failed('The address of the node is on none of its network interfaces.', { exit: 6 }),
  'host/disk': failed('A directory cannot be written, or the disk is full.'),
  'host/program-failed': failed('A program that mk8s started failed.'),
  'host/program-missing': failed('A program that the command needs is not installed.'),
  'node/not-installed': failed('mk8s is not installed in this data directory.', { exit: 4 }),
  'node/not-running': failed('The daemon is not running.', { exit: 4 }),
  'node/already-installed': failed('mk8s is already installed here with other settings.', { exit: 6 }),
  'node/not-ready': failed('The node did not become ready in time.', { exit: 5 }),
  'node/removed': failed('The node was taken out of its cluster.', { exit: 6 }),
  'node/start-failed': failed('The daemon ended while it was starting.'),
  'kubelet/runtime': failed('The container runtime failed.'),
  'api/unreachable': failed('The API server cannot be reached.', {
    exit: 4,
    status: 503,
    reason: 'ServiceUnavailable',
    retry: true,
  }),
  'api/refused': failed('The API server refused the request.', { exit: 1 }),
  'backup/foreign': failed('The file is not a backup that mk8s made.'),
  'backup/truncated': failed('The backup ends too early: a part of the file is missing.'),
  'backup/damaged': failed('The backup does not hold what was written into it.'),
  'backup/version': failed('The backup has a format that this version does not understand.', { exit: 6 }),
  'backup/key': failed('The backup cannot be opened with the passphrase or key that was given.', { exit: 6 }),
  'backup/target': failed('The place where backups go cannot be reached, or refuses what is asked of it.'),
  'addon/unknown': failed('No repository has an add-on of this name.'),
  'addon/missing': failed(
    'Something that an add-on needs is not there: an image, a platform, another add-on.',
    {
      exit: 6,
    },
  ),
  'addon/not-ready': failed('An add-on did not become ready, or did not go, in time.', { exit: 5 }),
  'upgrade/unsigned': failed('A release is not signed with a key that this node trusts.', { exit: 6 }),
  'upgrade/damaged': failed('A release does not hold what its signed list of checksums says.', { exit: 6 }),
  'upgrade/source': failed('The place where releases come from cannot be read, or holds none.'),
  'upgrade/failed': failed('The new version did not become healthy, and the one before is back.'),
  timeout: failed('The command did not finish in the time it was given.', {
    exit: 5,
    status: 504,
    reason: 'Timeout',
  }),
  refused: failed('The command was refused because it would do harm.', { exit: 6 }),
  usage: failed('The command line is wrong.', { exit: 2, status: 400, reason: 'BadRequest' }),
} as const satisfies Record<string, ErrorCodeInfo>

export type ErrorCode = keyof typeof errorCodes

export interface Mk8sErrorOptions {
  /** Why it happened, in a sentence of its own, when the message alone does not say so. */
  readonly why?: string
  /** What to do next: a command or a sentence. */
  readonly hint?: string
  readonly fields?: Readonly<Record<string, unknown>>
  readonly cause?: unknown
}

/** An expected failure. Its message says what failed; `why` and `hint` say why and what to do next. */
export class Mk8sError extends Error {
  override readonly name = 'Mk8sError'
  readonly code: ErrorCode
  readonly why: string | undefined
  readonly hint: string | undefined
  readonly fields: Readonly<Record<string, unknown>>

  constructor(code: ErrorCode, message: string, options: Mk8sErrorOptions = {}) {
    super(message, { cause: options.cause })
    this.code = code
    this.why = options.why
    this.hint = options.hint
    this.fields = options.fields ?? {}
  }

  get info(): ErrorCodeInfo {
    return errorCodes[this.code]
  }
}

/** Exit codes that are not in the table: success, a bug, an interrupt. */
export const EXIT_OK = 0
export const EXIT_BUG = 70
export const EXIT_INTERRUPTED = 130

/** The text of any thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The system error code (`ENOENT`, `EADDRINUSE`, …) of a thrown value, if it has one. */
export function systemCodeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : undefined
}
