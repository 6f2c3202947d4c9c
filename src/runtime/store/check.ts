/**
 * Reads everything that the datastore has on disk, while it runs: the checksum of every frame of the log, and
 * SQLite's own check of the database. Changes nothing.
 */
import { Mk8sError, messageOf } from '../../base/errors.ts'
import { silentLog } from '../../base/log.ts'
import type { Disk, DiskFile } from './log/disk.ts'
import { type RecoveredLog, recoverLog } from './log/recovery.ts'

/** The log is written while it is read, so a finding counts only when the next attempt finds the very same. */
const ATTEMPTS_MAX = 50

export interface LogCheck {
  readonly segments: number
  /** Bytes of intact frames in the newest segment, and of whole segments before it. */
  readonly bytes: number
  /** Sentences; empty when all is well. */
  readonly findings: readonly string[]
}

export async function checkLog(disk: Disk): Promise<LogCheck> {
  let finding = ''
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    const opened: DiskFile[] = []
    try {
      return describe(await recoverLog(noting(disk, opened), Number.POSITIVE_INFINITY, silentLog))
    } catch (error) {
      const found = sentenceOf(error)
      if (found === finding) break
      finding = found
    } finally {
      for (const file of opened) file.close()
    }
  }
  return { segments: 0, bytes: 0, findings: [finding] }
}

/** The same disk; the files opened on it are noted. */
function noting(disk: Disk, opened: DiskFile[]): Disk {
  return {
    ...disk,
    async open(name) {
      const file = await disk.open(name)
      opened.push(file)
      return file
    },
  }
}

function describe(log: RecoveredLog | null): LogCheck {
  if (log === null) return { segments: 0, bytes: 0, findings: ['there is no log'] }
  const full = log.segments.slice(0, -1).reduce((sum, { file }) => sum + file.size, 0)
  return {
    segments: log.segments.length,
    bytes: full + log.end,
    findings: [],
  }
}

function sentenceOf(error: unknown): string {
  const why = error instanceof Mk8sError && error.why !== undefined ? `: ${error.why}` : ''
  return `${messageOf(error)}${why}`
}
