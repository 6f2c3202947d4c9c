/** Repairs on an ELF executable, as byte work on a Buffer. */

const PROGRAM_HEADERS_OFFSET = 32
const SECTION_HEADERS_OFFSET = 40
const PROGRAM_HEADER_SIZE = 54
const PROGRAM_HEADER_COUNT = 56
const SECTION_HEADER_COUNT = 60
const SECTION_NAMES_INDEX = 62

/**
 * Everything behind the last loaded segment cut off: symbol tables and section headers, which only debuggers read.
 * Input: a 64-bit little-endian ELF file. Native add-ons still load, because `.dynsym` lies in a loaded segment.
 */
export function cutSymbols(elf: Buffer): Buffer {
  if (elf.readUInt32BE(0) !== 0x7f454c46 || elf[4] !== 2 || elf[5] !== 1) {
    throw new Error('the base is not a 64-bit little-endian ELF file')
  }
  const offset = Number(elf.readBigUInt64LE(PROGRAM_HEADERS_OFFSET))
  const size = elf.readUInt16LE(PROGRAM_HEADER_SIZE)
  const count = elf.readUInt16LE(PROGRAM_HEADER_COUNT)
  let end = offset + size * count
  for (let index = 0; index < count; index++) {
    const header = offset + index * size
    const segmentOffset = Number(elf.readBigUInt64LE(header + 8))
    const segmentSize = Number(elf.readBigUInt64LE(header + 32))
    end = Math.max(end, segmentOffset + segmentSize)
  }
  const cut = Buffer.from(elf.subarray(0, end))
  cut.writeBigUInt64LE(0n, SECTION_HEADERS_OFFSET)
  cut.writeUInt16LE(0, SECTION_HEADER_COUNT)
  cut.writeUInt16LE(0, SECTION_NAMES_INDEX)
  return cut
}
