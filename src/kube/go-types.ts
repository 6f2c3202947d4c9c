/** Type names and type errors in the words of Go's JSON decoder, which clients of kube-apiserver see. */
import { isMap } from './json-map.ts'
import type { TypeRef } from './model-types.ts'

const SHOWN_CHARS_MAX = 64

/** `json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32`. */
export function typeError(
  type: TypeRef,
  value: unknown,
  at: { readonly owner: string; readonly path: string },
): string {
  const found = `json: cannot unmarshal ${jsonKind(type, value)}`
  return at.owner === ''
    ? `${found} into Go value of type ${goType(type)}`
    : `${found} into Go struct field ${at.owner}.${at.path} of type ${goType(type)}`
}

function jsonKind(type: TypeRef, value: unknown): string {
  switch (typeof value) {
    case 'string':
      return 'string'
    case 'boolean':
      return 'bool'
    case 'number':
      return type.kind === 'integer' ? `number ${String(value).slice(0, SHOWN_CHARS_MAX)}` : 'number'
    default:
      return Array.isArray(value) ? 'array' : 'object'
  }
}

/** `[]v1.Container`, `map[string]string`, `int32`. */
export function goType(type: TypeRef): string {
  switch (type.kind) {
    case 'integer':
      return `int${type.bits}`
    case 'number':
      return 'float64'
    case 'boolean':
      return 'bool'
    case 'bytes':
      return '[]uint8'
    case 'time':
      return 'v1.Time'
    case 'micro-time':
      return 'v1.MicroTime'
    case 'quantity':
      return 'resource.Quantity'
    case 'int-or-string':
      return 'intstr.IntOrString'
    case 'array':
      return `[]${goType(type.items)}`
    case 'map':
      return `map[string]${goType(type.values)}`
    case 'object':
      return type.name.split('.').slice(-2).join('.')
    default:
      return type.kind === 'string' ? 'string' : 'runtime.RawExtension'
  }
}

/** A value as Go prints a map: `map[a:1 b:[x y]]`. */
export function goText(value: unknown): string {
  if (value === null || value === undefined) return '<nil>'
  if (Array.isArray(value)) return `[${value.map(goText).join(' ')}]`
  if (!isMap(value)) return String(value)
  const keys = Object.keys(value).sort()
  return `map[${keys.map(key => `${key}:${goText(value[key])}`).join(' ')}]`
}
