/**
 * What the leader has a process of its own do: make a backup, bring it to the target, and take away what retention no
 * longer keeps. A process of its own, because the daemon's memory and time are for others.
 */
import { type ErrorCode, errorCodes, Mk8sError } from '../../../base/errors.ts'
import { runHeldProgram } from '../../../host/programs.ts'
import { isMap } from '../../../kube/json-map.ts'
import type { FileOwner } from './retention.ts'

/** One line of JSON on the standard input of the process, which ends as soon as that input does. */
export interface BackupJob {
  readonly to: string
  /** Of the Secret, in base64. */
  readonly credentials: Readonly<Record<string, string>>
  readonly sealing:
    | { readonly type: 'none' }
    | { readonly type: 'public-key'; readonly publicKey: string }
    /** In base64. */
    | { readonly type: 'passphrase'; readonly passphrase: string }
  readonly owner: FileOwner
  readonly file: string
  /** What is taken for the result if it is there: a run whose leader was lost. */
  readonly earlier: string | null
  readonly keep: number | null
  readonly keepForMs: number | null
}

export interface BackupJobResult {
  readonly file: string
  readonly bytes: number
  readonly revision: number | null
  readonly removed: readonly string[]
  readonly retentionError: string
}

/** The words that this program is called with for it; the process finds the node by its directory. */
export const JOB_COMMAND = ['backup', 'run-job']
/** How long a backup may take, with its way to the target. */
const JOB_MS_MAX = 2 * 60 * 60_000

export interface StartJobParts {
  readonly program: string
  readonly dataDir: string
}

/** Throws what the process says that failed. When `signal` is aborted, the process is ended first. */
export async function startJob(
  job: BackupJob,
  { program, dataDir }: StartJobParts,
  signal: AbortSignal,
): Promise<BackupJobResult> {
  const { stdout, stderr, exitCode, timedOut } = await runHeldProgram(
    program,
    [...JOB_COMMAND, '--data-dir', dataDir],
    { line: JSON.stringify(job), timeoutMs: JOB_MS_MAX, signal },
  )
  const answer = parseAnswer(stdout)
  if (isMap(answer?.['result'])) return answer['result'] as unknown as BackupJobResult
  if (isMap(answer?.['error'])) throw failureOf(answer['error'])
  const last = stderr.trim().split('\n').slice(-3).join('; ').slice(0, 1_000)
  throw new Mk8sError('host/program-failed', 'the process that makes the backup ended before its time', {
    why: timedOut ? `it took more than ${JOB_MS_MAX / 60_000} minutes` : `exit code ${exitCode}: ${last}`,
    hint: 'look at the memory and the disks of the server; then mk8s backup schedule run',
  })
}

function parseAnswer(text: string): Record<string, unknown> | null {
  try {
    const answer: unknown = JSON.parse(text)
    return isMap(answer) ? answer : null
  } catch {
    return null
  }
}

function failureOf({ code, message, why, hint }: Readonly<Record<string, unknown>>): Mk8sError {
  const known = typeof code === 'string' && Object.hasOwn(errorCodes, code) ? (code as ErrorCode) : null
  return new Mk8sError(known ?? 'host/program-failed', String(message), {
    ...(typeof why === 'string' && { why }),
    ...(typeof hint === 'string' && { hint }),
  })
}
