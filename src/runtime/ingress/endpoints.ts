/** Which endpoint of a pool is next: in turns, those that refused a moment ago last. */
import type { Clock } from '../../base/clock.ts'
import type { Endpoint } from './pools.ts'

/** Whoever refused a connection is left alone for so long, while there are others. */
const ASIDE_MS = 5_000
const ASIDE_MAX = 4_096

export class Endpoints {
  readonly #clock: Clock
  readonly #turns = new Map<string, number>()
  readonly #aside = new Map<string, number>()
  #pools: ReadonlyMap<string, readonly Endpoint[]> = new Map()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  set(pools: ReadonlyMap<string, readonly Endpoint[]>): void {
    this.#pools = pools
    for (const pool of this.#turns.keys()) if (!pools.has(pool)) this.#turns.delete(pool)
  }

  /** All of a pool, in the order in which they are to be tried. */
  inOrder(pool: string): readonly Endpoint[] {
    const all = this.#pools.get(pool) ?? []
    if (all.length < 2) return all
    const turn = (this.#turns.get(pool) ?? -1) + 1
    this.#turns.set(pool, turn % all.length)
    const turned = [...all.slice(turn % all.length), ...all.slice(0, turn % all.length)]
    if (this.#aside.size === 0) return turned
    const now = this.#clock.monotonic()
    const isAside = (endpoint: Endpoint) => (this.#aside.get(keyOf(endpoint)) ?? 0) > now
    return [...turned.filter(one => !isAside(one)), ...turned.filter(isAside)]
  }

  refused(endpoint: Endpoint): void {
    if (this.#aside.size >= ASIDE_MAX) this.#aside.clear()
    this.#aside.set(keyOf(endpoint), this.#clock.monotonic() + ASIDE_MS)
  }

  answered(endpoint: Endpoint): void {
    if (this.#aside.size > 0) this.#aside.delete(keyOf(endpoint))
  }
}

const keyOf = ({ address, port }: Endpoint): string => `${address} ${port}`
