/**
 * Frees a Linux base of `libatomic.so.1`, of which Node 26 uses one function and which minimal systems lack: the
 * function is put into the gap behind the code, and the symbol bound to it. Sources: `atomic/`.
 */
import {
  DT,
  DYNAMIC_ENTRY,
  type Dynamic,
  dynamicOf,
  entriesOf,
  entry,
  fileOffset,
  tableOffset,
  text,
} from './dynamic.ts'
import {
  number64,
  PF_EXECUTABLE,
  PT_LOAD,
  SEGMENT_FILE_SIZE,
  SEGMENT_MEMORY_SIZE,
  type Segment,
  segmentsOf,
} from './elf.ts'

const FUNCTION = '__atomic_compare_exchange'
const LIBRARY = 'libatomic.so.1'

const MACHINE_OFFSET = 18
/** The function for sizes 4, 8 and 16, by the machine number of the ELF header. */
const CODE: Readonly<Record<number, string>> = {
  // x86-64, atomic/x64.s
  62:
    'f30f1efa4883ff08741d4883ff0474084883ff1074240f0b8b028b09f00fb10e743c890231c0c3488b02488b09f0480fb10e742a' +
    '48890231c0c3534989d2498b02498b5208488b19488b4908f0480fc70e5b740a4989024989520831c0c3b801000000c3',
  // AArch64, atomic/arm64.s
  183:
    '5f2403d51f2000f1200200541f1000f1800000541f4000f100030054000020d4440040b9650040b926fc5f88df00046b81000054' +
    '25fc078887ffff351d0000145f3f03d5460000b918000014440040f9650040f926fc5fc8df0004eb8100005425fc07c887ffff35' +
    '120000145f3f03d5460000f90d000014441440a9661c40a928a47fc81f0104eb200145fa81000054269c2ac86affff3506000014' +
    '28a42ac80affff35482400a900008052c0035fd620008052c0035fd6',
}

/** Tags whose values are addresses of tables: hashes, strings, relocations and versions. */
const TABLES: readonly number[] = [4, 5, 7, 23, 0x6ffffef5, 0x6ffffff0, 0x6ffffffe]

const RELOCATION = 24
const SYMBOL = 24
const PAGE = 4096

/** `elf` without a need for libatomic, or as it is when it has none. @throws Error when it cannot be freed of it. */
export function withoutLibatomic(elf: Buffer): Buffer {
  const freed = Buffer.from(elf)
  const segments = segmentsOf(freed)
  const dynamic = dynamicOf(freed, segments)
  const needed = neededEntry(dynamic)
  if (needed === undefined) return freed
  const { address, size } = addCode(freed, segments)
  bindSymbol(dynamic, address, size)
  dropVersionNeed(dynamic)
  dropEntry(freed, needed)
  return freed
}

function neededEntry(dynamic: Dynamic): number | undefined {
  return entriesOf(dynamic).find(({ tag, value }) => tag === DT.needed && text(dynamic, value) === LIBRARY)
    ?.at
}

/** Puts the function behind the last executable segment, as far as neither file nor memory has anything there. */
function addCode(
  elf: Buffer,
  segments: readonly Segment[],
): { readonly address: number; readonly size: number } {
  const code = CODE[elf.readUInt16LE(MACHINE_OFFSET)]
  if (code === undefined) throw new Error('there is no function for the machine of this base')
  const bytes = Buffer.from(code, 'hex')
  const loaded = segments.filter(({ type }) => type === PT_LOAD)
  const index = loaded.findLastIndex(({ flags }) => (flags & PF_EXECUTABLE) !== 0)
  const [segment, next] = [loaded[index], loaded[index + 1]]
  if (segment === undefined) throw new Error('the base has no code')
  const begin = segment.fileSize + padding(segment.offset + segment.fileSize)
  const end = begin + bytes.length
  const fileEnd = next?.offset ?? elf.length
  const memoryEnd = next === undefined ? Number.POSITIVE_INFINITY : next.address - (next.address % PAGE)
  const gap = elf.subarray(segment.offset + segment.fileSize, segment.offset + end)
  const room = segment.offset + end <= fileEnd && segment.address + end <= memoryEnd
  if (!room || segment.fileSize !== segment.memorySize || gap.some(byte => byte !== 0)) {
    throw new Error('there is no room for a function behind the code of the base')
  }
  bytes.copy(elf, segment.offset + begin)
  elf.writeBigUInt64LE(BigInt(end), segment.header + SEGMENT_FILE_SIZE)
  elf.writeBigUInt64LE(BigInt(end), segment.header + SEGMENT_MEMORY_SIZE)
  return { address: segment.address + begin, size: bytes.length }
}

function padding(offset: number): number {
  return (16 - (offset % 16)) % 16
}

/** The number of the function's symbol, found through the calls that are bound by name. */
function symbolNumber(dynamic: Dynamic): number {
  const symbols = tableOffset(dynamic, DT.symbolTable)
  const relocations = tableOffset(dynamic, DT.pltRelocations)
  const { value: size } = entry(dynamic, DT.pltSize)
  for (let at = relocations; at < relocations + size; at += RELOCATION) {
    const symbol = dynamic.elf.readUInt32LE(at + 12)
    if (text(dynamic, dynamic.elf.readUInt32LE(symbols + symbol * SYMBOL)) === FUNCTION) return symbol
  }
  throw new Error(`the base does not call ${FUNCTION}`)
}

/** No entry says it: the table of symbols ends where the next table begins. */
function symbolCount(dynamic: Dynamic): number {
  const { value: start } = entry(dynamic, DT.symbolTable)
  const others = entriesOf(dynamic).filter(({ tag, value }) => TABLES.includes(tag) && value > start)
  return Math.floor((Math.min(...others.map(({ value }) => value)) - start) / SYMBOL)
}

/** Local and hidden, with a value: the dynamic linker binds it without looking for it. */
function bindSymbol(dynamic: Dynamic, address: number, size: number): void {
  const { elf } = dynamic
  const number = symbolNumber(dynamic)
  const versions = tableOffset(dynamic, DT.symbolVersions)
  const symbols = tableOffset(dynamic, DT.symbolTable)
  const version = elf.readUInt16LE(versions + number * 2)
  for (let other = 0; other < symbolCount(dynamic); other++) {
    if (other !== number && elf.readUInt16LE(versions + other * 2) === version) {
      throw new Error(`the base takes more than ${FUNCTION} from ${LIBRARY}`)
    }
  }
  const symbol = symbols + number * SYMBOL
  elf.writeUInt8(2, symbol + 4)
  elf.writeUInt8(2, symbol + 5)
  elf.writeUInt16LE(1, symbol + 6)
  elf.writeBigUInt64LE(BigInt(address), symbol + 8)
  elf.writeBigUInt64LE(BigInt(size), symbol + 16)
  elf.writeUInt16LE(0, versions + number * 2)
}

/** Takes the library out of the list of needed versions. */
function dropVersionNeed(dynamic: Dynamic): void {
  const { elf } = dynamic
  const list = entry(dynamic, DT.versionNeeds)
  const count = entry(dynamic, DT.versionNeedCount)
  let previous: number | null = null
  let at = fileOffset(dynamic, list.value)
  for (let index = 0; index < count.value; index++) {
    const next = elf.readUInt32LE(at + 12)
    if (text(dynamic, elf.readUInt32LE(at + 4)) === LIBRARY) {
      if (previous === null) elf.writeBigUInt64LE(BigInt(list.value + next), list.at + 8)
      else elf.writeUInt32LE(next === 0 ? 0 : elf.readUInt32LE(previous + 12) + next, previous + 12)
      elf.writeBigUInt64LE(BigInt(count.value - 1), count.at + 8)
      return
    }
    previous = at
    at += next
  }
  throw new Error(`the base needs no version of ${LIBRARY}`)
}

/** Moves the entries behind the one at `at` up by one. */
function dropEntry(elf: Buffer, at: number): void {
  let end = at
  while (number64(elf, end) !== DT.null) end += DYNAMIC_ENTRY
  elf.copy(elf, at, at + DYNAMIC_ENTRY, end + DYNAMIC_ENTRY)
}
