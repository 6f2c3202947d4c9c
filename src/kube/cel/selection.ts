/** `value.field`, `value[key]`, `has(value.field)` and their optional forms. */
import { numeric } from './equality.ts'
import type { CelValue } from './values.ts'
import {
  CelError,
  isList,
  MapValue,
  NONE,
  noSuchKey,
  noSuchOverload,
  Optional,
  StructValue,
} from './values.ts'

export function fieldOf(value: CelValue, field: string): CelValue {
  if (value instanceof Optional) return optionalField(value, field)
  const found = lookUp(value, field)
  if (found === undefined) throw noSuchKey(field)
  return found
}

function lookUp(value: CelValue, field: string): CelValue | undefined {
  if (value instanceof StructValue || value instanceof MapValue) return value.get(field)
  throw noSuchOverload()
}

export function hasField(value: CelValue, field: string): boolean {
  if (value instanceof Optional) return value.value !== undefined && hasField(value.value, field)
  if (value instanceof StructValue) return value.has(field)
  return lookUp(value, field) !== undefined
}

const wrap = (value: CelValue | undefined): Optional => (value === undefined ? NONE : new Optional(value))

/** Nothing where the field is absent; nothing of nothing. */
export function optionalField(value: CelValue, field: string): Optional {
  if (!(value instanceof Optional)) return wrap(lookUp(value, field))
  return value.value === undefined ? NONE : optionalField(value.value, field)
}

export function indexOf(value: CelValue, key: CelValue): CelValue {
  if (value instanceof Optional) return optionalIndex(value, key)
  const found = at(value, key)
  if (found !== undefined) return found
  if (isList(value)) throw new CelError(`index out of bounds: ${String(numeric(key))}`)
  throw noSuchKey(describeKey(key))
}

export function optionalIndex(value: CelValue, key: CelValue): Optional {
  if (!(value instanceof Optional)) return wrap(at(value, key))
  return value.value === undefined ? NONE : optionalIndex(value.value, key)
}

function at(value: CelValue, key: CelValue): CelValue | undefined {
  if (value instanceof MapValue) return value.get(key)
  if (value instanceof StructValue && typeof key === 'string') return value.get(key)
  if (!isList(value)) throw noSuchOverload()
  const index = numeric(key)
  if (index === null) throw noSuchOverload()
  if (typeof index === 'number' && !Number.isInteger(index)) {
    throw new CelError(`unsupported index value ${index}`)
  }
  return index >= 0 ? value[Number(index)] : undefined
}

function describeKey(key: CelValue): string {
  const number = numeric(key)
  return number === null ? String(key) : String(number)
}
