/**
 * Decodes the protobuf form of built-in kinds (`application/vnd.kubernetes.protobuf`), which client-go's typed
 * clients send, into the JSON form that everything else works on.
 *
 * Go marshals fields that are no pointers even when they are zero, and JSON leaves those out; what a zero means is
 * decided by `isOmitted`.
 */
import { WireError, WireReader } from '../../base/wire-reader.ts'
import { isMap } from '../json-map.ts'
import type { Model } from '../model-types.ts'
import type { KubeObject } from '../object.ts'
import { formatMicroTime, formatTime } from '../time.ts'
import { isOmitted } from './zero-values.ts'

/** Field number → name and type code; see `scripts/generate-protobuf.ts`. */
export type ProtobufTable = Readonly<Record<string, Readonly<Record<string, readonly [string, string]>>>>

const MAGIC = Buffer.from('k8s\0', 'latin1')
const META = 'io.k8s.apimachinery.pkg.apis.meta.v1'
/** Messages whose only field is the value itself. */
const WRAPPED_ITEMS = 1

/** The body as an object of the model's type `typeName`; throws WireError when it cannot be read. */
export function decodeProtobuf(
  body: Buffer,
  parts: { readonly table: ProtobufTable; readonly model: Model; readonly typeName: string },
): KubeObject {
  if (!body.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new WireError(
      'provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]',
    )
  }
  const { apiVersion, kind, raw } = readEnvelope(body.subarray(MAGIC.length))
  if (parts.table[parts.typeName] === undefined) {
    throw new WireError(`no kind "${kind}" is registered for version "${apiVersion}" in protobuf form`)
  }
  const decoder = new Decoder(parts.table, parts.model)
  return { metadata: {}, ...decoder.message(parts.typeName, raw), apiVersion, kind }
}

/** `runtime.Unknown`: what kind the bytes are, and the bytes. */
function readEnvelope(bytes: Buffer): { apiVersion: string; kind: string; raw: Buffer } {
  const envelope = { apiVersion: '', kind: '', raw: Buffer.alloc(0) as Buffer }
  for (const reader = new WireReader(bytes); reader.next(); ) {
    if (reader.field === 1) {
      for (const type = new WireReader(reader.bytes()); type.next(); ) {
        if (type.field === 1) envelope.apiVersion = type.bytes().toString('utf8')
        else if (type.field === 2) envelope.kind = type.bytes().toString('utf8')
        else type.skip()
      }
    } else if (reader.field === 2) envelope.raw = reader.bytes()
    else reader.skip()
  }
  return envelope
}

class Decoder {
  readonly #table: ProtobufTable
  readonly #model: Model

  constructor(table: ProtobufTable, model: Model) {
    this.#table = table
    this.#model = model
  }

  message(typeName: string, bytes: Buffer): Record<string, unknown> {
    const result: Record<string, unknown> = {}
    const fields = this.#table[typeName] ?? {}
    const known = this.#model.types.get(typeName)?.fields
    for (const reader = new WireReader(bytes); reader.next(); ) {
      const field = fields[reader.field]
      if (field === undefined) {
        reader.skip()
        continue
      }
      const [name, code] = field
      if (code.startsWith('[]')) {
        result[name] ??= []
        const list = result[name] as unknown[]
        list.push(this.#value(code.slice(2), reader))
      } else if (code.startsWith('{}')) {
        result[name] ??= {}
        const map = result[name] as Record<string, unknown>
        this.#mapEntry(map, code.slice(2), reader.bytes())
      } else {
        const value = this.#value(code, reader)
        // A struct that Go embeds is a message of its own here, and part of its parent in JSON.
        const isEmbedded = known !== undefined && !known.has(name) && isMap(value)
        if (isEmbedded) Object.assign(result, value)
        else if (!isOmitted(name, value)) result[name] = value
      }
    }
    return result
  }

  #mapEntry(map: Record<string, unknown>, code: string, bytes: Buffer): void {
    let key = ''
    let value: unknown = emptyOf(code)
    for (const reader = new WireReader(bytes); reader.next(); ) {
      if (reader.field === 1) key = reader.bytes().toString('utf8')
      else if (reader.field === 2) value = this.#value(code, reader)
      else reader.skip()
    }
    if (key !== '__proto__') map[key] = value
  }

  #value(code: string, reader: WireReader): unknown {
    switch (code) {
      case 'string':
        return reader.bytes().toString('utf8')
      case 'bytes':
        return reader.bytes().toString('base64')
      case 'bool':
        return reader.varint() !== 0n
      case 'int':
        return Number(BigInt.asIntN(64, reader.varint()))
      case 'double':
        return reader.double()
      default:
        return this.#special(code, reader.bytes())
    }
  }

  #special(typeName: string, bytes: Buffer): unknown {
    switch (typeName) {
      case 'io.k8s.apimachinery.pkg.api.resource.Quantity':
        return stringField(bytes, 1)
      case 'io.k8s.apimachinery.pkg.util.intstr.IntOrString':
        return intOrString(bytes)
      case `${META}.Time`:
        return timeOf(bytes, formatTime)
      case `${META}.MicroTime`:
        return timeOf(bytes, formatMicroTime)
      case `${META}.FieldsV1`:
      case 'io.k8s.apimachinery.pkg.runtime.RawExtension':
        return jsonOf(bytes)
      case `${META}.Duration`:
        return `${Number(numberField(bytes, 1)) / 1e9}s`
      default:
        return this.#listWrapper(typeName, bytes) ?? this.message(typeName, bytes)
    }
  }

  /** `ExtraValue` and `Verbs`: a message around a list of strings, which JSON writes as the list. */
  #listWrapper(typeName: string, bytes: Buffer): unknown[] | null {
    const fields = this.#table[typeName] ?? {}
    const only = fields[WRAPPED_ITEMS]
    if (Object.keys(fields).length !== 1 || only?.[0] !== 'items' || only[1] !== '[]string') return null
    return (this.message(typeName, bytes)['items'] as unknown[] | undefined) ?? []
  }
}

function emptyOf(code: string): unknown {
  if (code === 'string' || code === 'bytes') return ''
  if (code === 'bool') return false
  return code === 'int' || code === 'double' ? 0 : {}
}

function stringField(bytes: Buffer, wanted: number): string {
  let value = ''
  for (const reader = new WireReader(bytes); reader.next(); ) {
    if (reader.field === wanted) value = reader.bytes().toString('utf8')
    else reader.skip()
  }
  return value
}

function numberField(bytes: Buffer, wanted: number): bigint {
  let value = 0n
  for (const reader = new WireReader(bytes); reader.next(); ) {
    if (reader.field === wanted) value = BigInt.asIntN(64, reader.varint())
    else reader.skip()
  }
  return value
}

function intOrString(bytes: Buffer): number | string {
  const isString = numberField(bytes, 1) === 1n
  return isString ? stringField(bytes, 3) : Number(numberField(bytes, 2))
}

/** Null for Go's zero time, which has no fields. */
function timeOf(bytes: Buffer, format: (ms: number) => string): string | null {
  if (bytes.length === 0) return null
  const seconds = Number(numberField(bytes, 1))
  return format(seconds * 1000 + Number(numberField(bytes, 2)) / 1e6)
}

function jsonOf(bytes: Buffer): unknown {
  const text = stringField(bytes, 1)
  if (text === '') return null
  try {
    return JSON.parse(text)
  } catch {
    throw new WireError('an embedded object is no JSON')
  }
}
