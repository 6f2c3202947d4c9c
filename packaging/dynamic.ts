/** The dynamic segment of an ELF file: which libraries it needs, and where its tables are. */
import { number64, PT_DYNAMIC, PT_LOAD, type Segment, segmentsOf } from './elf.ts'

export const DT = {
  null: 0,
  needed: 1,
  stringTable: 5,
  symbolTable: 6,
  pltSize: 2,
  pltRelocations: 23,
  symbolVersions: 0x6ffffff0,
  versionNeeds: 0x6ffffffe,
  versionNeedCount: 0x6fffffff,
} as const

export const DYNAMIC_ENTRY = 16

export interface Dynamic {
  readonly elf: Buffer
  readonly segments: readonly Segment[]
  /** File offset of the dynamic segment. */
  readonly start: number
}

/** @throws Error when it has none. */
export function dynamicOf(elf: Buffer, segments: readonly Segment[]): Dynamic {
  const start = segments.find(({ type }) => type === PT_DYNAMIC)?.offset
  if (start === undefined) throw new Error('the base is not linked dynamically')
  return { elf, segments, start }
}

/** Names of the libraries that the file needs. */
export function neededLibraries(elf: Buffer): string[] {
  const segments = segmentsOf(elf)
  if (!segments.some(({ type }) => type === PT_DYNAMIC)) return []
  const dynamic = dynamicOf(elf, segments)
  return entriesOf(dynamic)
    .filter(({ tag }) => tag === DT.needed)
    .map(({ value }) => text(dynamic, value))
}

export function entriesOf({
  elf,
  start,
}: Dynamic): { readonly at: number; readonly tag: number; readonly value: number }[] {
  const entries = []
  for (let at = start; number64(elf, at) !== DT.null; at += DYNAMIC_ENTRY) {
    entries.push({ at, tag: number64(elf, at), value: number64(elf, at + 8) })
  }
  return entries
}

export function entry(dynamic: Dynamic, tag: number): { readonly at: number; readonly value: number } {
  const found = entriesOf(dynamic).find(candidate => candidate.tag === tag)
  if (found === undefined) throw new Error(`the base has no dynamic entry ${tag}`)
  return found
}

export function fileOffset({ segments }: Dynamic, address: number): number {
  const segment = segments.find(
    candidate =>
      candidate.type === PT_LOAD &&
      address >= candidate.address &&
      address < candidate.address + candidate.fileSize,
  )
  if (segment === undefined) throw new Error(`address ${address} is in no loaded segment`)
  return address - segment.address + segment.offset
}

export function tableOffset(dynamic: Dynamic, tag: number): number {
  return fileOffset(dynamic, entry(dynamic, tag).value)
}

export function text(dynamic: Dynamic, offset: number): string {
  const start = tableOffset(dynamic, DT.stringTable) + offset
  return dynamic.elf.toString('latin1', start, dynamic.elf.indexOf(0, start))
}
