/** Writers of one key that lost a race go on one after the other, so that each of them gets through. */

export interface Turns {
  /** Resolves when it is this one's turn; the function ends it, and must be called. */
  take(key: string): Promise<() => void>
}

/** Bounded by the requests under way, each of which waits for one turn at most. */
export function createTurns(): Turns {
  const last = new Map<string, Promise<void>>()
  return {
    async take(key) {
      const before = last.get(key)
      const { promise, resolve } = Promise.withResolvers<void>()
      last.set(key, promise)
      await before
      return () => {
        if (last.get(key) === promise) last.delete(key)
        resolve()
      }
    },
  }
}
