/**
 * Writes RPM packages, format 4 as `rpm` 4.6 and later read it: a lead that only names the kind of file, two headers
 * (tables of tags; the first one holds the sums over what follows it) and a cpio archive compressed by xz.
 * Source: RPM's own description of the format, https://rpm-software-management.github.io/rpm/manual/format_v4.html.
 */
import { createHash } from 'node:crypto'
import { posix } from 'node:path'

export interface RpmFile {
  /** Without a slash in front. */
  readonly path: string
  readonly mode: number
  readonly content: Buffer
}

export interface RpmParts {
  readonly name: string
  /** A `-` becomes `~`, which sorts before what has none. */
  readonly version: string
  readonly architecture: 'x86_64' | 'aarch64'
  readonly summary: string
  readonly description: string
  readonly license: string
  /** Seconds since 1970: of the build and of every file. */
  readonly time: number
  /** Names of libraries with their symbols, and of other packages. */
  readonly requires: readonly string[]
  /** Shell; of the package that is put in, and of the one that is taken away. */
  readonly afterInstall: string
  readonly beforeRemove: string
  readonly compress: (bytes: Buffer) => Buffer
}

type Value =
  | { readonly type: 'int16' | 'int32'; readonly numbers: readonly number[] }
  | { readonly type: 'string' | 'strings' | 'translated'; readonly texts: readonly string[] }
  | { readonly type: 'bytes'; readonly bytes: Buffer }
type Tags = readonly (readonly [tag: number, value: Value])[]

const TYPE_NUMBERS = { int16: 3, int32: 4, string: 6, bytes: 7, strings: 8, translated: 9 } as const
const ALIGNMENTS: Readonly<Record<Value['type'], number>> = {
  ...{ int16: 2, int32: 4 },
  ...{ string: 1, bytes: 1, strings: 1, translated: 1 },
}
/** Tags that frame a whole header, so that it can be summed and signed. */
const [REGION_SIGNATURES, REGION_IMMUTABLE] = [62, 63]
const ENTRY_BYTES = 16
const SHA256 = 8
/** rpmlib(…) <= VERSION. */
const NEEDS_RPMLIB = 0x0100000a
const LIBRARY_FEATURES = [
  ['rpmlib(CompressedFileNames)', '3.0.4-1'],
  ['rpmlib(FileDigests)', '4.6.0-1'],
  ['rpmlib(PayloadFilesHavePrefix)', '4.0-1'],
  ['rpmlib(PayloadIsXz)', '5.2-1'],
  ['rpmlib(RichDependencies)', '4.12.0-1'],
] as const
const NEEDS_EQUAL = 8
const REGULAR_FILE = 0o100000

const int16 = (...numbers: number[]): Value => ({ type: 'int16', numbers })
const int32 = (...numbers: number[]): Value => ({ type: 'int32', numbers })
const text = (...texts: string[]): Value => ({ type: 'string', texts })
const texts = (...all: string[]): Value => ({ type: 'strings', texts: all })
const translated = (...all: string[]): Value => ({ type: 'translated', texts: all })
const bytes = (value: Buffer): Value => ({ type: 'bytes', bytes: value })
const sha256 = (value: Buffer): string => createHash('sha256').update(value).digest('hex')

/** The file's bytes; the same parts and files give the same. */
export function renderRpm(given: readonly RpmFile[], parts: RpmParts): Buffer {
  const files = [...given].sort((a, b) => (a.path < b.path ? -1 : 1))
  const archive = renderCpio(files, parts.time)
  const payload = parts.compress(archive)
  const header = renderHeader(REGION_IMMUTABLE, [
    ...packageTags(parts),
    ...needTags(parts),
    ...scriptTags(parts),
    ...fileTags(files, parts),
    [1124, text('cpio')],
    [1125, text('xz')],
    [1126, text('6')],
    [5092, texts(sha256(payload))],
    [5093, int32(SHA256)],
    [5097, texts(sha256(archive))],
  ])
  const both = Buffer.concat([header, payload])
  const signature = renderHeader(REGION_SIGNATURES, [
    [269, text(createHash('sha1').update(header).digest('hex'))],
    [273, text(sha256(header))],
    [1000, int32(both.length)],
    [1004, bytes(createHash('md5').update(both).digest())],
    [1007, int32(archive.length)],
  ])
  const padding = Buffer.alloc((8 - (signature.length % 8)) % 8)
  return Buffer.concat([renderLead(parts), signature, padding, both])
}

const versionOf = ({ version }: RpmParts): string => version.replaceAll('-', '~')

function renderLead(parts: RpmParts): Buffer {
  const lead = Buffer.alloc(96)
  lead.writeUInt32BE(0xedabeedb, 0)
  lead.writeUInt8(3, 4)
  lead.writeUInt16BE(parts.architecture === 'x86_64' ? 1 : 19, 8)
  lead.write(`${parts.name}-${versionOf(parts)}-1`.slice(0, 65), 10, 'latin1')
  lead.writeUInt16BE(1, 76)
  lead.writeUInt16BE(5, 78)
  return lead
}

// ── what the package says ────────────────────────────────────────────────────────────────────────────

function packageTags(parts: RpmParts): Tags {
  const { name, architecture, summary, description, license, time } = parts
  const version = versionOf(parts)
  return [
    [100, texts('C')],
    [1000, text(name)],
    [1001, text(version)],
    [1002, text('1')],
    [1004, translated(summary)],
    [1005, translated(description)],
    [1006, int32(time)],
    [1007, text('localhost')],
    [1014, text(license)],
    [1016, translated('System/Base')],
    [1021, text('linux')],
    [1022, text(architecture)],
    [1044, text(`${name}-${version}-1.src.rpm`)],
    [1047, texts(name)],
    [1112, int32(NEEDS_EQUAL)],
    [1113, texts(`${version}-1`)],
    [5062, text('utf-8')],
  ]
}

function needTags({ requires }: RpmParts): Tags {
  const needs = ['/bin/sh', ...requires]
  return [
    [1048, int32(...needs.map(() => 0), ...LIBRARY_FEATURES.map(() => NEEDS_RPMLIB))],
    [1049, texts(...needs, ...LIBRARY_FEATURES.map(([feature]) => feature))],
    [1050, texts(...needs.map(() => ''), ...LIBRARY_FEATURES.map(([, version]) => version))],
  ]
}

const scriptTags = ({ afterInstall, beforeRemove }: RpmParts): Tags => [
  [1024, text(afterInstall)],
  [1025, text(beforeRemove)],
  [1086, text('/bin/sh')],
  [1087, text('/bin/sh')],
]

function fileTags(files: readonly RpmFile[], { time }: RpmParts): Tags {
  const directories = [...new Set(files.map(directoryOf))].sort()
  const each = <T>(value: (file: RpmFile, at: number) => T): T[] => files.map(value)
  const sizes = each(({ content }) => content.length)
  return [
    [1009, int32(sizes.reduce((sum, size) => sum + size, 0))],
    [1028, int32(...sizes)],
    [1030, int16(...each(({ mode }) => REGULAR_FILE | mode))],
    [1033, int16(...each(() => 0))],
    [1034, int32(...each(() => time))],
    [1035, texts(...each(({ content }) => sha256(content)))],
    [1036, texts(...each(() => ''))],
    [1037, int32(...each(() => 0))],
    [1039, texts(...each(() => 'root'))],
    [1040, texts(...each(() => 'root'))],
    // Everything is verified.
    [1045, int32(...each(() => -1))],
    [1095, int32(...each(() => 1))],
    [1096, int32(...each((_, at) => at + 1))],
    [1097, texts(...each(() => ''))],
    [1116, int32(...each(file => directories.indexOf(directoryOf(file))))],
    [1117, texts(...each(({ path }) => posix.basename(path)))],
    [1118, texts(...directories)],
    [5011, int32(SHA256)],
  ]
}

const directoryOf = ({ path }: RpmFile): string => `/${posix.dirname(path)}/`

// ── bytes ────────────────────────────────────────────────────────────────────────────────────────────

/** An index of tags in their order, then what they hold; the region's trailer points back over the index. */
function renderHeader(region: number, tags: Tags): Buffer {
  const sorted = [...tags].sort(([a], [b]) => a - b)
  const entries: Buffer[] = []
  const store: Buffer[] = []
  let offset = 0
  for (const [tag, value] of sorted) {
    const alignment = ALIGNMENTS[value.type]
    const padding = (alignment - (offset % alignment)) % alignment
    const held = Buffer.concat([Buffer.alloc(padding), renderValue(value)])
    entries.push(renderEntry(tag, TYPE_NUMBERS[value.type], offset + padding, countOf(value)))
    store.push(held)
    offset += held.length
  }
  const count = entries.length + 1
  const trailer = renderEntry(region, TYPE_NUMBERS.bytes, -count * ENTRY_BYTES, ENTRY_BYTES)
  const first = renderEntry(region, TYPE_NUMBERS.bytes, offset, ENTRY_BYTES)
  const intro = Buffer.from('8eade80100000000', 'hex')
  const sizes = Buffer.alloc(8)
  sizes.writeUInt32BE(count, 0)
  sizes.writeUInt32BE(offset + trailer.length, 4)
  return Buffer.concat([intro, sizes, first, ...entries, ...store, trailer])
}

function renderEntry(tag: number, type: number, offset: number, count: number): Buffer {
  const entry = Buffer.alloc(ENTRY_BYTES)
  for (const [at, number] of [tag, type, offset, count].entries()) entry.writeInt32BE(number, at * 4)
  return entry
}

function countOf(value: Value): number {
  if (value.type === 'bytes') return value.bytes.length
  return 'numbers' in value ? value.numbers.length : value.texts.length
}

function renderValue(value: Value): Buffer {
  if (value.type === 'bytes') return value.bytes
  if ('texts' in value) return Buffer.from(value.texts.map(each => `${each}\0`).join(''), 'utf8')
  const width = ALIGNMENTS[value.type]
  const out = Buffer.alloc(value.numbers.length * width)
  for (const [at, number] of value.numbers.entries()) out.writeUIntBE(number >>> 0, at * width, width)
  return out
}

/** The "new ASCII" form. */
function renderCpio(files: readonly RpmFile[], time: number): Buffer {
  const parts = files.flatMap(({ path, mode, content }, at) =>
    cpioEntry({ name: `./${path}`, inode: at + 1, mode: REGULAR_FILE | mode, time, content }),
  )
  const end = cpioEntry({ name: 'TRAILER!!!', inode: 0, mode: 0, time: 0, content: Buffer.alloc(0) })
  return Buffer.concat([...parts, ...end])
}

interface CpioEntry {
  readonly name: string
  readonly inode: number
  readonly mode: number
  readonly time: number
  readonly content: Buffer
}

function cpioEntry({ name, inode, mode, time, content }: CpioEntry): Buffer[] {
  const fields = [inode, mode, 0, 0, 1, time, content.length, 0, 0, 0, 0, name.length + 1, 0]
  const hex = fields.map(field => field.toString(16).padStart(8, '0')).join('')
  const head = Buffer.from(`070701${hex}${name}\0`, 'latin1')
  return [head, toFour(head.length), content, toFour(content.length)]
}

const toFour = (length: number): Buffer => Buffer.alloc((4 - (length % 4)) % 4)
