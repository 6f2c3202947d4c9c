/**
 * Slow and silent links between members without root: a relay for each direction, which passes bytes on late, now and
 * then very late (as a lost packet makes them), or not at all while nobody is told.
 */

import { connect, createServer, type Server, type Socket } from 'node:net'
import { systemClock } from '../../src/base/clock.ts'
import type { Random } from '../../src/base/random.ts'
import type { PeerAddress } from '../../src/runtime/store/peers/peer-network.ts'

const PORT_BASE = 21_000
/** What TCP waits before it sends a lost packet again. */
const RETRANSMISSION_MS = 200

export interface Disturbance {
  readonly delayMs: number
  /** Share of the pieces that are lost once. */
  readonly loss: number
  /** Nothing passes; connections stay open. */
  readonly silent: boolean
}

const QUIET: Disturbance = { delayMs: 0, loss: 0, silent: false }

export class StoreRelays {
  readonly #random: Random
  readonly #relays = new Map<string, Relay>()

  constructor(random: Random) {
    this.#random = random
  }

  /** For ClusterOptions: where `from` finds `to`. */
  readonly route = (from: number, to: number, target: PeerAddress): PeerAddress => {
    const address = { host: target.host, port: PORT_BASE + from * 100 + to }
    this.#relays.set(`${from} ${to}`, new Relay(address, target, this.#random))
    return address
  }

  async open(): Promise<void> {
    await Promise.all([...this.#relays.values()].map(relay => relay.open()))
  }

  /** Disturbs the connections that any of `from` makes to any of `to`; all of them when left out. */
  disturb(disturbance: Partial<Disturbance>, from?: readonly number[], to?: readonly number[]): void {
    for (const [pair, relay] of this.#relays) {
      const [one, other] = pair.split(' ').map(Number) as [number, number]
      if ((from?.includes(one) ?? true) && (to?.includes(other) ?? true))
        relay.disturb({ ...QUIET, ...disturbance })
    }
  }

  heal(): void {
    this.disturb(QUIET)
  }

  close(): void {
    for (const relay of this.#relays.values()) relay.close()
  }
}

class Relay {
  readonly #address: PeerAddress
  readonly #target: PeerAddress
  readonly #random: Random
  readonly #server: Server
  readonly #pipes = new Set<Pipe>()
  #disturbance = QUIET

  constructor(address: PeerAddress, target: PeerAddress, random: Random) {
    this.#address = address
    this.#target = target
    this.#random = random
    this.#server = createServer({ allowHalfOpen: true }, socket => this.#accept(socket))
  }

  open(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(this.#address.port, this.#address.host, () => resolve())
    })
  }

  disturb(disturbance: Disturbance): void {
    this.#disturbance = disturbance
    for (const pipe of this.#pipes) pipe.flow()
  }

  close(): void {
    this.#server.close()
    for (const pipe of this.#pipes) pipe.destroy()
  }

  #accept(socket: Socket): void {
    const target = connect({ ...this.#target, allowHalfOpen: true })
    this.#pipe(socket, target)
    this.#pipe(target, socket)
  }

  #pipe(source: Socket, sink: Socket): void {
    const pipe = new Pipe(source, sink, () => this.#disturbance, this.#random)
    this.#pipes.add(pipe)
    source.once('close', () => this.#pipes.delete(pipe))
  }
}

/** One direction of a connection; what is late holds up what comes after it. */
class Pipe {
  readonly #source: Socket
  readonly #sink: Socket
  readonly #disturbance: () => Disturbance
  readonly #random: Random
  readonly #waiting: { readonly act: () => void; readonly due: number }[] = []

  constructor(source: Socket, sink: Socket, disturbance: () => Disturbance, random: Random) {
    this.#source = source
    this.#sink = sink
    this.#disturbance = disturbance
    this.#random = random
    source.setNoDelay(true)
    source.on('data', bytes => this.#later(() => void sink.write(bytes)))
    source.on('end', () => this.#later(() => sink.end()))
    source.on('error', () => this.#later(() => sink.destroy()))
    source.on('close', () => this.#later(() => sink.destroySoon()))
  }

  destroy(): void {
    this.#source.destroy()
    this.#sink.destroy()
  }

  #later(act: () => void): void {
    const { delayMs, loss } = this.#disturbance()
    const lost = this.#random.float() < loss ? RETRANSMISSION_MS * (1 + this.#random.float()) : 0
    const due = Math.max(this.#waiting.at(-1)?.due ?? 0, systemClock.monotonic() + delayMs + lost)
    this.#waiting.push({ act, due })
    if (this.#waiting.length === 1) this.flow()
  }

  /** Passes on what is due. */
  flow(): void {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      if (this.#disturbance().silent) return
      const wait = first.due - systemClock.monotonic()
      if (wait > 0) {
        systemClock.after(wait, () => this.flow())
        return
      }
      this.#waiting.shift()
      first.act()
    }
  }
}
