/**
 * Writes objects in the protobuf form of built-in kinds, as the Go server does: fields by number, maps by key, and
 * everything that is no pointer although it is zero. What the table does not know (a field that only a later version
 * of the libraries has) is left out.
 */
import type { WireWriter } from '../../base/wire-writer.ts'
import { isMap } from '../json-map.ts'
import { parseTime } from '../time.ts'
import { type FieldForm, type Forms, type MessageForm, SCHEMA } from './forms.ts'

type Fields = Readonly<Record<string, unknown>>

const NOTHING: Fields = {}
const NO_FIELDS: MessageForm = { fields: [], byNumber: new Map() }

export class MessageWriter {
  readonly #forms: Forms
  readonly #wire: WireWriter

  constructor(forms: Forms, wire: WireWriter) {
    this.#forms = forms
    this.#wire = wire
  }

  fields(typeName: string, object: Fields): void {
    const form = this.#forms(typeName) ?? NO_FIELDS
    for (const field of form.fields) this.#field(field, field.isInline ? object : object[field.name])
  }

  #field(field: FieldForm, value: unknown): void {
    if (field.repeated === 'no') {
      if (value !== undefined && value !== null) this.#value(field, field.number, value)
      else if (isAlwaysWritten(field)) this.#value(field, field.number, undefined)
    } else if (field.repeated === 'list') {
      if (Array.isArray(value)) for (const item of value) this.#value(field, field.number, item ?? undefined)
    } else if (isMap(value)) this.#map(field, value)
  }

  #map(field: FieldForm, map: Fields): void {
    for (const key of Object.keys(map).sort()) {
      const begun = this.#wire.begin(field.number)
      this.#wire.setString(1, key)
      this.#value(field, 2, map[key] ?? undefined)
      this.#wire.end(begun)
    }
  }

  /** `undefined` is Go's zero value. */
  #value(field: FieldForm, number: number, value: unknown): void {
    switch (field.value) {
      case 'string':
        this.#wire.setString(number, textOf(value))
        return
      case 'int':
        this.#wire.setInt64(number, numberOf(value))
        return
      case 'bool':
        this.#wire.setInt64(number, value === true ? 1 : 0)
        return
      case 'double':
        this.#wire.setDouble(number, numberOf(value))
        return
      case 'bytes':
        this.#wire.repeatedBytes(number, Buffer.from(textOf(value), 'base64'))
        return
      default: {
        const begun = this.#wire.begin(number)
        this.#inside(field, value)
        this.#wire.end(begun)
      }
    }
  }

  #inside(field: FieldForm, value: unknown): void {
    switch (field.value) {
      case 'message':
        this.fields(field.typeName, isMap(value) ? value : NOTHING)
        return
      case 'quantity':
        this.#wire.setString(1, value === undefined ? '0' : String(value))
        return
      case 'int-or-string':
        this.#intOrString(value)
        return
      case 'time':
      case 'micro-time':
        this.#time(textOf(value), field.value)
        return
      case 'json':
        if (value !== undefined) this.#wire.setString(1, JSON.stringify(value))
        return
      case 'strings':
        if (Array.isArray(value)) for (const text of value) this.#wire.setString(1, textOf(text))
        return
      default:
        this.#schemaOr(field, value)
    }
  }

  #intOrString(value: unknown): void {
    const isText = typeof value === 'string'
    this.#wire.setInt64(1, isText ? 1 : 0)
    this.#wire.setInt64(2, isText ? 0 : numberOf(value))
    this.#wire.setString(3, isText ? value : '')
  }

  /** Whole seconds; a micro time has what is left of them, too. */
  #time(text: string, form: 'time' | 'micro-time'): void {
    const ms = parseTime(text)
    if (ms === null) return
    this.#wire.setInt64(1, Math.floor(ms / 1000))
    const [, fraction = ''] = /\.(\d+)/.exec(text) ?? []
    const micros = form === 'time' ? 0 : Number(fraction.slice(0, 6).padEnd(6, '0'))
    this.#wire.setInt64(2, micros * 1000)
  }

  /** A schema, or something else where JSON has either: a boolean, a list of schemas, a list of texts. */
  #schemaOr({ value: form }: FieldForm, value: unknown): void {
    const hasFlag = form === 'schema-or-bool'
    if (hasFlag) this.#wire.setInt64(1, value === true || isMap(value) ? 1 : 0)
    if (isMap(value)) this.#schema(hasFlag ? 2 : 1, value)
    else if (Array.isArray(value)) {
      for (const item of value) {
        if (form === 'schema-or-array') this.#schema(2, isMap(item) ? item : NOTHING)
        else this.#wire.setString(2, textOf(item))
      }
    }
  }

  #schema(number: number, value: Fields): void {
    const begun = this.#wire.begin(number)
    this.fields(SCHEMA, value)
    this.#wire.end(begun)
  }
}

/** Pointers and what Go keeps as a slice are written when they are set, all else always. */
const isAlwaysWritten = ({ isPointer, value }: FieldForm): boolean =>
  !isPointer && value !== 'bytes' && value !== 'strings'

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

const numberOf = (value: unknown): number => (typeof value === 'number' ? value : 0)
