/** The names of a schedule's files at its target, and which of them are not to be kept any longer. Pure. */
import { BACKUP_EXTENSION } from '../describe-backup.ts'
import { PART_SUFFIX, type TargetFile } from '../targets/target.ts'

/** Whose files: another cluster, or another schedule, may use the same target. */
export interface FileOwner {
  readonly clusterId: string
  readonly schedule: string
}

const TIME = '(\\d{4})(\\d{2})(\\d{2})T(\\d{2})(\\d{2})(\\d{2})Z'

/** `mk8s-<cluster>-<schedule>-<time>.mk8sbackup`, in order of time. */
export function fileNameOf({ clusterId, schedule }: FileOwner, atMs: number): string {
  const time = new Date(atMs)
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replaceAll(/[-:]/g, '')
  return `mk8s-${clusterId.slice(0, 8)}-${schedule}-${time}${BACKUP_EXTENSION}`
}

const NAME_STEP_MS = 1_000

/** The name for a run that begins now, a few seconds later where runs of the same second have it already. */
export function untakenFileName(owner: FileOwner, nowMs: number, taken: readonly string[]): string {
  const name = fileNameOf(owner, nowMs)
  return taken.includes(name) ? untakenFileName(owner, nowMs + NAME_STEP_MS, taken) : name
}

/** When a file was begun by its name; null for a file that is not this schedule's, or not whole. */
export function timeInName({ clusterId, schedule }: FileOwner, name: string): number | null {
  const prefix = `mk8s-${clusterId.slice(0, 8)}-${schedule}-`
  if (!name.startsWith(prefix) || !name.endsWith(BACKUP_EXTENSION)) return null
  const parts = new RegExp(`^${TIME}$`).exec(name.slice(prefix.length, -BACKUP_EXTENSION.length))
  if (parts === null) return null
  const [year, month, day, hour, minute, second] = parts.slice(1).map(Number)
  const ms = Date.UTC(year ?? 0, (month ?? 1) - 1, day, hour, minute, second)
  return fileNameOf({ clusterId, schedule }, ms) === name ? ms : null
}

export interface Retention {
  readonly owner: FileOwner
  readonly keep: number | null
  readonly keepForMs: number | null
  /** Names of files that stay in any case. */
  readonly spared: readonly string[]
  readonly nowMs: number
}

/** A file goes only when no rule keeps it; the newest one stays in any case. Without rules all stay. */
export function expiredFiles(files: readonly TargetFile[], retention: Retention): readonly string[] {
  const { owner, keep, keepForMs, spared, nowMs } = retention
  if (keep === null && keepForMs === null) return []
  const own = files
    .map(({ name }) => ({ name, atMs: timeInName(owner, name) }))
    .filter((file): file is { name: string; atMs: number } => file.atMs !== null)
    .toSorted((a, b) => b.atMs - a.atMs)
  const isKept = ({ name, atMs }: { name: string; atMs: number }, rank: number) =>
    rank === 0 ||
    spared.includes(name) ||
    (keep !== null && rank < keep) ||
    (keepForMs !== null && nowMs - atMs <= keepForMs)
  return own.filter((file, rank) => !isKept(file, rank)).map(({ name }) => name)
}

/** What earlier runs of this schedule have left without finishing it. */
export function leftoverFiles(files: readonly TargetFile[], owner: FileOwner): readonly string[] {
  const begin = (name: string) => name.slice(0, name.indexOf(BACKUP_EXTENSION) + BACKUP_EXTENSION.length)
  return files
    .map(({ name }) => name)
    .filter(name => name.endsWith(PART_SUFFIX) && timeInName(owner, begin(name)) !== null)
}
