/** Copies of JSON values, and the one safe way to set a key that came from outside. */

/** Sets an own property, whatever the key is called: `__proto__` becomes data, not a prototype. */
export function setKey(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__') {
    Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true })
  } else {
    target[key] = value
  }
}

/** A deep copy of a JSON value. */
export function cloneJson<T>(value: T): T {
  return copy(value) as T
}

function copy(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) {
    const length = value.length
    const items = new Array<unknown>(length)
    for (let i = 0; i < length; i++) items[i] = copy(value[i])
    return items
  }
  const from = value as Record<string, unknown>
  const to: Record<string, unknown> = {}
  for (const key in from) setKey(to, key, copy(from[key]))
  return to
}
