/** JSON merge patch (RFC 7386). */
import { cloneJson, setKey } from '../clone.ts'
import { isMap, type JsonMap } from '../json-map.ts'
import { badRequest } from '../status.ts'

/** The patched value; neither argument is changed. Throws 400 when the patch is no object. */
export function applyMergePatch(target: unknown, patch: unknown): unknown {
  if (!isMap(patch)) throw badRequest('Invalid JSON Patch')
  return merge(target, patch)
}

function merge(target: unknown, patch: JsonMap): JsonMap {
  const result: JsonMap = isMap(target) ? { ...target } : {}
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key]
    else if (isMap(value))
      setKey(result, key, merge(Object.hasOwn(result, key) ? result[key] : undefined, value))
    else setKey(result, key, cloneJson(value))
  }
  return result
}
