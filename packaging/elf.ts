/** 64-bit little-endian ELF executables as bytes: their segments, and what debuggers read cut off. */

export const ENTRY = 24
const PROGRAM_HEADERS_OFFSET = 32
const SECTION_HEADERS_OFFSET = 40
const PROGRAM_HEADER_SIZE = 54
export const PROGRAM_HEADER_COUNT = 56
const SECTION_HEADER_COUNT = 60
const SECTION_NAMES_INDEX = 62

export const PT_LOAD = 1
export const PT_DYNAMIC = 2
export const PT_INTERP = 3
export const PT_PHDR = 6
export const PF_EXECUTABLE = 1
export const PF_WRITABLE = 2
export const PF_READABLE = 4

export interface Segment {
  /** Where its program header lies in the file. */
  readonly header: number
  readonly type: number
  readonly flags: number
  readonly offset: number
  readonly address: number
  readonly fileSize: number
  readonly memorySize: number
}

/** Of a program header, relative to its start. */
export const SEGMENT_FILE_SIZE = 32
export const SEGMENT_MEMORY_SIZE = 40

export function number64(bytes: Buffer, offset: number): number {
  return Number(bytes.readBigUInt64LE(offset))
}

/** @throws Error when the bytes are not a 64-bit little-endian ELF file. */
export function segmentsOf(elf: Buffer): Segment[] {
  if (elf.readUInt32BE(0) !== 0x7f454c46 || elf[4] !== 2 || elf[5] !== 1) {
    throw new Error('the base is not a 64-bit little-endian ELF file')
  }
  const start = number64(elf, PROGRAM_HEADERS_OFFSET)
  const size = elf.readUInt16LE(PROGRAM_HEADER_SIZE)
  return Array.from({ length: elf.readUInt16LE(PROGRAM_HEADER_COUNT) }, (_, index) => {
    const header = start + index * size
    return {
      header,
      type: elf.readUInt32LE(header),
      flags: elf.readUInt32LE(header + 4),
      offset: number64(elf, header + 8),
      address: number64(elf, header + 16),
      fileSize: number64(elf, header + SEGMENT_FILE_SIZE),
      memorySize: number64(elf, header + SEGMENT_MEMORY_SIZE),
    }
  })
}

/**
 * Everything behind the last loaded segment cut off: symbol tables and section headers, which only debuggers read.
 * Native add-ons still load, because `.dynsym` lies in a loaded segment.
 */
export function cutSymbols(elf: Buffer): Buffer {
  const segments = segmentsOf(elf)
  const headersEnd =
    number64(elf, PROGRAM_HEADERS_OFFSET) + segments.length * elf.readUInt16LE(PROGRAM_HEADER_SIZE)
  const end = segments.reduce((last, { offset, fileSize }) => Math.max(last, offset + fileSize), headersEnd)
  const cut = Buffer.from(elf.subarray(0, end))
  cut.writeBigUInt64LE(0n, SECTION_HEADERS_OFFSET)
  cut.writeUInt16LE(0, SECTION_HEADER_COUNT)
  cut.writeUInt16LE(0, SECTION_NAMES_INDEX)
  return cut
}
