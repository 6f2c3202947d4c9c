/** Reads the frames of one segment until they end, and tells a torn tail from damage in the middle. */
import type { DiskFile } from './disk.ts'
import {
  FRAME_HEADER_BYTES,
  isFrameIntact,
  readFrameHeader,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
} from './frame.ts'

const WINDOW_BYTES = 256 * 1024

export interface ScanOutcome {
  /** Where the intact frames end. */
  readonly end: number
  readonly nextSequence: number
  /** Something that begins like a frame is there but is not intact. */
  readonly torn: boolean
  /** A frame that was written after the end is intact: what lies between was damaged after it was flushed. */
  readonly laterFrameAt: number | null
}

export function scanSegment(
  file: DiskFile,
  header: SegmentHeader,
  onFrame: (records: Buffer) => void,
): ScanOutcome {
  const read = createWindow(file)
  let end = SEGMENT_HEADER_BYTES
  let nextSequence = header.firstSequence
  for (;;) {
    const frame = readFrame(read, header, end)
    if (frame === null || frame.sequence !== nextSequence) break
    onFrame(frame.bytes.subarray(FRAME_HEADER_BYTES))
    end += frame.bytes.length
    nextSequence++
  }
  const torn = read(end, 8).equals(header.salt)
  return { end, nextSequence, torn, laterFrameAt: findLaterFrame(file, header, end, nextSequence) }
}

type Read = (position: number, length: number) => Buffer

function createWindow(file: DiskFile): Read {
  let start = 0
  let bytes: Buffer = Buffer.alloc(0)
  return (position, length) => {
    if (position < start || position + length > start + bytes.length) {
      start = position
      bytes = file.read(position, Math.max(length, WINDOW_BYTES))
    }
    return bytes.subarray(position - start, position - start + length)
  }
}

function readFrame(
  read: Read,
  header: SegmentHeader,
  at: number,
): { sequence: number; bytes: Buffer } | null {
  const frameHeader = readFrameHeader(read(at, FRAME_HEADER_BYTES), header.salt)
  if (frameHeader === null) return null
  const length = FRAME_HEADER_BYTES + frameHeader.length
  const bytes = read(at, length)
  if (bytes.length < length || !isFrameIntact(bytes)) return null
  return { sequence: frameHeader.sequence, bytes }
}

/** Frame n+1 is written only after frame n was flushed, so any later intact frame proves damage. */
function findLaterFrame(
  file: DiskFile,
  header: SegmentHeader,
  from: number,
  sequence: number,
): number | null {
  const read: Read = (position, length) => file.read(position, length)
  for (let start = from; start < file.size; start += WINDOW_BYTES) {
    const bytes = file.read(start, WINDOW_BYTES + header.salt.length - 1)
    for (let at = bytes.indexOf(header.salt); at !== -1; at = bytes.indexOf(header.salt, at + 1)) {
      const frame = readFrame(read, header, start + at)
      if (frame !== null && frame.sequence >= sequence) return start + at
    }
  }
  return null
}
