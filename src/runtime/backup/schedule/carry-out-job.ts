/** Carries out a job of a schedule, in a process of its own: the backup, its way to the target, and retention there. */
import { createPublicKey } from 'node:crypto'
import type { Clock } from '../../../base/clock.ts'
import { Mk8sError, messageOf } from '../../../base/errors.ts'
import type { Random } from '../../../base/random.ts'
import { type CreateBackupParts, createBackup } from '../create-backup.ts'
import type { SealingKey } from '../keys.ts'
import { openTarget } from '../targets/open-target.ts'
import type { BackupTarget } from '../targets/target.ts'
import type { BackupJob, BackupJobResult } from './backup-job.ts'
import { expiredFiles, leftoverFiles } from './retention.ts'

export interface CarryOutParts {
  readonly copy: CreateBackupParts['copy']
  readonly pkiDirectory: string
  readonly clock: Clock
  readonly random: Random
  /** What has to go when the process ends before its time. */
  readonly leftovers: Set<string>
  readonly signal: AbortSignal
}

type Made = Pick<BackupJobResult, 'file' | 'bytes' | 'revision'>

/** A target that cannot be tidied up makes no backup a failure: the result says so. */
export async function carryOutJob(job: BackupJob, parts: CarryOutParts): Promise<BackupJobResult> {
  const { signal, clock, random } = parts
  const target = openTarget(job.to, credentialsOf(job), { clock, random })
  const made = (await findEarlier(job, target, signal)) ?? (await make(job, target, parts))
  const removed: string[] = []
  try {
    await tidy(job, made.file, { target, signal, nowMs: clock.now(), removed })
    return { ...made, removed, retentionError: '' }
  } catch (error) {
    signal.throwIfAborted()
    const why = error instanceof Mk8sError && error.why !== undefined ? `: ${error.why}` : ''
    return { ...made, removed, retentionError: `${messageOf(error)}${why}` }
  }
}

const credentialsOf = ({ credentials }: BackupJob): ReadonlyMap<string, Buffer> =>
  new Map(Object.entries(credentials).map(([name, text]) => [name, Buffer.from(text, 'base64')]))

/** A file has its name only once it is whole, so the run that was lost had only its result left to tell. */
async function findEarlier(
  { earlier }: BackupJob,
  target: BackupTarget,
  signal: AbortSignal,
): Promise<Made | null> {
  if (earlier === null) return null
  const found = (await target.list(signal)).find(({ name }) => name === earlier)
  return found === undefined ? null : { file: found.name, bytes: found.bytes, revision: null }
}

async function make(job: BackupJob, target: BackupTarget, parts: CarryOutParts): Promise<Made> {
  const sealing = sealingKeyOf(job)
  return await createBackup({ ...parts, sealing }, async ({ manifest, bytes }) => {
    const put = await target.put(job.file, bytes(), parts.signal)
    return { file: job.file, bytes: put.bytes, revision: manifest.revision }
  })
}

function sealingKeyOf({ sealing }: BackupJob): SealingKey | null {
  if (sealing.type === 'none') return null
  return sealing.type === 'passphrase'
    ? { kind: 'passphrase', passphrase: Buffer.from(sealing.passphrase, 'base64') }
    : { kind: 'public-key', key: createPublicKey(sealing.publicKey) }
}

interface Tidying {
  readonly target: BackupTarget
  readonly signal: AbortSignal
  readonly nowMs: number
  /** What is gone, also when something fails. */
  readonly removed: string[]
}

async function tidy(
  job: BackupJob,
  made: string,
  { target, signal, nowMs, removed }: Tidying,
): Promise<void> {
  const { owner, keep, keepForMs } = job
  const files = await target.list(signal)
  for (const name of leftoverFiles(files, owner)) await target.remove(name, signal)
  for (const name of expiredFiles(files, { owner, keep, keepForMs, nowMs, spared: [made] })) {
    await target.remove(name, signal)
    removed.push(name)
  }
}
