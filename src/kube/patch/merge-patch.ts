/** JSON merge patch (RFC 7386). */
import { cloneJson, setKey } from '../clone.ts'
import { badRequest } from '../status.ts'

type Fields = Record<string, unknown>

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The patched value; neither argument is changed. Throws 400 when the patch is no object. */
export function applyMergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) throw badRequest('Invalid JSON Patch')
  return merge(target, patch)
}

function merge(target: unknown, patch: Fields): Fields {
  const result: Fields = isObject(target) ? { ...target } : {}
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key]
    else if (isObject(value))
      setKey(result, key, merge(Object.hasOwn(result, key) ? result[key] : undefined, value))
    else setKey(result, key, cloneJson(value))
  }
  return result
}
