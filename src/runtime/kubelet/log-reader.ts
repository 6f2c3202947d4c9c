/** Reads a container's log file as `kubectl logs` wants it: tail, since, timestamps, limit, follow. */
import { createReadStream, watch } from 'node:fs'
import { type FileHandle, open, readdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { compose } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { asideOf, stampOf } from './collection/plan-rotation.ts'

export interface LogOptions {
  readonly follow: boolean
  /** Undefined: all lines. */
  readonly tailLines: number | undefined
  readonly sinceMs: number | undefined
  readonly timestamps: boolean
  readonly limitBytes: number | undefined
}

export interface LogSource {
  readonly path: string
  /** Resolves when nothing more will be written. */
  readonly ended: Promise<void>
  readonly signal: AbortSignal
}

const CHUNK_BYTES = 64 * 1_024
const NEWLINE = 0x0a

export interface LogLine {
  readonly time: string
  readonly stream: string
  readonly isPartial: boolean
  readonly text: Buffer
}

/** Null for a line that is not in CRI's format. */
export function parseLogLine(line: Buffer): LogLine | null {
  const first = line.indexOf(0x20)
  const second = line.indexOf(0x20, first + 1)
  const third = line.indexOf(0x20, second + 1)
  if (first === -1 || second === -1 || third === -1) return null
  const isPartial = line.toString('latin1', second + 1, third).startsWith('P')
  // conmon says it with an offset of zero hours; clients have always seen the short form.
  const time = line.toString('latin1', 0, first).replace(/\+00:00$/, 'Z')
  return {
    time,
    stream: line.toString('latin1', first + 1, second),
    isPartial,
    text: line.subarray(third + 1),
  }
}

/** The log's bytes; ends when the file does, or with `follow` when the container has ended. */
export async function* readLog(source: LogSource, options: LogOptions): AsyncGenerator<Buffer> {
  let left = options.limitBytes ?? Number.POSITIVE_INFINITY
  for await (const line of readLines(source, options)) {
    const parsed = parseLogLine(line)
    if (parsed === null || (options.sinceMs !== undefined && Date.parse(parsed.time) < options.sinceMs))
      continue
    const end = parsed.isPartial ? '' : '\n'
    const stamp = options.timestamps ? `${parsed.time} ` : ''
    const bytes = Buffer.concat([Buffer.from(stamp), parsed.text, Buffer.from(end)]).subarray(0, left)
    left -= bytes.length
    yield bytes
    if (left <= 0) return
  }
}

async function* readLines(source: LogSource, options: LogOptions): AsyncGenerator<Buffer> {
  let file = await open(source.path, 'r')
  try {
    let position = options.tailLines === undefined ? 0 : await tailPosition(file, options.tailLines)
    const changes = options.follow ? followChanges(source) : null
    const lines = new LineSplitter()
    for (;;) {
      // Asked before reading, so that what was written before the end is still read.
      const isLast = changes === null || changes.hasEnded()
      const successors = await successorsOf(file, source.path)
      for await (const chunk of readFrom(file, position)) {
        position += chunk.length
        yield* lines.split(chunk)
      }
      if (source.signal.aborted) return
      // Once there is a successor, nobody writes to this file, and it has just been read to its end.
      if (successors.length > 0) {
        for (const path of successors.slice(0, -1)) {
          for await (const chunk of readWhole(path)) yield* lines.split(chunk)
        }
        await file.close()
        file = await open(source.path, 'r')
        position = 0
        continue
      }
      if (isLast) return
      await changes?.next()
    }
  } finally {
    await file.close()
  }
}

/** Cuts bytes into lines, over the ends of chunks and files. */
class LineSplitter {
  #rest: Buffer = Buffer.alloc(0)

  split(chunk: Buffer): Buffer[] {
    const data = Buffer.concat([this.#rest, chunk])
    const lines: Buffer[] = []
    let start = 0
    for (let end = data.indexOf(NEWLINE); end !== -1; end = data.indexOf(NEWLINE, start)) {
      lines.push(data.subarray(start, end))
      start = end + 1
    }
    this.#rest = Buffer.from(data.subarray(start))
    return lines
  }
}

async function* readWhole(path: string): AsyncGenerator<Buffer> {
  const plain = createReadStream(path, { highWaterMark: CHUNK_BYTES })
  const bytes = path.endsWith('.gz') ? compose(plain, createGunzip()) : plain
  for await (const chunk of bytes) yield chunk as Buffer
}

async function* readFrom(file: FileHandle, start: number): AsyncGenerator<Buffer> {
  for (let position = start; ; ) {
    const buffer = Buffer.alloc(CHUNK_BYTES)
    const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, position)
    if (bytesRead === 0) return
    position += bytesRead
    yield buffer.subarray(0, bytesRead)
  }
}

/**
 * What was written after this file, which was rotated away under the reader: files put aside since then and the
 * present one; empty while it is the present one itself.
 */
async function successorsOf(file: FileHandle, path: string): Promise<string[]> {
  const [mine, current] = await Promise.all([file.stat(), stat(path).catch(() => null)])
  if (current === null || current.ino === mine.ino) return []
  const directory = dirname(path)
  const aside = asideOf(basename(path), await readdir(directory)).filter(name => !name.endsWith('.tmp'))
  let own = -1
  for (const [index, name] of aside.entries()) {
    const found = await stat(join(directory, name)).catch(() => null)
    if (found?.ino === mine.ino) own = index
  }
  // One that was compressed is another file: the first that was put aside since this one was written to.
  const isSince = (name: string) => name.slice(basename(path).length + 1) >= stampOf(mine.mtimeMs)
  const later = own === -1 ? aside.filter(isSince).slice(1) : aside.slice(own + 1)
  return [...later.map(name => join(directory, name)), path]
}

/** Where the last `lines` lines begin; read backwards. */
async function tailPosition(file: FileHandle, lines: number): Promise<number> {
  const { size } = await file.stat()
  if (lines === 0) return size
  let found = 0
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - CHUNK_BYTES)
    const buffer = Buffer.alloc(end - start)
    await file.read(buffer, 0, buffer.length, start)
    for (let at = buffer.length - 1; at >= 0; at--) {
      // The file's last newline ends the last line and begins none.
      if (buffer[at] !== NEWLINE || start + at === size - 1) continue
      found += 1
      if (found === lines) return start + at + 1
    }
    end = start
  }
  return 0
}

interface Changes {
  hasEnded(): boolean
  /** Resolves at the next change, the container's end, or when the reader has gone. */
  next(): Promise<void>
}

function followChanges({ path, ended, signal }: LogSource): Changes {
  let isOver = false
  let isDirty = false
  let wake = () => {}
  const touch = () => {
    isDirty = true
    wake()
  }
  // The directory, since rotation puts another file in the place of this one.
  const watcher = watch(dirname(path), { persistent: false }, touch)
  watcher.on('error', () => {})
  ended.then(() => {
    isOver = true
    watcher.close()
    touch()
  })
  signal.addEventListener('abort', () => {
    watcher.close()
    touch()
  })
  return {
    hasEnded: () => isOver,
    async next() {
      if (!isDirty) {
        await new Promise<void>(resolve => {
          wake = resolve
        })
      }
      isDirty = false
    },
  }
}

/** The last lines of a log, for a container that left no words of its own. */
export async function tailOfLog(path: string, limits: { lines: number; bytes: number }): Promise<string> {
  const options = { follow: false, tailLines: limits.lines, sinceMs: undefined, timestamps: false }
  const source = { path, ended: Promise.resolve(), signal: new AbortController().signal }
  const chunks: Buffer[] = []
  try {
    for await (const chunk of readLog(source, { ...options, limitBytes: undefined })) chunks.push(chunk)
  } catch {
    return ''
  }
  const all = Buffer.concat(chunks)
  return all.subarray(Math.max(0, all.length - limits.bytes)).toString('utf8')
}
