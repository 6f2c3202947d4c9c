/**
 * Gives a Linux executable the two libraries of C++ that it needs beside the C library: they travel inside, and the code
 * that the executable then begins with (`start/`) hands them to the dynamic loader. Where that cannot work, the loader
 * looks for the system's own, as before.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DT, DYNAMIC_ENTRY, dynamicOf, entriesOf, entry, text } from './dynamic.ts'
import {
  ENTRY,
  number64,
  PF_EXECUTABLE,
  PF_READABLE,
  PF_WRITABLE,
  PROGRAM_HEADER_COUNT,
  PT_DYNAMIC,
  PT_INTERP,
  PT_LOAD,
  PT_PHDR,
  type Segment,
  segmentsOf,
} from './elf.ts'
import { pack } from './lz4.ts'

/** A library as the system that builds has it. */
export interface CarriedLibrary {
  readonly name: string
  readonly bytes: Buffer
}

/** The largest page of arm64; what fits it fits all. */
const ALIGN = 0x10000
const HEADER = 56
const ADDED = 2
/** For "/proc/self/fd/" and a number. */
const NAME = 32
const MACHINE = 18
const FIXED_ADDRESSES = 2

const CODE: Readonly<Record<number, string>> = { 62: 'x64.hex', 183: 'arm64.hex' }

interface Layout {
  readonly offset: number
  readonly address: number
}

/** @throws Error when the executable is not what `--build-sea` makes of a Node for Linux. */
export function withLibraries(elf: Buffer, libraries: readonly CarriedLibrary[]): Buffer {
  const segments = segmentsOf(elf)
  const end = segments
    .filter(({ type }) => type === PT_LOAD)
    .reduce((last, { address, memorySize }) => Math.max(last, address + memorySize), 0)
  const fixed: Layout = { offset: aligned(elf.length), address: aligned(end) }
  const code = startCode(elf)
  const packed = libraries.map(({ bytes }) => pack(bytes))
  const infoSize = 48 + 40 * libraries.length
  const headersAt = code.length + infoSize
  const librariesAt = headersAt + (segments.length + ADDED) * HEADER
  const fixedSize = packed.reduce((sum, { length }) => sum + length, librariesAt)
  const offset = fixed.offset + fixedSize + padding(fixedSize)
  const changing: Layout = { offset, address: aligned(fixed.address + fixedSize) + (offset % ALIGN) }
  const dynamic = newDynamic(elf, segments, libraries, changing.address)

  const headers = newHeaders(elf, segments, {
    fixed,
    fixedSize,
    changing,
    changingSize: dynamic.bytes.length,
    dynamicSize: dynamic.size,
  })
  const positions = packed.map((_, index) =>
    packed.slice(0, index).reduce((sum, { length }) => sum + length, fixed.address + librariesAt),
  )
  const info = numbers([
    number64(elf, ENTRY),
    fixed.address + headersAt,
    segments.length + ADDED,
    one(segments, PT_INTERP).address,
    Math.max(...libraries.map(glibcMinor)),
    entry(dynamicOf(elf, segments), DT.stringTable).value,
    ...libraries.flatMap(({ bytes }, index) => [
      positions[index] ?? 0,
      packed[index]?.length ?? 0,
      bytes.length,
      dynamic.names[index] ?? 0,
      dynamic.needed[index] ?? 0,
    ]),
  ])
  const start = Buffer.concat([
    elf,
    Buffer.alloc(fixed.offset - elf.length),
    code,
    info,
    headers.seenByLoader(fixed.address + headersAt, fixed.offset + headersAt),
    ...packed,
    Buffer.alloc(changing.offset - fixed.offset - fixedSize),
    dynamic.bytes,
  ])
  headers.seenByKernel.copy(start, one(segments, PT_PHDR).offset)
  start.writeUInt16LE(segments.length + ADDED, PROGRAM_HEADER_COUNT)
  start.writeBigUInt64LE(BigInt(fixed.address), ENTRY)
  return start
}

function startCode(elf: Buffer): Buffer {
  const file = CODE[elf.readUInt16LE(MACHINE)]
  if (file === undefined) throw new Error('there is no start for the machine of this executable')
  if (elf.readUInt16LE(16) !== FIXED_ADDRESSES) throw new Error('the executable has no fixed addresses')
  const text = readFileSync(join(import.meta.dirname, 'start', file), 'utf8')
  return Buffer.from(text.replaceAll(/\s/g, ''), 'hex')
}

function one(segments: readonly Segment[], type: number): Segment {
  const found = segments.find(segment => segment.type === type)
  if (found === undefined) throw new Error(`the executable has no segment of type ${type}`)
  return found
}

const aligned = (value: number): number => Math.ceil(value / ALIGN) * ALIGN
const padding = (value: number): number => (16 - (value % 16)) % 16

function numbers(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 8)
  for (const [index, value] of values.entries()) bytes.writeBigUInt64LE(BigInt(value), index * 8)
  return bytes
}

/** The lowest minor version of glibc that has all the library wants. */
export function glibcMinor({ name, bytes }: CarriedLibrary): number {
  const found = [...bytes.toString('latin1').matchAll(/GLIBC_2\.(\d+)\0/g)].map(([, minor]) => Number(minor))
  if (found.length === 0) throw new Error(`${name} needs no glibc`)
  return Math.max(...found)
}

/** The dynamic segment with each library a second time, in front: those entries are led to files in memory at start. */
function newDynamic(
  elf: Buffer,
  segments: readonly Segment[],
  libraries: readonly CarriedLibrary[],
  address: number,
): { bytes: Buffer; size: number; needed: number[]; names: number[] } {
  const dynamic = dynamicOf(elf, segments)
  const entries: number[] = []
  const needed: number[] = []
  for (const { tag, value } of entriesOf(dynamic)) {
    const carried = tag === DT.needed ? libraries.findIndex(({ name }) => name === text(dynamic, value)) : -1
    if (carried >= 0) {
      needed[carried] = address + entries.length * 8 + 8
      entries.push(tag, value)
    }
    entries.push(tag, value)
  }
  const missing = libraries.find((_, index) => needed[index] === undefined)
  if (missing !== undefined) throw new Error(`the executable does not need ${missing.name}`)
  entries.push(DT.null, 0)
  const size = entries.length * 8
  const names = libraries.map((_, index) => address + size + index * NAME)
  const bytes = Buffer.concat([numbers(entries), Buffer.alloc(libraries.length * NAME)])
  if (size % DYNAMIC_ENTRY !== 0) throw new Error('the dynamic segment is cut')
  return { bytes, size, needed, names }
}

interface Added {
  readonly fixed: Layout
  readonly fixedSize: number
  readonly changing: Layout
  readonly changingSize: number
  readonly dynamicSize: number
}

/** The kernel must not find an interpreter, or it would start that instead of us; the loader must. */
function newHeaders(
  elf: Buffer,
  segments: readonly Segment[],
  { fixed, fixedSize, changing, changingSize, dynamicSize }: Added,
): { seenByKernel: Buffer; seenByLoader(address: number, offset: number): Buffer } {
  const table = one(segments, PT_PHDR)
  const size = segments.length * HEADER
  const room = segments.find(({ type, offset }) => type === PT_LOAD && offset === table.offset)
  const spare = elf.subarray(table.offset + size, table.offset + size + ADDED * HEADER)
  if (room === undefined || room.fileSize < size + ADDED * HEADER || spare.some(byte => byte !== 0)) {
    throw new Error('the executable has no room for two more program headers')
  }
  const all = Buffer.concat([
    elf.subarray(table.offset, table.offset + size),
    header(PT_LOAD, PF_READABLE | PF_EXECUTABLE, fixed, fixedSize, ALIGN),
    header(PT_LOAD, PF_READABLE | PF_WRITABLE, changing, changingSize, ALIGN),
  ])
  const put = (into: Buffer, type: number, flags: number, layout: Layout, bytes: number) =>
    header(type, flags, layout, bytes, 8).copy(into, one(segments, type).header - table.offset)
  put(all, PT_DYNAMIC, PF_READABLE | PF_WRITABLE, changing, dynamicSize)
  put(all, PT_PHDR, PF_READABLE, table, all.length)
  const seenByKernel = Buffer.from(all)
  seenByKernel.writeUInt32LE(0, one(segments, PT_INTERP).header - table.offset)
  return {
    seenByKernel,
    seenByLoader(address, offset) {
      put(all, PT_PHDR, PF_READABLE, { address, offset }, all.length)
      return all
    },
  }
}

function header(
  type: number,
  flags: number,
  { offset, address }: Layout,
  size: number,
  align: number,
): Buffer {
  const bytes = Buffer.concat([Buffer.alloc(8), numbers([offset, address, address, size, size, align])])
  bytes.writeUInt32LE(type, 0)
  bytes.writeUInt32LE(flags, 4)
  return bytes
}
