/**
 * A backup of a target as a private file of this machine, for as long as it is looked into or restored: its size is
 * known and bounded before a byte is fetched, and the room for it is there.
 */
import { readdirSync, rmSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { Mk8sError } from '../../../base/errors.ts'
import { nearest } from '../../../base/nearest.ts'
import type { Random } from '../../../base/random.ts'
import { BACKUP_EXTENSION } from '../describe-backup.ts'
import { writeFileWhole } from '../output.ts'
import { timeInName } from '../schedule/retention.ts'
import type { BackupTarget, TargetFile } from './target.ts'

/** No backup is larger: the store bounds its state far below. */
const FETCH_BYTES_MAX = 64 * 2 ** 30
/** Of the disk, beside the file. */
const SPARE_BYTES = 16 * 2 ** 20
const NAMES_SHOWN_MAX = 3
const FETCHED = /^fetched-(\d+)-[0-9a-f]+\.mk8sbackup/

export interface FetchParts {
  /** Where the file is put, mode 0600; whoever asks removes it. */
  readonly directory: string
  readonly random: Random
  readonly signal: AbortSignal
  /** What has to go when the process ends before its time. */
  readonly leftovers: Set<string>
  readonly onBegin: (bytes: number) => void
}

/** Returns the path. Throws `config/unreadable` for a file that is not there, not whole or too large, `host/disk`. */
export async function fetchBackup(
  target: BackupTarget,
  name: string,
  { directory, random, signal, leftovers, onBegin }: FetchParts,
): Promise<string> {
  const files = await target.list(signal)
  const file = files.find(found => found.name === name)
  if (file === undefined) throw notThere(target, name, files)
  if (file.bytes > FETCH_BYTES_MAX)
    throw unreadable(target, name, `it has ${file.bytes} bytes, and a backup at most ${FETCH_BYTES_MAX}`)
  removeAbandoned(directory)
  mustHaveRoom(directory, file.bytes)
  onBegin(file.bytes)
  const path = join(directory, `fetched-${process.pid}-${Buffer.from(random.bytes(8)).toString('hex')}`)
  const to = `${path}${BACKUP_EXTENSION}`
  leftovers.add(to)
  try {
    await writeFileWhole(to, exactly(target, file, signal), { force: false, leftovers })
    return to
  } catch (error) {
    rmSync(to, { force: true })
    leftovers.delete(to)
    throw error instanceof Mk8sError && error.code === 'host/disk' ? noRoom(directory, error.why) : error
  }
}

async function* exactly(
  target: BackupTarget,
  { name, bytes }: TargetFile,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let count = 0
  for await (const piece of target.get(name, signal)) {
    count += piece.length
    if (count > bytes)
      throw unreadable(target, name, `it has more than the ${bytes} bytes that it is said to have`)
    yield piece
  }
  if (count < bytes) throw unreadable(target, name, `only ${count} of its ${bytes} bytes came`)
}

/** The whole backups of a target, the newest first: by the times in their names, or else by when they came there. */
export function newestFirst(files: readonly TargetFile[]): readonly string[] {
  return files
    .filter(({ name }) => name.endsWith(BACKUP_EXTENSION))
    .toSorted((a, b) => b.modifiedMs - a.modifiedMs)
    .map(({ name }) => name)
}

/** Of this schedule and this generation of the cluster; another one's could be of another state altogether. */
export async function newestOf(
  target: BackupTarget,
  owner: { readonly clusterId: string; readonly schedule: string },
  signal: AbortSignal,
): Promise<string> {
  const files = await target.list(signal)
  const own = files
    .map(({ name }) => ({ name, atMs: timeInName(owner, name) ?? 0 }))
    .filter(({ atMs }) => atMs > 0)
    .toSorted((a, b) => b.atMs - a.atMs)
  const newest = own[0]?.name
  if (newest !== undefined) return newest
  const { clusterId, schedule } = owner
  throw new Mk8sError(
    'config/unreadable',
    `${target.url} has no backup of the schedule ${schedule} of this cluster, ${clusterId.slice(0, 8)}`,
    {
      why: whatIsThere(files),
      hint: 'a cluster that was restored has a new id: name the file that is meant',
    },
  )
}

export const whatIsThere = (files: readonly TargetFile[]): string => {
  const names = newestFirst(files)
  if (names.length === 0) return 'there is no backup at all'
  const rest = names.length > NAMES_SHOWN_MAX ? `, and ${names.length - NAMES_SHOWN_MAX} older` : ''
  return `the newest there: ${names.slice(0, NAMES_SHOWN_MAX).join(', ')}${rest}`
}

function notThere(target: BackupTarget, name: string, files: readonly TargetFile[]): Mk8sError {
  const near = nearest(name, newestFirst(files))
  const why = `there is no such file; ${whatIsThere(files)}`
  const hint = near === undefined ? 'mk8s backup list tells what is there' : `did you mean ${near}?`
  return new Mk8sError('config/unreadable', `cannot read ${name} of ${target.url}`, { why, hint })
}

const unreadable = (target: BackupTarget, name: string, why: string): Mk8sError =>
  new Mk8sError('config/unreadable', `cannot read ${name} of ${target.url}`, { why })

function mustHaveRoom(directory: string, bytes: number): void {
  const { bavail, bsize } = statfsSync(directory)
  const free = bavail * bsize
  if (free >= bytes + SPARE_BYTES) return
  const mebibytes = (count: number) => `${Math.ceil(count / 2 ** 20)} MiB`
  throw noRoom(directory, `it needs ${mebibytes(bytes + SPARE_BYTES)}; ${mebibytes(free)} are free`)
}

const noRoom = (directory: string, why: string | undefined): Mk8sError =>
  new Mk8sError('host/disk', `the backup cannot be fetched into ${directory}`, {
    ...(why === undefined ? {} : { why }),
    hint: 'make room there; without a node on this machine, TMPDIR says where',
  })

/** Of processes that were killed before they could tidy up. */
function removeAbandoned(directory: string): void {
  for (const name of readdirSync(directory)) {
    const pid = Number(FETCHED.exec(name)?.[1] ?? 0)
    if (pid === 0 || isAlive(pid)) continue
    try {
      rmSync(join(directory, name), { force: true })
    } catch {
      // Somebody else's.
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as { code?: unknown }).code === 'EPERM'
  }
}
