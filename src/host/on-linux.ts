/** What only Linux has, and not everywhere. */
import { system } from './system.ts'

/** What needs functions of Linux' C library, made when it is first asked for; null where they cannot be called. */
export function onLinux<T>(make: () => T): () => T | null {
  let made: T | null | undefined
  return () => {
    if (made === undefined) {
      try {
        made = system === 'linux' ? make() : null
      } catch {
        made = null
      }
    }
    return made
  }
}
