/**
 * A log entry and its bytes. The same bytes are in the log, on the wire and in the queues (ARCHITECTURE,
 * "Log entries"); the proposer writes them with index and term 0, the leader fills these two in.
 */
import { assert } from '../../base/assert.ts'

export const ENTRY_HEADER_BYTES = 40
export const ENTRY_FORMAT_VERSION = 1

export const entryTypes = {
  noOp: 1,
  transaction: 2,
  compaction: 3,
  leaseGrant: 4,
  leaseRevocation: 5,
  membership: 6,
  clusterVersion: 7,
  decision: 8,
} as const

export type EntryType = (typeof entryTypes)[keyof typeof entryTypes]

export interface Entry {
  readonly type: number
  readonly index: number
  readonly term: number
  /** The whole entry: header and payload. */
  readonly bytes: Buffer
}

export interface EntryHeader {
  readonly type: number
  readonly version: number
  readonly payloadBytes: number
  readonly index: number
  readonly term: number
  readonly proposer: number
  readonly request: number
}

/** The header at `offset`, or null when the bytes end before it does. */
export function readEntryHeader(bytes: Buffer, offset = 0): EntryHeader | null {
  if (bytes.length - offset < ENTRY_HEADER_BYTES) return null
  return {
    type: bytes.readUInt8(offset),
    version: bytes.readUInt8(offset + 1),
    payloadBytes: bytes.readUInt32LE(offset + 4),
    index: readNumber(bytes, offset + 8),
    term: readNumber(bytes, offset + 16),
    proposer: readNumber(bytes, offset + 24),
    request: readNumber(bytes, offset + 32),
  }
}

export interface EntryFields {
  readonly type: number
  readonly payloadBytes: number
  readonly proposer?: number
  readonly request?: number
  readonly index?: number
  readonly term?: number
}

/** Writes a header; the payload is the caller's, right behind it. */
export function writeEntryHeader(bytes: Buffer, offset: number, fields: EntryFields): void {
  bytes.writeUInt8(fields.type, offset)
  bytes.writeUInt8(ENTRY_FORMAT_VERSION, offset + 1)
  bytes.writeUInt16LE(0, offset + 2)
  bytes.writeUInt32LE(fields.payloadBytes, offset + 4)
  writeNumber(bytes, offset + 8, fields.index ?? 0)
  writeNumber(bytes, offset + 16, fields.term ?? 0)
  writeNumber(bytes, offset + 24, fields.proposer ?? 0)
  writeNumber(bytes, offset + 32, fields.request ?? 0)
}

/** An entry of Raft's own. */
export function createEntry(type: EntryType, payload: Buffer, at: { index: number; term: number }): Entry {
  const bytes = Buffer.alloc(ENTRY_HEADER_BYTES + payload.length)
  writeEntryHeader(bytes, 0, { type, payloadBytes: payload.length, ...at })
  payload.copy(bytes, ENTRY_HEADER_BYTES)
  return { type, ...at, bytes }
}

/** Turns proposed bytes into the entry at this place in the log. */
export function placeEntry(bytes: Buffer, at: { index: number; term: number }): Entry {
  assert(bytes.length >= ENTRY_HEADER_BYTES, 'a proposal has a whole header')
  writeNumber(bytes, 8, at.index)
  writeNumber(bytes, 16, at.term)
  return { type: bytes.readUInt8(0), ...at, bytes }
}

export function payloadOf(entry: Entry): Buffer {
  return entry.bytes.subarray(ENTRY_HEADER_BYTES)
}

/** Single fields of the whole header at `offset`, for where there is no time to read all of it. */
export const payloadBytesAt = (bytes: Buffer, offset: number): number => bytes.readUInt32LE(offset + 4)
export const proposerAt = (bytes: Buffer, offset: number): number => readNumber(bytes, offset + 24)
export const requestAt = (bytes: Buffer, offset: number): number => readNumber(bytes, offset + 32)

/** The entries that lie one behind the other in these bytes; null when the last one is cut off. */
export function splitEntries(bytes: Buffer): Buffer[] | null {
  const entries: Buffer[] = []
  for (let offset = 0; offset < bytes.length; ) {
    const rest = bytes.length - offset
    const length = rest < ENTRY_HEADER_BYTES ? rest + 1 : ENTRY_HEADER_BYTES + payloadBytesAt(bytes, offset)
    if (length > rest) return null
    entries.push(bytes.subarray(offset, offset + length))
    offset += length
  }
  return entries
}

/** A whole number below 2^53 as u64, little-endian. */
export function writeNumber(bytes: Buffer, offset: number, value: number): void {
  bytes.writeUInt32LE(value % 0x1_0000_0000, offset)
  bytes.writeUInt32LE(Math.floor(value / 0x1_0000_0000), offset + 4)
}

export function readNumber(bytes: Buffer, offset: number): number {
  return bytes.readUInt32LE(offset + 4) * 0x1_0000_0000 + bytes.readUInt32LE(offset)
}
