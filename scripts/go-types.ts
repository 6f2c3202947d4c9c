/**
 * Reads the types that a Go program keeps for reflection: structs with their fields, tags and Go types. They say what
 * no other document of Kubernetes does: which fields are pointers, and which are left out of JSON when they are empty.
 * Source: Go's internal/abi package (type.go), as of Go 1.24, in 64-bit little-endian ELF programs at fixed addresses.
 */
import { readFileSync } from 'node:fs'

export interface GoField {
  readonly name: string
  /** `json:"replicas,omitempty" protobuf:"varint,1,opt,name=replicas"`. */
  readonly tag: string
  readonly type: GoType
}

export interface GoType {
  readonly kind: number
  /** `v1.Pod`; of types without a name what they are made of: `*v1.Pod`. */
  readonly name: string
  /** Import path of named types. */
  packagePath: string
  /** Of pointers, slices, arrays and maps. */
  element?: GoType
  /** Of structs. */
  fields: GoField[]
}

export const goKinds = {
  bool: 1,
  firstInteger: 2,
  uint8: 8,
  lastInteger: 12,
  float32: 13,
  float64: 14,
  map: 21,
  pointer: 22,
  slice: 23,
  string: 24,
  struct: 25,
} as const

const ARRAY = 17
const KIND_MASK = 0x1f
const HAS_NAME_AND_METHODS = 1
const HAS_EXTRA_STAR = 2
const NAME_HAS_TAG = 2
const TYPE_BYTES = 48
const FIELD_BYTES = 24

interface Section {
  readonly name: string
  readonly address: number
  readonly offset: number
  readonly size: number
}

/** All types that the program can reflect upon. */
export function readGoTypes(path: string): readonly GoType[] {
  const program = new GoProgram(readFileSync(path))
  return program.types()
}

class GoProgram {
  readonly #bytes: Buffer
  readonly #sections: readonly Section[]
  /** Offsets of names and types count from here. */
  readonly #base: number
  readonly #known = new Map<number, GoType>()

  constructor(bytes: Buffer) {
    this.#bytes = bytes
    this.#sections = sectionsOf(bytes)
    this.#base = this.#section('.rodata').address
  }

  types(): readonly GoType[] {
    const links = this.#section('.typelink')
    for (let at = 0; at < links.size; at += 4) {
      this.#type(this.#base + this.#bytes.readInt32LE(links.offset + at))
    }
    return [...this.#known.values()]
  }

  #section(name: string): Section {
    const found = this.#sections.find(section => section.name === name)
    if (found === undefined) throw new Error(`the program has no section ${name}`)
    return found
  }

  #offsetOf(address: number): number {
    for (const { address: start, offset, size } of this.#sections) {
      if (start !== 0 && address >= start && address < start + size) return address - start + offset
    }
    throw new Error(`no section has the address ${address.toString(16)}`)
  }

  #pointer(offset: number): number {
    return Number(this.#bytes.readBigUInt64LE(offset))
  }

  #type(address: number): GoType {
    const known = this.#known.get(address)
    if (known !== undefined) return known
    const at = this.#offsetOf(address)
    const flags = this.#bytes[at + 20] ?? 0
    const kind = (this.#bytes[at + 23] ?? 0) & KIND_MASK
    const { text } = this.#name(this.#offsetOf(this.#base + this.#bytes.readInt32LE(at + 40)))
    const name = (flags & HAS_EXTRA_STAR) !== 0 ? text.slice(1) : text
    const type: GoType = { kind, name, packagePath: '', fields: [] }
    this.#known.set(address, type)
    if ((flags & HAS_NAME_AND_METHODS) !== 0) type.packagePath = this.#packagePath(at, kind)
    if (kind === goKinds.pointer || kind === goKinds.slice || kind === ARRAY)
      type.element = this.#type(this.#pointer(at + TYPE_BYTES))
    else if (kind === goKinds.map) type.element = this.#type(this.#pointer(at + TYPE_BYTES + 8))
    else if (kind === goKinds.struct) type.fields = this.#fields(at)
    return type
  }

  /** The part about a type's name and methods follows the part that its kind has. */
  #packagePath(at: number, kind: number): string {
    const own: Record<number, number> = {
      [goKinds.pointer]: 8,
      [goKinds.slice]: 8,
      [goKinds.struct]: 32,
      [goKinds.string]: 0,
    }
    const size = kind <= 16 ? 0 : own[kind]
    if (size === undefined) return ''
    const offset = this.#bytes.readInt32LE(at + TYPE_BYTES + size)
    return offset === 0 ? '' : this.#name(this.#offsetOf(this.#base + offset)).text
  }

  #fields(at: number): GoField[] {
    const count = this.#pointer(at + TYPE_BYTES + 16)
    if (count === 0) return []
    const first = this.#offsetOf(this.#pointer(at + TYPE_BYTES + 8))
    return Array.from({ length: count }, (_, index) => {
      const field = first + index * FIELD_BYTES
      const { text, tag } = this.#name(this.#offsetOf(this.#pointer(field)))
      return { name: text, tag, type: this.#type(this.#pointer(field + 8)) }
    })
  }

  /** A byte of flags, the length as a varint, the name, and the tag likewise. */
  #name(offset: number): { text: string; tag: string } {
    const [text, end] = this.#text(offset + 1)
    const hasTag = ((this.#bytes[offset] ?? 0) & NAME_HAS_TAG) !== 0
    return { text, tag: hasTag ? this.#text(end)[0] : '' }
  }

  #text(offset: number): [string, number] {
    let length = 0
    let at = offset
    for (let shift = 0; ; shift += 7) {
      const byte = this.#bytes[at++] ?? 0
      length |= (byte & 0x7f) << shift
      if (byte < 0x80) break
    }
    return [this.#bytes.toString('utf8', at, at + length), at + length]
  }
}

function sectionsOf(bytes: Buffer): Section[] {
  const table = Number(bytes.readBigUInt64LE(40))
  const raw = Array.from({ length: bytes.readUInt16LE(60) }, (_, index) => table + index * 64)
  const offsetOf = (at: number) => Number(bytes.readBigUInt64LE(at + 24))
  const names = offsetOf(raw[bytes.readUInt16LE(62)] ?? 0)
  return raw.map(at => {
    const start = names + bytes.readUInt32LE(at)
    return {
      name: bytes.toString('latin1', start, bytes.indexOf(0, start)),
      address: Number(bytes.readBigUInt64LE(at + 16)),
      offset: offsetOf(at),
      size: Number(bytes.readBigUInt64LE(at + 32)),
    }
  })
}
