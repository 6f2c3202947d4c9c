/**
 * The records inside a frame: log entries as they are, and three of the log's own with types from 128 on.
 * All begin `type u8 · version u8 · reserved u16 · payload length u32`.
 */

import {
  ENTRY_FORMAT_VERSION,
  ENTRY_HEADER_BYTES,
  type Entry,
  readEntryHeader,
  readNumber,
  writeNumber,
} from '../../raft/entry.ts'
import { decodeConfiguration, encodeConfiguration } from '../../raft/membership.ts'
import type { Configuration } from '../../raft/messages.ts'
import type { HardState } from '../../raft/ready.ts'

const HARD_STATE = 128
const POSITION = 129
const RESTORE = 130
const RECORD_HEADER_BYTES = 8

/** What a segment needs to stand alone: the entry before its first one, and the membership there. */
export interface LogPosition {
  readonly index: number
  readonly term: number
  readonly configuration: Configuration
}

export type LogRecord =
  | { readonly kind: 'entry'; readonly entry: Entry }
  | { readonly kind: 'hard-state'; readonly hardState: HardState }
  | { readonly kind: 'position'; readonly position: LogPosition }
  /** A snapshot took the place of everything: the log begins anew behind it. */
  | { readonly kind: 'restore'; readonly position: LogPosition }

export function encodeHardState({ term, vote, commit }: HardState): Buffer {
  const bytes = recordOf(HARD_STATE, 24)
  for (const [place, value] of [term, vote, commit].entries()) {
    writeNumber(bytes, RECORD_HEADER_BYTES + 8 * place, value)
  }
  return bytes
}

export function encodePosition(position: LogPosition): Buffer {
  return positionRecord(POSITION, position)
}

export function encodeRestore(position: LogPosition): Buffer {
  return positionRecord(RESTORE, position)
}

function positionRecord(type: number, { index, term, configuration }: LogPosition): Buffer {
  const members = encodeConfiguration(configuration)
  const bytes = recordOf(type, 16 + members.length)
  writeNumber(bytes, RECORD_HEADER_BYTES, index)
  writeNumber(bytes, RECORD_HEADER_BYTES + 8, term)
  members.copy(bytes, RECORD_HEADER_BYTES + 16)
  return bytes
}

function recordOf(type: number, payloadBytes: number): Buffer {
  const bytes = Buffer.alloc(RECORD_HEADER_BYTES + payloadBytes)
  bytes.writeUInt8(type, 0)
  bytes.writeUInt8(ENTRY_FORMAT_VERSION, 1)
  bytes.writeUInt32LE(payloadBytes, 4)
  return bytes
}

/** All records of an intact frame; a string says why they make no sense. */
export function decodeRecords(bytes: Buffer): LogRecord[] | string {
  const records: LogRecord[] = []
  for (let offset = 0; offset < bytes.length; ) {
    if (bytes.length - offset < RECORD_HEADER_BYTES) return 'a record is cut off'
    const type = bytes.readUInt8(offset)
    const headerBytes = type >= 128 ? RECORD_HEADER_BYTES : ENTRY_HEADER_BYTES
    const end = offset + headerBytes + bytes.readUInt32LE(offset + 4)
    if (end > bytes.length) return 'a record is longer than its frame'
    const record = decodeRecord(type, bytes.subarray(offset, end))
    if (record === null) return `a record has the unknown type ${type}`
    records.push(record)
    offset = end
  }
  return records
}

function decodeRecord(type: number, bytes: Buffer): LogRecord | null {
  const at = (offset: number) => readNumber(bytes, RECORD_HEADER_BYTES + offset)
  if (type === HARD_STATE) {
    return { kind: 'hard-state', hardState: { term: at(0), vote: at(8), commit: at(16) } }
  }
  if (type === POSITION || type === RESTORE) {
    const configuration = decodeConfiguration(bytes.subarray(RECORD_HEADER_BYTES + 16))
    const position = { index: at(0), term: at(8), configuration }
    return { kind: type === POSITION ? 'position' : 'restore', position }
  }
  const header = type < 128 ? readEntryHeader(bytes) : null
  if (header === null) return null
  const { index, term } = header
  return { kind: 'entry', entry: { type, index, term, bytes: Buffer.from(bytes) } }
}
