/** Chooses a backend for a client: in turn, or the one this client had before. */

import type { Clock } from '../../base/clock.ts'
import type { ProxyRule } from './proxy-rules.ts'
import type { Backend } from './usable-backends.ts'

/** Clients whose backend is remembered; the oldest is forgotten. */
const CLIENTS_MAX = 4_096

interface Sticky {
  readonly backend: string
  readonly untilMs: number
}

export class Balancer {
  readonly #clock: Clock
  readonly #sticky = new Map<string, Sticky>()
  #rule: ProxyRule
  #next = 0

  constructor(rule: ProxyRule, clock: Clock) {
    this.#rule = rule
    this.#clock = clock
  }

  get rule(): ProxyRule {
    return this.#rule
  }

  set rule(rule: ProxyRule) {
    this.#rule = rule
  }

  has(backend: Backend): boolean {
    return this.#rule.backends.some(
      ({ address, port }) => address === backend.address && port === backend.port,
    )
  }

  /** All backends in the order to try them. */
  order(client: string): Backend[] {
    const { backends, affinityMs } = this.#rule
    const start = backends.length === 0 ? 0 : this.#next++ % backends.length
    const turn = [...backends.slice(start), ...backends.slice(0, start)]
    if (affinityMs === null) return turn
    const known = this.#sticky.get(client)
    const before = turn.find(backend => keyOf(backend) === known?.backend)
    if (known === undefined || before === undefined || known.untilMs < this.#clock.monotonic()) {
      // At once, so that connections which a new client opens together go to the same backend.
      const [first] = turn
      if (first !== undefined) this.remember(client, first)
      return turn
    }
    return [before, ...turn.filter(backend => backend !== before)]
  }

  /** The client was connected to this backend. */
  remember(client: string, backend: Backend): void {
    const { affinityMs } = this.#rule
    if (affinityMs === null) return
    this.#sticky.delete(client)
    this.#sticky.set(client, { backend: keyOf(backend), untilMs: this.#clock.monotonic() + affinityMs })
    const [oldest] = this.#sticky.keys()
    if (this.#sticky.size > CLIENTS_MAX && oldest !== undefined) this.#sticky.delete(oldest)
  }
}

const keyOf = (backend: Backend) => `${backend.address}:${backend.port}`
