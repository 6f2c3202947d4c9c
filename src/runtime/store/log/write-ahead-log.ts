/**
 * The write-ahead log: zero-filled, recycled segments, written in flush frames. One flush is in flight at a
 * time and everything that waits joins the next one. A failure ends the log for good: nobody can know any
 * more what the disk holds.
 */
import { must } from '../../../base/assert.ts'
import type { Clock } from '../../../base/clock.ts'
import { Mk8sError, messageOf } from '../../../base/errors.ts'
import type { Log } from '../../../base/log.ts'
import type { Random } from '../../../base/random.ts'
import type { Entry } from '../../raft/entry.ts'
import type { HardState } from '../../raft/ready.ts'
import type { Disk } from './disk.ts'
import { FlushTimes } from './flush-times.ts'
import {
  encodeSegmentHeader,
  FRAME_BYTES_MAX,
  FRAME_HEADER_BYTES,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
  SUCCEEDED,
  SUCCEEDED_AT,
  sealFrame,
} from './frame.ts'
import { LogEnd } from './log-end.ts'
import { encodeHardState, encodePosition, encodeRestore, type LogPosition } from './records.ts'
import { type RecoveredLog, type Segment, segmentName } from './recovery.ts'

export const SEGMENT_BYTES = 16 * 1024 * 1024
/** A first segment that is there at once; the next ones are zero-filled in the background. */
const SEGMENT_FIRST_BYTES = 1024 * 1024
const SPARES_MAX = 2
/** Entries of one frame; the rest of FRAME_BYTES_MAX is room for one large entry more. */
const FRAME_ENTRIES_BYTES_MAX = FRAME_BYTES_MAX / 2
/** A segment has this name while it is being filled with zeros. */
const FILLING_NAME = 'filling.wal'

export interface LogIdentity {
  readonly member: number
  /** 16 bytes. */
  readonly cluster: Buffer
}

export interface WriteAheadLogParts {
  readonly disk: Disk
  readonly random: Random
  readonly clock: Pick<Clock, 'monotonic'>
  readonly log: Log
  readonly identity: LogIdentity
  /** A write or a flush failed: the log is dead and nothing of it was acknowledged. */
  readonly onFailed: (error: Mk8sError) => void
  readonly segmentBytes?: number
}

export interface LogWrite {
  /** A snapshot takes the place of everything before `entries`. */
  readonly restore?: LogPosition | null
  readonly hardState: HardState | null
  readonly entries: readonly Entry[]
  readonly done: () => void
}

export class WriteAheadLog {
  readonly flushTimes = new FlushTimes()
  readonly #parts: WriteAheadLogParts
  readonly #segmentBytes: number
  readonly #segments: Segment[]
  readonly #spares: string[]
  #end: number
  #nextSequence: number
  #hardState: HardState
  #hardStateWritten: HardState
  readonly #logEnd: LogEnd
  #waiting: LogWrite[] = []
  #frame: Buffer = Buffer.allocUnsafeSlow(64 * 1024)
  #flushing: Promise<void> | null = null
  #filling: Promise<void> | null = null
  #dropping: Promise<void> = Promise.resolve()
  #spareCount = 0
  #dead = false

  private constructor(parts: WriteAheadLogParts, start: RecoveredLog) {
    this.#parts = parts
    this.#segmentBytes = parts.segmentBytes ?? SEGMENT_BYTES
    this.#segments = start.segments
    this.#spares = start.spares
    this.#end = start.end
    this.#nextSequence = start.nextSequence
    this.#hardState = start.hardState
    this.#hardStateWritten = start.hardState
    this.#logEnd = new LogEnd(start.position, start.entries)
  }

  /**
   * Goes on behind what recovery found. A process that was killed may have left writes, and names of files, in
   * the page cache that were never flushed: they have to be made durable before anybody relies on them.
   */
  static async resume(parts: WriteAheadLogParts, recovered: RecoveredLog): Promise<WriteAheadLog> {
    await recovered.segments.at(-1)?.file.flush()
    await parts.disk.flushDirectory()
    return new WriteAheadLog(parts, recovered)
  }

  /** Begins a log where there is none. */
  static async create(parts: WriteAheadLogParts, position: LogPosition): Promise<WriteAheadLog> {
    const hardState = { term: 0, vote: 0, commit: 0 }
    const start = { segments: [], spares: [], end: 0, nextSequence: 1, hardState, position, entries: [] }
    const wal = new WriteAheadLog(parts, start)
    await wal.#roll(Math.min(SEGMENT_FIRST_BYTES, wal.#segmentBytes))
    return wal
  }

  /** Bytes of all segments in use, the current one counted as far as it is written. */
  get bytes(): number {
    const full = this.#segments.slice(0, -1).reduce((total, segment) => total + segment.file.size, 0)
    return full + this.#end
  }

  /** Segments that only wait for their entries to be durable elsewhere. */
  get fullSegments(): number {
    return Math.max(0, this.#segments.length - 1)
  }

  append(write: LogWrite): void {
    if (this.#dead) return
    this.#waiting.push(...splitWrite(write))
    this.#flushing ??= this.#flushAll()
  }

  /** Entries up to `index` are durable elsewhere: full segments that hold nothing else are recycled. */
  dropTo(index: number): void {
    let count = 0
    for (const [at, next] of this.#segments.slice(1).entries()) {
      if (must(this.#segments[at], 'a segment').lastIndex > index) break
      if (next.standsAlone) count = at + 1
    }
    const droppable = this.#segments.splice(0, count)
    if (droppable.length === 0) return
    this.#dropping = this.#dropping
      .then(() => this.#recycle(droppable))
      .catch((error: unknown) => this.#fail('recycle a log segment', error))
  }

  /** Waits for what is being written and closes the files. */
  async close(): Promise<void> {
    while (this.#flushing !== null) await this.#flushing
    await this.#filling
    await this.#dropping
    this.#dead = true
    for (const segment of this.#segments) segment.file.close()
  }

  async #flushAll(): Promise<void> {
    try {
      await undefined
      while (this.#waiting.length > 0 && !this.#dead) {
        const writes = this.#takeWaiting()
        const records = writes.flatMap(recordsOf)
        for (const write of writes) this.#hardState = write.hardState ?? this.#hardState
        // A moved commit index alone promises nothing: it goes with the next frame.
        if (records.length > 0 || !hasSameVote(this.#hardState, this.#hardStateWritten)) {
          await this.#writeFrame(writes, records)
        }
        for (const write of writes) write.done()
      }
    } catch (error) {
      this.#fail('write the log', error)
    } finally {
      this.#flushing = null
    }
  }

  /** Everything that waits, as far as it fits into one frame. */
  #takeWaiting(): LogWrite[] {
    let bytes = 0
    const end = this.#waiting.findIndex((write, index) => {
      bytes += sizeOf(write.entries)
      return index > 0 && bytes > FRAME_ENTRIES_BYTES_MAX
    })
    return this.#waiting.splice(0, end === -1 ? this.#waiting.length : end)
  }

  async #writeFrame(writes: readonly LogWrite[], records: Buffer[]): Promise<void> {
    const hardState = this.#hardState
    if (hardState !== this.#hardStateWritten) records.unshift(encodeHardState(hardState))
    const bytes = records.reduce((total, record) => total + record.length, FRAME_HEADER_BYTES)
    this.flushTimes.begin(this.#parts.clock.monotonic())
    const segment = this.#segments.at(-1)
    if (segment === undefined || this.#end + bytes > segment.file.size) await this.#roll(this.#segmentBytes)
    const first = this.#end === SEGMENT_HEADER_BYTES
    const all = first
      ? [encodePosition(this.#logEnd.position), encodeHardState(hardState), ...records]
      : records
    const current = must(this.#segments.at(-1), 'a current segment')
    const frame = this.#buildFrame(all)
    sealFrame(frame, current.header.salt, this.#nextSequence)
    current.file.write(frame, this.#end)
    await current.file.flush()
    this.flushTimes.end(this.#parts.clock.monotonic())
    this.#end += frame.length
    this.#nextSequence++
    this.#hardStateWritten = hardState
    if (first) current.startIndex = this.#logEnd.position.index
    for (const write of writes) this.#advance(write, current)
    current.lastIndex = this.#logEnd.position.index
    if (this.#end > current.file.size / 2) this.#maybeFillSpare()
  }

  #advance({ restore, entries }: LogWrite, current: Segment): void {
    if (restore) {
      this.#logEnd.restore(restore)
      for (const segment of this.#segments) segment.lastIndex = Math.min(segment.lastIndex, restore.index)
    }
    const first = entries[0]
    if (first !== undefined && first.index <= current.startIndex) current.standsAlone = false
    this.#logEnd.append(entries, this.#hardState.commit)
  }

  #buildFrame(records: readonly Buffer[]): Buffer {
    const length = FRAME_HEADER_BYTES + records.reduce((total, record) => total + record.length, 0)
    if (this.#frame.length < length) this.#frame = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(length)))
    const frame = this.#frame.subarray(0, length)
    let offset = FRAME_HEADER_BYTES
    for (const record of records) offset += record.copy(frame, offset)
    return frame
  }

  /** Begins the next segment: header first, then its name, then the mark, each durable before the next step. */
  async #roll(size: number): Promise<void> {
    await this.#filling
    let spare = this.#spares.shift()
    if (spare === undefined) {
      spare = await this.#createSpare(size)
    }
    const number = (this.#segments.at(-1)?.number ?? 0) + 1
    const { member, cluster } = this.#parts.identity
    const salt = Buffer.from(this.#parts.random.bytes(8))
    const header: SegmentHeader = { salt, number, firstSequence: this.#nextSequence, member, cluster }
    const name = segmentName(number)
    const file = await this.#parts.disk.open(spare)
    file.write(encodeSegmentHeader(header), 0)
    await file.flush()
    await this.#parts.disk.rename(spare, name)
    await this.#parts.disk.flushDirectory()
    const previous = this.#segments.at(-1)
    previous?.file.write(SUCCEEDED, SUCCEEDED_AT)
    await previous?.file.flush()
    const { index } = this.#logEnd.position
    this.#segments.push({
      name,
      number,
      file,
      header,
      lastIndex: index,
      startIndex: index,
      standsAlone: true,
    })
    this.#end = SEGMENT_HEADER_BYTES
  }

  #maybeFillSpare(): void {
    if (this.#spares.length > 0 || this.#filling !== null) return
    this.#filling = this.#createSpare(this.#segmentBytes)
      .then(name => void this.#spares.push(name))
      .catch((error: unknown) => this.#fail('create a log segment', error))
      .finally(() => {
        this.#filling = null
      })
  }

  async #createSpare(size: number): Promise<string> {
    const name = this.#nextSpareName()
    await this.#parts.disk.createZeroed(FILLING_NAME, size)
    await this.#parts.disk.rename(FILLING_NAME, name)
    return name
  }

  async #recycle(segments: readonly Segment[]): Promise<void> {
    for (const { name, file } of segments) {
      file.close()
      if (file.size < this.#segmentBytes || this.#spares.length >= SPARES_MAX) {
        await this.#parts.disk.remove(name)
        continue
      }
      const spare = this.#nextSpareName()
      await this.#parts.disk.rename(name, spare)
      await this.#parts.disk.flushDirectory()
      this.#spares.push(spare)
    }
  }

  #nextSpareName(): string {
    for (;;) {
      const name = `spare-${++this.#spareCount}.wal`
      if (!this.#spares.includes(name)) return name
    }
  }

  #fail(what: string, cause: unknown): void {
    if (this.#dead) return
    this.#dead = true
    this.#waiting = []
    this.#parts.onFailed(
      new Mk8sError('store/disk', `could not ${what}`, {
        why: messageOf(cause),
        hint: 'check that the disk is healthy, writable and not full, then start the node again',
        cause,
      }),
    )
  }
}

function hasSameVote(a: HardState, b: HardState): boolean {
  return a.term === b.term && a.vote === b.vote
}

function recordsOf({ restore, entries }: LogWrite): Buffer[] {
  const records = entries.map(entry => entry.bytes)
  return restore ? [encodeRestore(restore), ...records] : records
}

function sizeOf(entries: readonly Entry[]): number {
  return entries.reduce((total, entry) => total + entry.bytes.length, 0)
}

/** A write that is too large for one frame becomes several; the last one is the one that is done. */
function splitWrite(write: LogWrite): LogWrite[] {
  if (sizeOf(write.entries) <= FRAME_ENTRIES_BYTES_MAX) return [write]
  const parts: Entry[][] = [[]]
  let bytes = 0
  for (const entry of write.entries) {
    bytes += entry.bytes.length
    if (bytes > FRAME_ENTRIES_BYTES_MAX && parts.at(-1)?.length !== 0) {
      parts.push([])
      bytes = entry.bytes.length
    }
    parts.at(-1)?.push(entry)
  }
  return parts.map((entries, index) => ({
    entries,
    hardState: index === 0 ? write.hardState : null,
    restore: index === 0 ? (write.restore ?? null) : null,
    done: index === parts.length - 1 ? write.done : () => {},
  }))
}
