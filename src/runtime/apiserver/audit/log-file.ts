/**
 * The file of the audit log: one line for each event, written behind the requests, never before them. A full file is
 * put aside under its time; so many of these are kept, for so long. What comes faster than the disk writes is lost,
 * and counted.
 */

import type { FileHandle } from 'node:fs/promises'
import { mkdir, open, readdir, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Clock } from '../../../base/clock.ts'
import type { Component } from '../../../base/component.ts'
import type { Log } from '../../../base/log.ts'
import { rename } from '../../../host/rename.ts'

/** So much may wait for the disk. */
const WAITING_BYTES_MAX = 16 * 1024 * 1024
/** How often losses are told in the daemon's log. */
const TOLD_EVERY_MS = 60_000
const DAY_MS = 86_400_000
const MEBIBYTE = 1024 * 1024

export interface AuditFileParts {
  readonly path: string
  readonly maxSizeMiB: number
  readonly maxBackups: number
  readonly maxAgeDays: number
  readonly clock: Pick<Clock, 'now'>
  readonly log: Log
}

export interface AuditFile extends Component {
  /** Takes a line, without its end. Never waits and never throws. */
  write(line: string): void
}

export function createAuditFile(parts: AuditFileParts): AuditFile {
  return new RotatedFile(parts)
}

class RotatedFile implements AuditFile {
  readonly name = 'audit-log'
  readonly #parts: AuditFileParts
  #file: FileHandle | null = null
  #size = 0
  #waiting: string[] = []
  #waitingBytes = 0
  #lost = 0
  #toldAtMs = 0
  #writing: Promise<void> | null = null
  #problem = ''

  constructor(parts: AuditFileParts) {
    this.#parts = parts
  }

  async prepare(): Promise<void> {}

  async start(): Promise<void> {
    await mkdir(dirname(this.#parts.path), { recursive: true, mode: 0o700 })
    await this.#open()
    await this.#forget()
  }

  async stop(): Promise<void> {
    await this.#writing
    await this.#file?.close()
    this.#file = null
  }

  health() {
    return { ok: this.#problem === '', reason: this.#problem }
  }

  write(line: string): void {
    if (this.#waitingBytes + line.length > WAITING_BYTES_MAX) {
      this.#lost += 1
      this.#tell()
      return
    }
    this.#waiting.push(line)
    this.#waitingBytes += line.length
    this.#writing ??= this.#drain()
  }

  /** Everything that waits goes out in one write; what comes meanwhile is the next. */
  async #drain(): Promise<void> {
    // Lines of the same moment go together.
    await new Promise<void>(resolve => setImmediate(resolve))
    while (this.#waiting.length > 0) {
      const lines = this.#waiting
      this.#waiting = []
      this.#waitingBytes = 0
      const bytes = Buffer.from(`${lines.join('\n')}\n`)
      try {
        if (this.#size > 0 && this.#size + bytes.length > this.#parts.maxSizeMiB * MEBIBYTE)
          await this.#rotate()
        await this.#file?.appendFile(bytes)
        this.#size += bytes.length
        this.#problem = ''
      } catch (error) {
        this.#lost += lines.length
        this.#problem = 'the audit log cannot be written'
        this.#tell(error)
      }
    }
    this.#writing = null
  }

  async #open(): Promise<void> {
    this.#file = await open(this.#parts.path, 'a', 0o600)
    this.#size = (await this.#file.stat()).size
  }

  async #rotate(): Promise<void> {
    const { path, clock } = this.#parts
    await this.#file?.close()
    this.#file = null
    const time = new Date(clock.now()).toISOString().replace('Z', '').replaceAll(':', '-')
    await rename(path, path.replace(/\.log$/, `-${time}.log`))
    await this.#open()
    await this.#forget()
  }

  /** The names of earlier files sort by time. */
  async #forget(): Promise<void> {
    const { path, maxBackups, maxAgeDays, clock } = this.#parts
    const stem = basename(path, '.log')
    const earlier = (await readdir(dirname(path))).filter(name => timeIn(name, stem) !== null).sort()
    const oldest = clock.now() - maxAgeDays * DAY_MS
    const gone = earlier.filter((name, at) => {
      const ageOver = (timeIn(name, stem) ?? 0) < oldest
      return ageOver || at < earlier.length - maxBackups
    })
    for (const name of gone) await rm(join(dirname(path), name), { force: true })
  }

  #tell(error?: unknown): void {
    const now = this.#parts.clock.now()
    if (now - this.#toldAtMs < TOLD_EVERY_MS) return
    this.#toldAtMs = now
    this.#parts.log.error('events of the audit log were lost', {
      lost: this.#lost,
      ...(error ? { error } : {}),
    })
  }
}

function timeIn(name: string, stem: string): number | null {
  if (!name.startsWith(`${stem}-`) || !name.endsWith('.log')) return null
  const [date = '', time = ''] = name.slice(stem.length + 1, -'.log'.length).split('T')
  const ms = Date.parse(`${date}T${time.replaceAll('-', ':')}Z`)
  return Number.isNaN(ms) ? null : ms
}
