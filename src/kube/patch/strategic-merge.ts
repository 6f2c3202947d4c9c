/**
 * Strategic merge patch: a merge that knows, from the model, which lists merge by which key. Follows upstream's
 * rules for directives ($patch, $retainKeys, $deleteFromPrimitiveList, $setElementOrder) and for order.
 */

import { cloneJson, setKey } from '../clone.ts'
import { goText } from '../go-types.ts'
import { isMap } from '../json-map.ts'
import type { FieldInfo, Model, TypeRef } from '../model-types.ts'
import { badRequest, plainFailure } from '../status.ts'
import {
  DIRECTIVE,
  type Fields,
  type ListRules,
  mergeLists,
  orderLists,
  withoutDirectives,
} from './strategic-lists.ts'

const RETAIN_KEYS = '$retainKeys'
const DELETE_PREFIX = '$deleteFromPrimitiveList/'
const ORDER_PREFIX = '$setElementOrder/'

/** The patched object; neither argument is changed. Throws a 400 StatusError when the patch is malformed. */
export function applyStrategicMerge(
  model: Model,
  typeName: string,
  original: unknown,
  patch: unknown,
): Fields {
  if (!isMap(patch)) throw badRequest('invalid JSON document')
  const target = isMap(original) ? (cloneJson(original) as Fields) : {}
  return mergeObjects(model, { kind: 'object', name: typeName }, target, cloneJson(patch))
}

/** What is known of a field of a value of this type; undefined inside of what the model does not describe. */
function fieldOf(model: Model, type: TypeRef | undefined, name: string): FieldInfo | undefined {
  return type?.kind === 'object' ? model.types.get(type.name)?.fields.get(name) : undefined
}

function childType(type: TypeRef | undefined, field: FieldInfo | undefined): TypeRef | undefined {
  return type?.kind === 'map' ? type.values : field?.type
}

/** Merges `patch` into `original`; both are ours to change. */
function mergeObjects(model: Model, type: TypeRef | undefined, original: Fields, patch: Fields): Fields {
  const directive = patch[DIRECTIVE]
  if (directive !== undefined) {
    delete patch[DIRECTIVE]
    if (directive === 'replace') return patch
    if (directive === 'delete') return {}
    if (directive !== 'merge')
      throw plainFailure(`unknown patch type: ${String(directive)} in map: ${goText(patch)}`)
  }
  retainKeys(original, patch)
  mergeOrdered(model, type, original, patch)
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith(DELETE_PREFIX)) deleteFromList(original, key.slice(DELETE_PREFIX.length), value)
    else mergeField({ model, type, original, key }, value)
  }
  return original
}

function retainKeys(original: Fields, patch: Fields): void {
  const keys = patch[RETAIN_KEYS]
  if (keys === undefined) return
  delete patch[RETAIN_KEYS]
  if (!Array.isArray(keys)) throw badRequest('invalid patch format of retainKeys')
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith('$') || value === null || keys.includes(key)) continue
    throw plainFailure("patch content doesn't match retainKeys list")
  }
  for (const key of Object.keys(original)) if (!keys.includes(key)) delete original[key]
}

interface FieldMerge {
  readonly model: Model
  readonly type: TypeRef | undefined
  readonly original: Fields
  readonly key: string
}

function mergeField({ model, type, original, key }: FieldMerge, value: unknown): void {
  const found = Object.hasOwn(original, key) ? original[key] : undefined
  if (value === null) {
    delete original[key]
    return
  }
  const field = fieldOf(model, type, key)
  const inner = childType(type, field)
  const replaces = field?.patchStrategy?.includes('replace') === true
  if (isMap(found) && isMap(value) && !replaces) {
    setKey(original, key, mergeObjects(model, inner, found, value))
  } else if (
    Array.isArray(found) &&
    Array.isArray(value) &&
    field?.patchStrategy?.includes('merge') === true
  ) {
    setKey(original, key, mergeLists(listRules(model, inner, field), found, value))
  } else setKey(original, key, withoutDirectives(value))
}

function listRules(model: Model, list: TypeRef | undefined, field: FieldInfo | undefined): ListRules {
  const type = list?.kind === 'array' ? list.items : undefined
  return {
    mergeItem: (original, patch) => mergeObjects(model, type, original, patch),
    mergeKey: field?.patchMergeKey,
  }
}

function deleteFromList(original: Fields, key: string, values: unknown): void {
  if (!Array.isArray(values)) throw badRequest('invalid patch format of primitive list')
  const found = original[key]
  if (!Array.isArray(found)) return
  original[key] = found.filter(item => !values.includes(item))
}

/** Lists with a $setElementOrder: merged and put in order here, and taken out of the patch. */
function mergeOrdered(model: Model, type: TypeRef | undefined, original: Fields, patch: Fields): void {
  for (const directive of Object.keys(patch)) {
    if (!directive.startsWith(ORDER_PREFIX)) continue
    const key = directive.slice(ORDER_PREFIX.length)
    const order = patch[directive]
    const values = patch[key]
    delete patch[directive]
    if (!Array.isArray(order) || (values !== undefined && values !== null && !Array.isArray(values))) {
      throw badRequest('invalid patch format of setElementOrder list')
    }
    if (values === null) continue
    delete patch[key]
    const field = fieldOf(model, type, key)
    const found = original[key]
    const ordered = orderLists(listRules(model, field?.type, field), {
      original: Array.isArray(found) ? found : undefined,
      patch: values,
      order,
    })
    if (ordered !== null) original[key] = ordered
  }
}
