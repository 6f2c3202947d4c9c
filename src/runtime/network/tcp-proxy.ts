/** One listening TCP address of a service: every connection is carried to a backend and back. */

import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { loopbackAlias } from '../../host/loopback-alias.ts'
import type { Balancer } from './balancer.ts'
import type { Backend } from './usable-backends.ts'

/** Connections of one listener; further ones are closed at once. */
const CONNECTIONS_MAX = 2_048
const CONNECT_MS_MAX = 3_000
const KEEP_ALIVE_MS = 30_000

export interface Listener {
  /** Rejects with the system's error when the address is taken. */
  open(): Promise<void>
  close(): void
}

export class TcpProxy implements Listener {
  readonly #balancer: Balancer
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #backends = new WeakMap<Socket, Backend>()

  constructor(balancer: Balancer) {
    this.#balancer = balancer
    const options = { allowHalfOpen: true, pauseOnConnect: true, noDelay: true }
    this.#server = createServer(options, socket => void this.#carry(socket))
    this.#server.maxConnections = CONNECTIONS_MAX
  }

  async open(): Promise<void> {
    const { address, port } = this.#balancer.rule
    await loopbackAlias('add', address)
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ host: address, port, backlog: 511 }, () => {
        this.#server.off('error', reject)
        this.#server.on('error', () => {})
        resolve()
      })
    })
    this.#server.unref()
  }

  /** No new connections; those that run go on, as with kernel rules. */
  close(): void {
    this.#server.close()
  }

  /** Ends everything, when the node stops. */
  destroy(): void {
    this.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Ends the connections to backends that are there no more. */
  dropGone(): void {
    for (const socket of this.#sockets) {
      const backend = this.#backends.get(socket)
      if (backend !== undefined && !this.#balancer.has(backend)) socket.resetAndDestroy()
    }
  }

  async #carry(client: Socket): Promise<void> {
    this.#track(client)
    const name = client.remoteAddress ?? ''
    for (const backend of this.#balancer.order(name)) {
      // While one was tried in vain, the next may have been taken away.
      if (!this.#balancer.has(backend)) continue
      const upstream = await connectTo(backend, CONNECT_MS_MAX)
      if (upstream === null) continue
      if (client.destroyed) return void upstream.destroy()
      this.#balancer.remember(name, backend)
      this.#track(upstream)
      this.#backends.set(upstream, backend)
      return joinSockets(client, upstream)
    }
    client.resetAndDestroy()
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    socket.on('error', () => socket.destroy())
  }
}

/** Null when the backend does not answer in time. */
export function connectTo({ address, port }: Backend, limitMs: number): Promise<Socket | null> {
  return new Promise(resolve => {
    const socket = createConnection({ host: address, port, allowHalfOpen: true, noDelay: true })
    socket.setTimeout(limitMs, () => socket.destroy())
    socket.once('close', () => resolve(null))
    socket.on('error', () => socket.destroy())
    socket.once('connect', () => {
      socket.setTimeout(0)
      resolve(socket)
    })
  })
}

/** `pipe` brings backpressure and half-close; what breaks on one side breaks on the other. */
export function joinSockets(client: Socket, upstream: Socket): void {
  for (const [one, other] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    one.setKeepAlive(true, KEEP_ALIVE_MS)
    one.pipe(other)
    one.once('close', hadError => {
      if (hadError || !one.readableEnded) other.destroy()
    })
  }
}
