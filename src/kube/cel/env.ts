/** What an expression may refer to: variables, functions, types and structs. */
import type { FunctionTable } from './functions.ts'
import type { CelType, ObjectType } from './types.ts'
import {
  BOOL,
  BYTES,
  DOUBLE,
  DURATION,
  DYN,
  INT,
  listOf,
  mapOf,
  NULL,
  opaque,
  optionalOf,
  STRING,
  TIMESTAMP,
  typeOf,
  UINT,
} from './types.ts'
import type { CelValue, StructValue } from './values.ts'

export interface CelEnv {
  readonly variables: ReadonlyMap<string, CelType>
  readonly functions: FunctionTable
  /** Type names that an expression may use as values: `int`, `google.protobuf.Timestamp`. */
  readonly typeNames: ReadonlyMap<string, CelType>
  /** Lists and maps in the source must have items of one type. */
  readonly isHomogeneous: boolean
  /** The types that may be constructed, `Object.spec{…}`. */
  structs?(name: string): ObjectType | null
  /** Makes a value of such a type. */
  construct?(type: ObjectType, fields: ReadonlyMap<string, CelValue>): StructValue
}

export const TYPE_NAMES: ReadonlyMap<string, CelType> = new Map<string, CelType>([
  ['bool', BOOL],
  ['int', INT],
  ['uint', UINT],
  ['double', DOUBLE],
  ['string', STRING],
  ['bytes', BYTES],
  ['null_type', NULL],
  ['list', listOf(DYN)],
  ['map', mapOf(DYN, DYN)],
  ['type', typeOf(DYN)],
  ['optional_type', optionalOf(DYN)],
  ['google.protobuf.Timestamp', TIMESTAMP],
  ['google.protobuf.Duration', DURATION],
  ['kubernetes.Quantity', opaque('kubernetes.Quantity')],
  ['kubernetes.URL', opaque('kubernetes.URL')],
  ['kubernetes.Semver', opaque('kubernetes.Semver')],
  ['net.IP', opaque('net.IP')],
  ['net.CIDR', opaque('net.CIDR')],
])
