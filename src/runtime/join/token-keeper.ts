/**
 * The leader's duty of one term: forgets tokens and reservations whose time is over, and takes back attempts whose
 * node was made a member but never came, because its machine or its joiner died half-way.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import type { Component, Health } from '../../base/component.ts'
import { messageOf } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import type { NodeDirectory } from './attempts.ts'
import { Ledger, type LedgerStore } from './ledger.ts'
import type { JoinAttempt } from './tokens.ts'

const LOOK_MS = 30_000

export interface TokenKeeperParts {
  readonly store: LedgerStore
  /** The term that this duty belongs to; its writes are fenced with it. */
  readonly term: number
  readonly nodes: NodeDirectory
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export function createTokenKeeper(parts: TokenKeeperParts): Component {
  return new Keeper(parts)
}

class Keeper implements Component {
  readonly name = 'token-keeper'
  readonly #parts: TokenKeeperParts
  readonly #ledger: Ledger
  #timer: Timer | null = null
  #working: Promise<void> = Promise.resolve()
  #stopped = false

  constructor(parts: TokenKeeperParts) {
    this.#parts = parts
    this.#ledger = new Ledger(parts.store, parts.random)
  }

  async prepare(): Promise<void> {}

  async start(): Promise<void> {
    this.#later()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#timer?.cancel()
    await this.#working
  }

  health(): Health {
    return { ok: true, reason: '' }
  }

  #later(): void {
    if (this.#stopped) return
    this.#timer = this.#parts.clock.after(LOOK_MS, () => {
      this.#working = this.#look().finally(() => this.#later())
    })
  }

  async #look(): Promise<void> {
    const { clock, term, nodes, log } = this.#parts
    try {
      for (const token of this.#ledger.tokens()) {
        const isIn = ({ node }: JoinAttempt) => nodes.presence(node.name) === 'ready'
        for (const { node } of await this.#ledger.keepUp(token, clock.now(), isIn, term)) {
          log.warn('a node was to join and never came; it is taken out again', { node: node.name })
          if (node.role === 'worker') await nodes.remove(node.name)
        }
      }
    } catch (error) {
      // Another leader goes on, or the next look does.
      log.debug('the join tokens could not be looked after', { why: messageOf(error) })
    }
  }
}
