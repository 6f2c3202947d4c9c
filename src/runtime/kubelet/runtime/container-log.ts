/**
 * Container logs in CRI's format: `<RFC 3339 with nanoseconds> stdout|stderr F|P <text>`. Lines longer than
 * 16 KiB are cut into partial ones (P). The kubelet renames a file that grew too long and has it opened anew.
 */
import { type FileHandle, mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Clock } from '../../../base/clock.ts'

export type LogStream = 'stdout' | 'stderr'

const LINE_BYTES_MAX = 16 * 1024
const NEWLINE = 0x0a

/** RFC 3339 with nine digits; the clock gives milliseconds, the rest keeps lines of one moment in order. */
export function renderLogTime(nowMs: number, sequence = 0): string {
  const iso = new Date(nowMs).toISOString()
  return `${iso.slice(0, -1)}${String(sequence % 1_000_000).padStart(6, '0')}Z`
}

/** Writes both streams of one container into one file. */
export class ContainerLogWriter {
  readonly #path: string
  readonly #clock: Clock
  readonly #rest: Record<LogStream, Buffer> = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) }
  #file: FileHandle | null = null
  #sequence = 0
  #lastMs = 0
  #tail: Promise<void> = Promise.resolve()

  constructor(path: string, clock: Clock) {
    this.#path = path
    this.#clock = clock
  }

  /** Opens the file for appending, so that an adopted container goes on where it was. */
  async open(): Promise<void> {
    await mkdir(dirname(this.#path), { recursive: true, mode: 0o755 })
    this.#file = await open(this.#path, 'a', 0o640)
  }

  /** Resolves when the whole lines of the chunk are in the file. Waiting for it bounds what is in memory. */
  write(stream: LogStream, chunk: Uint8Array): Promise<void> {
    const { lines, rest } = this.#split(stream, chunk)
    this.#rest[stream] = rest
    return this.#append(lines)
  }

  /** After the file was renamed: what comes next goes into a new one. */
  reopen(): Promise<void> {
    const done = this.#tail.then(async () => {
      if (this.#file === null) return
      const next = await open(this.#path, 'a', 0o640)
      await this.#file.close()
      this.#file = next
    })
    this.#tail = done.catch(() => {})
    return done
  }

  /** Writes what has no newline yet, and closes. */
  async close(): Promise<void> {
    for (const stream of ['stdout', 'stderr'] as const) {
      const rest = this.#rest[stream]
      this.#rest[stream] = Buffer.alloc(0)
      if (rest.length > 0) await this.#append(this.#render(stream, 'F', rest))
    }
    await this.#tail
    await this.#file?.close()
    this.#file = null
  }

  #split(stream: LogStream, chunk: Uint8Array): { lines: Buffer; rest: Buffer } {
    const data = Buffer.concat([this.#rest[stream], chunk])
    const parts: Buffer[] = []
    let start = 0
    while (start < data.length) {
      const end = data.indexOf(NEWLINE, start)
      const lineEnd = end === -1 ? data.length : end
      if (lineEnd - start > LINE_BYTES_MAX) {
        parts.push(this.#render(stream, 'P', data.subarray(start, start + LINE_BYTES_MAX)))
        start += LINE_BYTES_MAX
        continue
      }
      if (end === -1) break
      parts.push(this.#render(stream, 'F', data.subarray(start, end)))
      start = end + 1
    }
    return { lines: Buffer.concat(parts), rest: Buffer.from(data.subarray(start)) }
  }

  #render(stream: LogStream, tag: 'F' | 'P', text: Uint8Array): Buffer {
    const now = this.#clock.now()
    this.#sequence = now === this.#lastMs ? this.#sequence + 1 : 0
    this.#lastMs = now
    const head = Buffer.from(`${renderLogTime(now, this.#sequence)} ${stream} ${tag} `)
    return Buffer.concat([head, text, Buffer.from([NEWLINE])])
  }

  #append(bytes: Buffer): Promise<void> {
    if (bytes.length === 0) return this.#tail
    const done = this.#tail.then(async () => {
      if (this.#file === null) return
      await this.#file.write(bytes)
    })
    this.#tail = done.catch(() => {})
    return done
  }
}
