/** Reads the whole write-ahead log at start: what it holds, where it goes on, or why it cannot be trusted. */

import { must } from '../../../base/assert.ts'
import { Mk8sError } from '../../../base/errors.ts'
import type { Log } from '../../../base/log.ts'
import { ENTRY_HEADER_BYTES, type Entry, entryTypes } from '../../raft/entry.ts'
import { decodeConfiguration } from '../../raft/membership.ts'
import type { Configuration } from '../../raft/messages.ts'
import type { HardState } from '../../raft/ready.ts'
import { CORRUPT_HINT } from '../sqlite/sqlite-files.ts'
import type { Disk, DiskFile } from './disk.ts'
import {
  decodeSegmentHeader,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
  SUCCEEDED,
  SUCCEEDED_AT,
} from './frame.ts'
import { decodeRecords, type LogPosition, type LogRecord } from './records.ts'
import { type ScanOutcome, scanSegment } from './segment-scan.ts'

export interface Segment {
  readonly name: string
  readonly number: number
  readonly file: DiskFile
  readonly header: SegmentHeader
  /** The greatest index of an entry in it (or before it). */
  lastIndex: number
  /** The last index before its first frame. */
  startIndex: number
  /** False when an entry in it replaces one before it: then it makes sense only behind the segments before. */
  standsAlone: boolean
}

export interface RecoveredLog {
  readonly segments: Segment[]
  readonly spares: string[]
  /** Where the next frame goes. */
  readonly end: number
  readonly nextSequence: number
  readonly hardState: HardState
  /** The state as of `after`, or of the log's beginning when that is later. */
  readonly position: LogPosition
  /** Entries behind `position`. */
  readonly entries: Entry[]
}

export function corrupt(message: string, why: string, fields: Record<string, unknown> = {}): Mk8sError {
  return new Mk8sError('store/corrupt', message, { why, hint: CORRUPT_HINT, fields })
}

export function segmentName(number: number): string {
  return `${number.toString().padStart(16, '0')}.wal`
}

const SEGMENT_NAME = /^\d{16}\.wal$/
const SPARE_NAME = /^spare-.*\.wal$/

/** Null when there is no log. `after` is the last index that the caller needs no more. */
export async function recoverLog(disk: Disk, after: number, log: Log): Promise<RecoveredLog | null> {
  const names = await disk.list()
  const segmentNames = names.filter(name => SEGMENT_NAME.test(name)).sort()
  const spares = names.filter(name => SPARE_NAME.test(name))
  if (segmentNames.length === 0) return null
  const reader = new LogReader(after, log)
  for (const name of segmentNames) reader.read(name, await disk.open(name), name === segmentNames.at(-1))
  return reader.result(spares)
}

class LogReader {
  readonly #after: number
  readonly #log: Log
  readonly #segments: Segment[] = []
  #hardState: HardState = { term: 0, vote: 0, commit: 0 }
  /** Where the log begins. */
  #base: LogPosition | null = null
  /** The memberships behind the base, as far as entries that are not kept brought them. */
  #configurations: { readonly index: number; readonly configuration: Configuration }[] = []
  #position: LogPosition | null = null
  #entries: Entry[] = []
  #end = 0
  #nextSequence = 0
  #startIndex = 0
  #standsAlone = true
  /**
   * The segment replaces entries of one that is gone: both were being dropped when the power failed, and the next
   * segment says where the log begins.
   */
  #isLeftover = false

  constructor(after: number, log: Log) {
    this.#after = after
    this.#log = log
  }

  read(name: string, file: DiskFile, last: boolean): void {
    const header = this.#readHeader(name, file)
    this.#startIndex = this.#lastIndex
    this.#standsAlone = true
    const scan = scanSegment(file, header, records => this.#takeFrame(name, records))
    this.#check(name, scan, last)
    if (last && this.#isLeftover) throw corrupt('the log is damaged', 'the segments before it are missing')
    const { number } = header
    if (last && file.read(SUCCEEDED_AT, SUCCEEDED.length).equals(SUCCEEDED))
      throw corrupt('a log segment is missing', `${segmentName(number + 1)} should come behind ${name}`)
    const [startIndex, standsAlone] = [this.#startIndex, this.#standsAlone]
    const lastIndex = this.#isLeftover ? 0 : this.#lastIndex
    this.#segments.push({ name, number, file, header, lastIndex, startIndex, standsAlone })
    this.#end = scan.end
    this.#nextSequence = scan.nextSequence
  }

  #readHeader(name: string, file: DiskFile): SegmentHeader {
    const outcome = decodeSegmentHeader(file.read(0, SEGMENT_HEADER_BYTES))
    if (outcome.kind === 'unknown-version') {
      throw new Mk8sError('store/version', `log segment ${name} has the unknown format ${outcome.version}`, {
        hint: 'use the version of mk8s that wrote it, or a later one',
      })
    }
    if (outcome.kind === 'damaged')
      throw corrupt(`log segment ${name} is damaged`, 'its header cannot be read')
    const { header } = outcome
    const previous = this.#segments.at(-1)
    if (header.number !== Number.parseInt(name, 10)) {
      throw corrupt(`log segment ${name} is damaged`, `its header says ${header.number}`)
    }
    if (previous === undefined) return header
    if (header.number !== previous.number + 1) {
      throw corrupt(
        'a log segment is missing',
        `${segmentName(previous.number + 1)} should come before ${name}`,
      )
    }
    if (header.firstSequence !== this.#nextSequence) {
      const why = `it ends at frame ${this.#nextSequence}, the next one begins at ${header.firstSequence}`
      throw corrupt(`log segment ${previous.name} is damaged`, why)
    }
    return header
  }

  #check(name: string, scan: ScanOutcome, last: boolean): void {
    if (scan.laterFrameAt !== null) {
      const why = `the frame at byte ${scan.end} is not intact, and an intact one follows at ${scan.laterFrameAt}`
      throw corrupt(`log segment ${name} is damaged`, why, { offset: scan.end })
    }
    if (last && scan.torn) this.#log.warn('cut the torn tail of the log', { segment: name, offset: scan.end })
  }

  #takeFrame(name: string, bytes: Buffer): void {
    const records = decodeRecords(bytes)
    if (typeof records === 'string') throw corrupt(`log segment ${name} is damaged`, records)
    for (const record of records) this.#take(record)
  }

  #take(record: LogRecord): void {
    if (record.kind === 'hard-state') this.#hardState = record.hardState
    else if (record.kind === 'position') this.#takePosition(record.position)
    else if (record.kind === 'restore') this.#restore(record.position)
    else this.#takeEntry(record.entry)
  }

  #takePosition(position: LogPosition): void {
    if (this.#base === null || this.#isLeftover) this.#beginAt(position)
    this.#startIndex = position.index
  }

  #restore(position: LogPosition): void {
    this.#beginAt(position)
    for (const segment of this.#segments) segment.lastIndex = Math.min(segment.lastIndex, position.index)
  }

  #beginAt(position: LogPosition): void {
    this.#isLeftover = false
    this.#base = position
    this.#position = position
    this.#configurations = [position]
    this.#entries = []
  }

  #takeEntry(entry: Entry): void {
    const [base, position] = [this.#base, this.#position]
    if (base === null || position === null)
      throw corrupt('the log is damaged', 'its first segment does not say where it begins')
    if (entry.index <= base.index) {
      this.#isLeftover = true
      this.#standsAlone = false
    }
    if (this.#isLeftover) return
    if (entry.index > this.#lastIndex + 1) {
      throw corrupt('the log is damaged', `entry ${entry.index} follows entry ${this.#lastIndex}`)
    }
    if (entry.index <= this.#startIndex) this.#standsAlone = false
    // An index again: a later leader's entry replaces this one and all behind it, kept or not.
    if (entry.index > position.index) this.#entries.length = entry.index - position.index - 1
    if (entry.index <= this.#after && entry.index <= position.index + 1) this.#advance(entry)
    else this.#entries.push(entry)
  }

  /** Entries that the caller does not need are not kept: only their term and membership. */
  #advance({ index, term, type, bytes }: Entry): void {
    while ((this.#configurations.at(-1)?.index ?? 0) >= index) this.#configurations.pop()
    if (type === entryTypes.membership) {
      const configuration = decodeConfiguration(bytes.subarray(ENTRY_HEADER_BYTES))
      this.#configurations.push({ index, configuration })
    }
    const { configuration } = must(this.#configurations.at(-1), 'the membership at the base')
    this.#position = { index, term, configuration }
    this.#entries = []
  }

  get #lastIndex(): number {
    return (this.#position?.index ?? 0) + this.#entries.length
  }

  result(spares: string[]): RecoveredLog {
    const position = this.#position ?? {
      index: 0,
      term: 0,
      configuration: { voters: [], outgoing: [], learners: [] },
    }
    return {
      segments: this.#segments,
      spares,
      end: this.#end,
      nextSequence: this.#nextSequence,
      hardState: this.#hardState,
      position,
      entries: this.#entries,
    }
  }
}
