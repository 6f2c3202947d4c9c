/** One UDP address of a service: a flow per client, with a socket of its own, until it has been silent for a while. */

import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import type { Clock, Timer } from '../../base/clock.ts'
import { loopbackAlias } from '../../host/loopback-alias.ts'
import type { Balancer } from './balancer.ts'
import type { Listener } from './tcp-proxy.ts'
import type { Backend } from './usable-backends.ts'

/** Flows of one listener; when there are more, the one whose client has been silent longest is ended. */
const FLOWS_MAX = 1_024
const IDLE_MS = 30_000

interface Flow {
  readonly socket: Socket
  readonly backend: Backend
  lastMs: number
}

export class UdpProxy implements Listener {
  readonly #balancer: Balancer
  readonly #clock: Clock
  readonly #server = createSocket('udp4')
  readonly #flows = new Map<string, Flow>()
  #sweep: Timer | null = null

  constructor(balancer: Balancer, clock: Clock) {
    this.#balancer = balancer
    this.#clock = clock
  }

  async open(): Promise<void> {
    const { address, port } = this.#balancer.rule
    await loopbackAlias('add', address)
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.bind({ address, port }, () => {
        this.#server.off('error', reject)
        this.#server.on('error', () => {})
        resolve()
      })
    })
    this.#server.unref()
    this.#server.on('message', (data, from) => this.#forward(data, from))
  }

  close(): void {
    this.#sweep?.cancel()
    for (const key of [...this.#flows.keys()]) this.#end(key)
    this.#server.close()
  }

  destroy(): void {
    this.close()
  }

  #forward(data: Buffer, from: RemoteInfo): void {
    const key = `${from.address}:${from.port}`
    const known = this.#flows.get(key)
    if (known !== undefined && !this.#balancer.has(known.backend)) this.#end(key)
    const flow = this.#flows.get(key) ?? this.#begin(key, from)
    if (flow === null) return
    flow.lastMs = this.#clock.monotonic()
    this.#flows.delete(key)
    this.#flows.set(key, flow)
    flow.socket.send(data, flow.backend.port, flow.backend.address, () => {})
  }

  #begin(key: string, from: RemoteInfo): Flow | null {
    const [backend] = this.#balancer.order(from.address)
    if (backend === undefined) return null
    const [oldest] = this.#flows.keys()
    if (this.#flows.size >= FLOWS_MAX && oldest !== undefined) this.#end(oldest)
    this.#balancer.remember(from.address, backend)
    const socket = createSocket('udp4')
    const flow: Flow = { socket, backend, lastMs: this.#clock.monotonic() }
    socket.unref()
    socket.on('error', () => this.#end(key))
    socket.on('message', (answer, by) => {
      // Anybody can send to this port; only the backend answers the client.
      if (by.address !== backend.address || by.port !== backend.port) return
      flow.lastMs = this.#clock.monotonic()
      this.#server.send(answer, from.port, from.address, () => {})
    })
    this.#flows.set(key, flow)
    this.#sweep ??= this.#clock.after(IDLE_MS, () => this.#endIdle())
    return flow
  }

  #endIdle(): void {
    const now = this.#clock.monotonic()
    for (const [key, flow] of [...this.#flows]) if (now - flow.lastMs >= IDLE_MS) this.#end(key)
    this.#sweep = this.#flows.size === 0 ? null : this.#clock.after(IDLE_MS, () => this.#endIdle())
  }

  #end(key: string): void {
    const flow = this.#flows.get(key)
    if (flow === undefined) return
    this.#flows.delete(key)
    flow.socket.close()
  }
}
