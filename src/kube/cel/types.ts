/**
 * The types of the language. Beside its own there are declared objects (with fields), opaque types of the
 * libraries, and type parameters in the declarations of functions. A type may know the largest size of its values.
 */

/** Scalars, and what has no parts. */
type SimpleKind =
  | 'dyn'
  | 'error'
  | 'null'
  | 'bool'
  | 'int'
  | 'uint'
  | 'double'
  | 'string'
  | 'bytes'
  | 'timestamp'
  | 'duration'

interface Sized {
  /** The most characters, items or entries a value may have; for the static estimate of cost. */
  readonly maxElements?: number
}

export interface ListType extends Sized {
  readonly kind: 'list'
  readonly item: CelType
  /** Lists of custom resources that are sets or maps compare and add without order. */
  readonly listType?: 'set' | 'map'
  readonly mapKeys?: readonly string[]
}

export interface MapType extends Sized {
  readonly kind: 'map'
  readonly key: CelType
  readonly value: CelType
}

export interface ObjectType {
  readonly kind: 'object'
  readonly name: string
  /** By the name an expression uses, that is, escaped. */
  readonly fields: ReadonlyMap<string, ObjectField>
  /** Fields are not known (a part whose unknown fields are preserved): any may be selected. */
  readonly open?: boolean
}

export interface ObjectField {
  /** The name in JSON. */
  readonly name: string
  readonly type: CelType
}

export type CelType =
  | ({ readonly kind: SimpleKind } & Sized & { readonly format?: 'int-or-string' | 'date' | 'date-time' })
  | ListType
  | MapType
  | ObjectType
  | { readonly kind: 'optional'; readonly item: CelType }
  | { readonly kind: 'type'; readonly of: CelType }
  | { readonly kind: 'opaque'; readonly name: string }
  | { readonly kind: 'param'; readonly name: string }

export const DYN: CelType = { kind: 'dyn' }
export const ERROR: CelType = { kind: 'error' }
export const NULL: CelType = { kind: 'null' }
export const BOOL: CelType = { kind: 'bool' }
export const INT: CelType = { kind: 'int' }
export const UINT: CelType = { kind: 'uint' }
export const DOUBLE: CelType = { kind: 'double' }
export const STRING: CelType = { kind: 'string' }
export const BYTES: CelType = { kind: 'bytes' }
export const TIMESTAMP: CelType = { kind: 'timestamp' }
export const DURATION: CelType = { kind: 'duration' }

export const listOf = (item: CelType): ListType => ({ kind: 'list', item })
export const mapOf = (key: CelType, value: CelType): MapType => ({ kind: 'map', key, value })
export const optionalOf = (item: CelType): CelType => ({ kind: 'optional', item })
export const typeOf = (of: CelType): CelType => ({ kind: 'type', of })
export const opaque = (name: string): CelType => ({ kind: 'opaque', name })
export const param = (name: string): CelType => ({ kind: 'param', name })

export const A = param('A')
export const B = param('B')

/** An object type out of a record of its fields. */
export function objectOf(name: string, fields: Readonly<Record<string, CelType>>): ObjectType {
  const entries = Object.entries(fields).map(([field, type]) => [field, { name: field, type }] as const)
  return { kind: 'object', name, fields: new Map(entries) }
}

const RUNTIME_NAMES: Readonly<Partial<Record<CelType['kind'], string>>> = {
  null: 'null_type',
  timestamp: 'google.protobuf.Timestamp',
  duration: 'google.protobuf.Duration',
  optional: 'optional_type',
}

/** The name under which `type(value)` knows the type. */
export function runtimeName(type: CelType): string {
  if (type.kind === 'object' || type.kind === 'opaque' || type.kind === 'param') return type.name
  return RUNTIME_NAMES[type.kind] ?? type.kind
}

/** `list(int)`, as error messages name types. */
export function formatType(type: CelType): string {
  switch (type.kind) {
    case 'list':
      return `list(${formatType(type.item)})`
    case 'map':
      return `map(${formatType(type.key)}, ${formatType(type.value)})`
    case 'optional':
      return `optional_type(${formatType(type.item)})`
    case 'type':
      return `type(${formatType(type.of)})`
    case 'object':
    case 'opaque':
    case 'param':
      return type.name
    case 'error':
      return '!error!'
    default:
      return type.kind
  }
}

/** Same type, whatever is known of sizes. */
export function sameType(a: CelType, b: CelType): boolean {
  if (a === b) return true
  if (a.kind !== b.kind) return false
  switch (a.kind) {
    case 'list':
      return b.kind === 'list' && sameType(a.item, b.item)
    case 'map':
      return b.kind === 'map' && sameType(a.key, b.key) && sameType(a.value, b.value)
    case 'optional':
      return b.kind === 'optional' && sameType(a.item, b.item)
    case 'type':
      return b.kind === 'type' && sameType(a.of, b.of)
    case 'object':
    case 'opaque':
    case 'param':
      return 'name' in b && a.name === b.name
    default:
      return true
  }
}
