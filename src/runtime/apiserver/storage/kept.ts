/** Something made out of stored objects, and made anew when one of them has changed. */
import { prefixEnd, type Store } from '../../store/store.ts'

export interface Kept<T> {
  current(): T
  stop(): void
}

/** `prefixes`: the keys that it is made of. Without a watch it is made each time. */
export function keep<T>(
  store: Pick<Store, 'watch' | 'revision'>,
  prefixes: readonly string[],
  make: () => T,
): Kept<T> {
  let made: { readonly value: T } | null = null
  const watches = new Map<string, { close(): void }>()
  let stopped = false
  const follow = (prefix: string) => {
    const range = { start: prefix, end: prefixEnd(prefix), after: store.revision }
    const listener = {
      onEvents: () => {
        made = null
      },
      onClosed: () => {
        watches.delete(prefix)
        made = null
      },
    }
    watches.set(prefix, store.watch(range, listener))
  }
  return {
    current() {
      if (made !== null) return made.value
      if (!stopped) for (const prefix of prefixes) if (!watches.has(prefix)) follow(prefix)
      const value = make()
      if (watches.size === prefixes.length) made = { value }
      return value
    },
    stop() {
      stopped = true
      made = null
      for (const watch of watches.values()) watch.close()
      watches.clear()
    },
  }
}
