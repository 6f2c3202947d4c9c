/** Equality of JSON values: exact, and as Kubernetes compares objects (unset and empty are the same). */

/** True when both hold the same JSON; order of keys does not matter, a key set to undefined is absent. */
export function equalJson(a: unknown, b: unknown): boolean {
  return compare(a, b, false)
}

/** As `equalJson`, but absent, null, `{}` and `[]` are all equal to each other. */
export function semanticEqual(a: unknown, b: unknown): boolean {
  return compare(a, b, true)
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null) return true
  if (typeof value !== 'object') return false
  if (Array.isArray(value)) return value.length === 0
  for (const key in value) if ((value as Record<string, unknown>)[key] !== undefined) return false
  return true
}

function compare(a: unknown, b: unknown, semantic: boolean): boolean {
  if (a === b) return true
  const objects = typeof a === 'object' && typeof b === 'object' && a !== null && b !== null
  if (!objects) return semantic && isEmpty(a) && isEmpty(b)
  if (Array.isArray(a) !== Array.isArray(b)) return semantic && isEmpty(a) && isEmpty(b)
  if (Array.isArray(a)) return compareArrays(a, b as unknown[], semantic)
  return compareObjects(a as Record<string, unknown>, b as Record<string, unknown>, semantic)
}

function compareArrays(a: readonly unknown[], b: readonly unknown[], semantic: boolean): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (!compare(a[i], b[i], semantic)) return false
  return true
}

function compareObjects(a: Record<string, unknown>, b: Record<string, unknown>, semantic: boolean): boolean {
  for (const key in a)
    if (!compare(a[key], Object.hasOwn(b, key) ? b[key] : undefined, semantic)) return false
  for (const key in b) {
    if (!Object.hasOwn(a, key) && !compare(undefined, b[key], semantic)) return false
  }
  return true
}
