/** Moves a log that has grown too large out of the way of whoever writes it, and keeps a few of those. */
import { readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { LogLimits } from '../container-log.ts'

export interface RotationParts {
  readonly limits: LogLimits
  readonly nowMs: number
  /** Has the writer begin another file under the old name. */
  readonly reopen: () => Promise<void>
}

export async function rotateLog(path: string, { limits, nowMs, reopen }: RotationParts): Promise<void> {
  const found = await stat(path).catch(() => null)
  if (found === null || found.size < limits.fileBytesMax) return
  const stamp = new Date(nowMs).toISOString().replaceAll(/[-:.]/g, '')
  await rename(path, `${path}.${stamp}`)
  await reopen()
  const prefix = `${basename(path)}.`
  const old = (await readdir(dirname(path))).filter(name => name.startsWith(prefix)).sort()
  const tooMany = old.slice(0, Math.max(0, old.length - (limits.filesMax - 1)))
  for (const name of tooMany) await rm(join(dirname(path), name), { force: true })
}
