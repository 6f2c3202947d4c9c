/** How much of the volume is used, and whether more may come: the claim's size is the quota. */
import { systemCodeOf } from '../../base/errors.ts'
import { noRoom, type RegistryError } from './registry-error.ts'

export class Room {
  readonly bytesMax: number
  #used = 0

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax
  }

  get usedBytes(): number {
    return this.#used
  }

  /** Throws when they do not fit. */
  take(bytes: number): void {
    if (this.#used + bytes > this.bytesMax) throw this.#full()
    this.#used += bytes
  }

  /** Of what was there already; there may be more than the quota allows by now. */
  count(bytes: number): void {
    this.#used += bytes
  }

  giveBack(bytes: number): void {
    this.#used = Math.max(0, this.#used - bytes)
  }

  /** Throws before the first byte of what is known to be too much. */
  expect(bytes: number): void {
    if (this.#used + bytes > this.bytesMax) throw this.#full()
  }

  #full(): RegistryError {
    const used = `${this.#used} of ${this.bytesMax} bytes are used`
    return noRoom(`the registry's volume is full: ${used}; delete images and collect garbage, or enlarge it`)
  }
}

/** What the disk refused, in words; anything else stays what it is. */
export function roomError(error: unknown): unknown {
  const code = systemCodeOf(error)
  if (code === 'ENOSPC') return noRoom('the disk of the registry is full')
  return code === 'EDQUOT' ? noRoom('the quota of the file system is used up') : error
}
