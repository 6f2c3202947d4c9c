/** One API server behind the local proxy: the connections to it, and how it is. */
import type { Socket } from 'node:net'
import type { Clock } from '../../base/clock.ts'
import { type ApiServerAddress, addressText } from './api-servers.ts'
import { connectTo } from './tcp-proxy.ts'

/** Whether the server is ready; rejects when it cannot be reached. */
export type Probe = (signal: AbortSignal) => Promise<boolean>

/** `unready`: it answers, but cannot serve, such as one that is cut off from the other servers. */
export type UpstreamState = 'ready' | 'unready' | 'dead'

const CONNECT_MS_MAX = 1_000
/** A server that does not answer for so long is dead, even if its machine still takes connections. */
const PROBE_MS_MAX = 1_500
/** One that fails sooner may only have closed a connection that was idle. */
const TRIES = 2

export class ApiUpstream {
  readonly name: string
  readonly #server: ApiServerAddress
  readonly #probe: Probe
  readonly #clock: Clock
  readonly #sockets = new Set<Socket>()
  #state: UpstreamState = 'ready'

  constructor(server: ApiServerAddress, { probe, clock }: { readonly probe: Probe; readonly clock: Clock }) {
    this.name = addressText(server)
    this.#server = server
    this.#probe = probe
    this.#clock = clock
  }

  /** As it was found last. */
  get state(): UpstreamState {
    return this.#state
  }

  /** Connections of clients lead to it. */
  get isUsed(): boolean {
    return this.#sockets.size > 0
  }

  /** Null when it does not take the connection. */
  async connect(): Promise<Socket | null> {
    const socket = await connectTo(this.#server, CONNECT_MS_MAX)
    if (socket === null) this.#state = 'dead'
    else if (this.#state === 'dead') this.#state = 'ready'
    return socket
  }

  /** Asks how it is. */
  async check(): Promise<UpstreamState> {
    const late = new AbortController()
    const timer = this.#clock.after(PROBE_MS_MAX, () => late.abort())
    this.#state = 'dead'
    for (let tries = 0; tries < TRIES && !late.signal.aborted; tries++) {
      try {
        this.#state = (await this.#probe(late.signal)) ? 'ready' : 'unready'
        break
      } catch {
        // What is wrong with it does not matter to those who want another one.
      }
    }
    timer.cancel()
    return this.#state
  }

  /** This connection ends with the server. */
  carry(socket: Socket): void {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
  }

  /** Ends every connection, so that watches begin again at another server. */
  drop(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#sockets.clear()
  }
}
