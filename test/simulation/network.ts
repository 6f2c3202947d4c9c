/** The network between members: it loses, delays, repeats and reorders, and links fail one way or both. */

import type { MemberId } from '../../src/runtime/raft/messages.ts'
import type { PeerMessage } from '../../src/runtime/store/peers/peer-network.ts'
import { encodeMessage, MessageReader } from '../../src/runtime/store/peers/wire.ts'
import type { SimulationOptions } from './options.ts'
import type { World } from './world.ts'

export type Receive = (from: MemberId, message: PeerMessage) => void

export class Network {
  readonly #world: World
  readonly #options: SimulationOptions
  readonly #receivers = new Map<MemberId, Receive>()
  readonly #blocked = new Set<string>()
  readonly #lastArrival = new Map<string, number>()
  #faulty = true

  constructor(world: World, options: SimulationOptions) {
    this.#world = world
    this.#options = options
  }

  attach(id: MemberId, receive: Receive): void {
    this.#receivers.set(id, receive)
  }

  send(from: MemberId, to: MemberId, message: PeerMessage): void {
    const { loss, duplicates } = this.#options
    const lost = this.#faulty && this.#world.chance('network', loss)
    if (lost || this.#blocked.has(`${from}>${to}`)) return
    const bytes = encodeMessage(message)
    this.#deliver(from, to, bytes)
    // What members say beside Raft rests on links that repeat nothing.
    const repeats = message.type === 'raft' && this.#world.chance('network', duplicates)
    if (this.#faulty && repeats) this.#deliver(from, to, bytes)
  }

  #deliver(from: MemberId, to: MemberId, bytes: Buffer): void {
    const { latency, latencyFloor, latencySpread, inOrder } = this.#options
    const spread = this.#world.random('network').float() ** 3 * (this.#faulty ? latencySpread : 1)
    const link = `${from}>${to}`
    let arrival = this.#world.now + latency + latencyFloor + spread
    if (inOrder) arrival = Math.max(arrival, this.#lastArrival.get(link) ?? 0)
    this.#lastArrival.set(link, arrival)
    this.#world.after(arrival - this.#world.now, () => {
      if (this.#blocked.has(link)) return
      for (const message of new MessageReader().take(bytes)) this.#receivers.get(to)?.(from, message)
    })
  }

  block(from: MemberId, to: MemberId): void {
    this.#blocked.add(`${from}>${to}`)
  }

  /** All links work again. */
  heal(): void {
    this.#blocked.clear()
  }

  /** From now on nothing is lost or late. */
  becomeSound(): void {
    this.heal()
    this.#faulty = false
  }
}
