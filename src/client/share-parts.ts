/**
 * Objects of one template differ in little: what a new object has in common with one that is kept already is kept
 * once. For objects that nobody changes.
 */
import { setKey } from '../kube/clone.ts'

/** `next` with the parts of `model` that are equal; `model` itself where all of it is. Changes `next`. */
export function shareParts<T>(next: T, model: unknown): T {
  return shared(next, model) as T
}

function shared(next: unknown, model: unknown): unknown {
  if (next === model) return model
  if (typeof next !== 'object' || typeof model !== 'object' || next === null || model === null) return next
  if (Array.isArray(next)) return Array.isArray(model) ? sharedList(next, model) : next
  if (Array.isArray(model)) return next
  return sharedMap(next as Record<string, unknown>, model as Readonly<Record<string, unknown>>)
}

function sharedList(next: unknown[], model: readonly unknown[]): readonly unknown[] {
  let isEqual = next.length === model.length
  for (let at = 0; at < next.length && at < model.length; at++) {
    const part = shared(next[at], model[at])
    if (part !== model[at]) isEqual = false
    if (part !== next[at]) next[at] = part
  }
  return isEqual ? model : next
}

function sharedMap(
  next: Record<string, unknown>,
  model: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const keys = Object.keys(next)
  const modelKeys = Object.keys(model)
  let isEqual = keys.length === modelKeys.length
  for (const [at, key] of keys.entries()) {
    if (!Object.hasOwn(model, key)) {
      isEqual = false
      continue
    }
    const known = model[key]
    const value = next[key]
    const part = shared(value, known)
    if (part !== known || modelKeys[at] !== key) isEqual = false
    // Equal texts become one text as well.
    if (part !== value || (typeof value === 'string' && value === known)) setKey(next, key, part)
  }
  return isEqual ? model : next
}
