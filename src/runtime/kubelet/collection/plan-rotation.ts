/** Which files of a container's log to remove, compress and put aside (pure), as upstream's container log manager. */

export interface LogLimits {
  readonly fileBytesMax: number
  /** The one that is written to and those put aside. */
  readonly filesMax: number
}

/** containerLogMaxSize and containerLogMaxFiles. */
export const LOG_LIMITS: LogLimits = { fileBytesMax: 10 * 1024 * 1024, filesMax: 5 }

export interface LogFiles {
  /** Name of the file that is written to. */
  readonly current: string
  /** Undefined when it is missing. */
  readonly currentBytes: number | undefined
  /** All names in its directory. */
  readonly names: readonly string[]
  readonly nowMs: number
}

export interface RotationPlan {
  readonly remove: readonly string[]
  readonly compress: readonly string[]
  /** What the present file is called from now on. */
  readonly rotateTo?: string
}

const COMPRESSED = '.gz'
const UNFINISHED = '.tmp'
/** Beside the files put aside there are the present one and the one that comes now. */
const NOT_ASIDE = 2

export function planRotation(files: LogFiles, limits: LogLimits): RotationPlan | null {
  const { currentBytes } = files
  // Whoever took the file away is followed by a new one.
  if (currentBytes !== undefined && currentBytes < limits.fileBytesMax) return null
  const aside = asideOf(files.current, files.names)
  const unfinished = aside.filter(name => name.endsWith(UNFINISHED))
  const doubled = aside.filter(name => aside.includes(`${name}${COMPRESSED}`))
  const unused = [...unfinished, ...doubled]
  const kept = aside.filter(name => !unused.includes(name))
  const excess = kept.slice(0, Math.max(0, kept.length - Math.max(0, limits.filesMax - NOT_ASIDE)))
  const compress = kept.filter(name => !excess.includes(name) && !name.endsWith(COMPRESSED))
  const plan = { remove: [...unused, ...excess], compress }
  const rotateTo = `${files.current}.${stampOf(files.nowMs)}`
  const isTaken = files.names.some(name => name === rotateTo || name === `${rotateTo}${COMPRESSED}`)
  return currentBytes === undefined || isTaken ? plan : { ...plan, rotateTo }
}

/** Files put aside, the oldest first. */
export function asideOf(current: string, names: readonly string[]): string[] {
  return names.filter(name => name.startsWith(`${current}.`)).sort()
}

/** `20260102-150405`. */
export function stampOf(nowMs: number): string {
  const [day = '', time = ''] = new Date(nowMs).toISOString().replaceAll(/[-:]/g, '').split('T')
  return `${day}-${time.slice(0, 6)}`
}
