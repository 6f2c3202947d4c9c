/** Assertions: a broken one is a bug. Nobody catches it; the process logs, flushes and exits 70. */

export class AssertionFailure extends Error {
  override readonly name = 'AssertionFailure'
}

/** Throws unless `condition` holds. `invariant` states positively what must hold. */
export function assert(condition: unknown, invariant: string): asserts condition {
  if (!condition) throw new AssertionFailure(`broken invariant: ${invariant}`)
}

/** The value, which must be there; `what` names it. */
export function must<T>(value: T | null | undefined, what: string): T {
  if (value === null || value === undefined) throw new AssertionFailure(`missing: ${what}`)
  return value
}

/** Ends an exhaustive switch over a union. */
export function unreachable(value: never): never {
  throw new AssertionFailure(`unexpected value: ${JSON.stringify(value)}`)
}
