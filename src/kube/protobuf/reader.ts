/**
 * Reads messages of built-in kinds into the JSON form that everything else works on. Go writes fields that are no
 * pointers even when they are zero; whether JSON shows a zero then is what the field's tag says.
 */
import { WireError, WireReader } from '../../base/wire-reader.ts'
import { setKey } from '../clone.ts'
import { formatTime } from '../time.ts'
import { type FieldForm, type Forms, SCHEMA } from './forms.ts'

type Fields = Record<string, unknown>

/** Deeper than any schema of a definition, far above which the stack would end. */
const NESTING_MAX = 300
/** Years of four digits, which is what times in JSON have. */
const TIME_MAX_MS = Date.UTC(9999, 11, 31)

export class MessageReader {
  readonly #forms: Forms
  #nesting = 0

  constructor(forms: Forms) {
    this.#forms = forms
  }

  message(typeName: string, bytes: Buffer): Fields {
    const result: Fields = {}
    this.#read(typeName, bytes, result)
    return result
  }

  #read(typeName: string, bytes: Buffer, result: Fields): void {
    const form = this.#forms(typeName)
    if (form === undefined) return
    if (++this.#nesting > NESTING_MAX) throw new WireError('messages are nested too deep')
    for (const reader = new WireReader(bytes); reader.next(); ) {
      const field = form.byNumber.get(reader.field)
      if (field === undefined) reader.skip()
      else if (field.isInline) this.#read(field.typeName, reader.bytes(), result)
      else if (field.repeated === 'list') this.#element(result, field, reader)
      else if (field.repeated === 'map') this.#entry(result, field, reader.bytes())
      else {
        const value = this.#value(field, reader)
        if (isShown(field, value)) result[field.name] = value
        else delete result[field.name]
      }
    }
    this.#nesting -= 1
  }

  #element(result: Fields, field: FieldForm, reader: WireReader): void {
    result[field.name] ??= []
    const list = result[field.name] as unknown[]
    if (field.value !== 'int') list.push(this.#value(field, reader))
    else for (const number of reader.packedInt64()) list.push(number)
  }

  #entry(result: Fields, field: FieldForm, bytes: Buffer): void {
    result[field.name] ??= {}
    const map = result[field.name] as Fields
    let key = ''
    let value: unknown = emptyOf(field)
    for (const reader = new WireReader(bytes); reader.next(); ) {
      if (reader.field === 1) key = reader.string()
      else if (reader.field === 2) value = this.#value(field, reader)
      else reader.skip()
    }
    setKey(map, key, value)
  }

  #value(field: FieldForm, reader: WireReader): unknown {
    switch (field.value) {
      case 'string':
        return reader.string()
      case 'bytes':
        return reader.bytes().toString('base64')
      case 'bool':
        return reader.bool()
      case 'int':
        return reader.int64()
      case 'double':
        return reader.double()
      default:
        return this.#special(field, reader.bytes())
    }
  }

  #special(field: FieldForm, bytes: Buffer): unknown {
    switch (field.value) {
      case 'message':
        return this.message(field.typeName, bytes)
      case 'quantity':
        return stringField(bytes, 1)
      case 'int-or-string':
        return intField(bytes, 1) === 1 ? stringField(bytes, 3) : intField(bytes, 2)
      case 'time':
        return timeOf(bytes, '')
      case 'micro-time':
        return timeOf(bytes, microseconds(bytes))
      case 'json':
        return jsonOf(bytes)
      case 'strings':
        return stringsOf(bytes, 1)
      default:
        return this.#schemaOr(field, bytes)
    }
  }

  /** A schema, or something else where JSON has either: a boolean, a list of schemas, a list of texts. */
  #schemaOr({ value }: FieldForm, bytes: Buffer): unknown {
    const schemaField = value === 'schema-or-bool' ? 2 : 1
    let schema: Fields | null = null
    const schemas: Fields[] = []
    for (const reader = new WireReader(bytes); reader.next(); ) {
      if (reader.field === schemaField) schema = this.message(SCHEMA, reader.bytes())
      else if (reader.field === 2 && value === 'schema-or-array') {
        schemas.push(this.message(SCHEMA, reader.bytes()))
      } else reader.skip()
    }
    if (schema !== null) return schema
    if (value === 'schema-or-bool') return intField(bytes, 1) !== 0
    return value === 'schema-or-array' ? schemas : stringsOf(bytes, 2)
  }
}

/** Whether JSON shows the field: a pointer that is set always, anything else unless it is empty and may be left out. */
function isShown(field: FieldForm, value: unknown): boolean {
  if (value === null) return false
  if (field.isPointer || !field.isOmitted) return true
  return value !== '' && value !== 0 && value !== false && !(Array.isArray(value) && value.length === 0)
}

function emptyOf({ value }: FieldForm): unknown {
  if (value === 'string' || value === 'bytes') return ''
  if (value === 'bool') return false
  if (value === 'strings') return []
  return value === 'int' || value === 'double' ? 0 : {}
}

function stringField(bytes: Buffer, wanted: number): string {
  return stringsOf(bytes, wanted).at(-1) ?? ''
}

function stringsOf(bytes: Buffer, wanted: number): string[] {
  const found: string[] = []
  for (const reader = new WireReader(bytes); reader.next(); ) {
    if (reader.field === wanted) found.push(reader.string())
    else reader.skip()
  }
  return found
}

function intField(bytes: Buffer, wanted: number): number {
  let value = 0
  for (const reader = new WireReader(bytes); reader.next(); ) {
    if (reader.field === wanted) value = reader.int64()
    else reader.skip()
  }
  return value
}

/** Null for Go's zero time, which has no fields. */
function timeOf(bytes: Buffer, fraction: string): string | null {
  if (bytes.length === 0) return null
  const ms = intField(bytes, 1) * 1000
  if (!(Math.abs(ms) <= TIME_MAX_MS)) throw new WireError('a time is out of range')
  return formatTime(ms).replace('Z', `${fraction}Z`)
}

const microseconds = (bytes: Buffer): string =>
  `.${String(Math.floor(intField(bytes, 2) / 1000) % 1e6).padStart(6, '0')}`

function jsonOf(bytes: Buffer): unknown {
  const text = stringField(bytes, 1)
  if (text === '') return null
  try {
    return JSON.parse(text)
  } catch {
    throw new WireError('an embedded object is no JSON')
  }
}
