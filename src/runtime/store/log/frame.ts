/**
 * The bytes of the write-ahead log: segment headers and flush frames (ARCHITECTURE, "Write-ahead log").
 * A frame is `salt u64 · sequence u64 · length u32 · CRC-32 u32 · records`; the checksum covers all the rest.
 */
import { crc32 } from 'node:zlib'
import { readNumber, writeNumber } from '../../raft/entry.ts'

export const SEGMENT_FORMAT_VERSION = 1
/** A page of its own, so that writing frames never touches the header. */
export const SEGMENT_HEADER_BYTES = 4096
export const FRAME_HEADER_BYTES = 24
/** Room for the largest transaction and whatever waits with it. */
export const FRAME_BYTES_MAX = 4 * 1024 * 1024

const MAGIC = Buffer.from('MK8SWAL\n', 'latin1')
const HEADER_FIELDS_BYTES = 64
/** In a sector of its own, so that writing it never touches the header. */
export const SUCCEEDED_AT = 2048
/** Written into a segment once the next one is there, so that a log without its last segment is noticed. */
export const SUCCEEDED = Buffer.from('SUCCEEDED\n', 'latin1')

export interface SegmentHeader {
  /** Random: bytes of a segment's former life do not carry it. */
  readonly salt: Buffer
  readonly number: number
  readonly firstSequence: number
  readonly member: number
  /** 16 bytes. */
  readonly cluster: Buffer
}

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES)
  MAGIC.copy(bytes, 0)
  bytes.writeUInt32LE(SEGMENT_FORMAT_VERSION, 8)
  header.salt.copy(bytes, 16)
  writeNumber(bytes, 24, header.number)
  writeNumber(bytes, 32, header.firstSequence)
  writeNumber(bytes, 40, header.member)
  header.cluster.copy(bytes, 48)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, HEADER_FIELDS_BYTES)), HEADER_FIELDS_BYTES)
  return bytes
}

export type SegmentHeaderOutcome =
  | { readonly kind: 'ok'; readonly header: SegmentHeader }
  | { readonly kind: 'damaged' }
  | { readonly kind: 'unknown-version'; readonly version: number }

export function decodeSegmentHeader(bytes: Buffer): SegmentHeaderOutcome {
  if (bytes.length < HEADER_FIELDS_BYTES + 4 || !bytes.subarray(0, 8).equals(MAGIC))
    return { kind: 'damaged' }
  const sum = crc32(bytes.subarray(0, HEADER_FIELDS_BYTES))
  if (bytes.readUInt32LE(HEADER_FIELDS_BYTES) !== sum) return { kind: 'damaged' }
  const version = bytes.readUInt32LE(8)
  if (version !== SEGMENT_FORMAT_VERSION) return { kind: 'unknown-version', version }
  const header = {
    salt: Buffer.from(bytes.subarray(16, 24)),
    number: readNumber(bytes, 24),
    firstSequence: readNumber(bytes, 32),
    member: readNumber(bytes, 40),
    cluster: Buffer.from(bytes.subarray(48, 64)),
  }
  return { kind: 'ok', header }
}

/** Fills in the header of a frame whose records are already in place behind it. */
export function sealFrame(frame: Buffer, salt: Buffer, sequence: number): void {
  salt.copy(frame, 0)
  writeNumber(frame, 8, sequence)
  frame.writeUInt32LE(frame.length - FRAME_HEADER_BYTES, 16)
  frame.writeUInt32LE(checksum(frame), 20)
}

export interface FrameHeader {
  readonly sequence: number
  readonly length: number
}

/** The header of a frame of this segment, or null when these bytes are none. */
export function readFrameHeader(bytes: Buffer, salt: Buffer): FrameHeader | null {
  if (bytes.length < FRAME_HEADER_BYTES || !bytes.subarray(0, 8).equals(salt)) return null
  const length = bytes.readUInt32LE(16)
  if (length > FRAME_BYTES_MAX) return null
  return { sequence: readNumber(bytes, 8), length }
}

export function isFrameIntact(frame: Buffer): boolean {
  return frame.readUInt32LE(20) === checksum(frame)
}

function checksum(frame: Buffer): number {
  return crc32(frame.subarray(FRAME_HEADER_BYTES), crc32(frame.subarray(0, 20)))
}
