/**
 * The way to the API on a node that serves none: a port on loopback whose connections are carried, as they are, to
 * one of the API servers. It stays with the server that answered last, goes on to the next one before a client
 * notices, and ends the connections to a server that is dead, so that watches do not wait for it.
 */
import { createServer, type Server, type Socket } from 'node:net'
import type { Clock, Timer } from '../../base/clock.ts'
import type { Component, Health } from '../../base/component.ts'
import { Mk8sError, messageOf, systemCodeOf } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import { type ApiServerAddress, type ApiServers, addressText } from './api-servers.ts'
import { ApiUpstream, type UpstreamState } from './api-upstream.ts'
import { joinSockets } from './tcp-proxy.ts'

export interface ApiProxyParts {
  /** On loopback: whoever reaches it still has to show the API server who it is. */
  readonly listen: ApiServerAddress
  readonly servers: ApiServers
  /** Asks one server how it is. */
  readonly probe: (server: ApiServerAddress, signal: AbortSignal) => Promise<boolean>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

const CONNECTIONS_MAX = 1_024
/** Servers that connections lead to are looked at so often. */
const CHECK_MS = 500
/** A client whose connection no server has taken after this asks again itself. */
const TRY_MS_MAX = 5_000

export function createApiProxy(parts: ApiProxyParts): Component {
  return new ApiProxy(parts)
}

class ApiProxy implements Component {
  readonly name = 'api-proxy'
  readonly #parts: ApiProxyParts
  readonly #server: Server
  readonly #clients = new Set<Socket>()
  readonly #upstreams = new Map<string, ApiUpstream>()
  /** In the order of trying: the one that answered last comes first. */
  #order: readonly ApiUpstream[] = []
  #timer: Timer | null = null
  #unsubscribe = () => {}
  #isStopped = false
  #problem = ''

  constructor(parts: ApiProxyParts) {
    this.#parts = parts
    const options = { allowHalfOpen: true, pauseOnConnect: true, noDelay: true }
    this.#server = createServer(options, client => void this.#carry(client))
    this.#server.maxConnections = CONNECTIONS_MAX
  }

  async prepare(): Promise<void> {}

  async start(): Promise<void> {
    const { servers, listen } = this.#parts
    if (servers.current.length + servers.former.length === 0) {
      throw new Mk8sError('node/start-failed', 'this worker does not know where the API servers are', {
        why: 'the list of servers in its directory is missing or damaged',
        hint: 'Join the cluster again.',
      })
    }
    this.#unsubscribe = servers.onChange(() => this.#listChanged())
    this.#listChanged()
    await this.#listen(listen)
    this.#check()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#unsubscribe()
    this.#timer?.cancel()
    this.#server.close()
    for (const client of this.#clients) client.destroy()
    for (const upstream of this.#upstreams.values()) upstream.drop()
  }

  health(): Health {
    return { ok: this.#problem === '', reason: this.#problem }
  }

  async #listen({ address, port }: ApiServerAddress): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', error => {
        const code = systemCodeOf(error) === 'EADDRINUSE' ? 'host/port-taken' : 'node/start-failed'
        reject(
          new Mk8sError(code, `the API proxy cannot listen on ${addressText({ address, port })}`, {
            why: messageOf(error),
            cause: error,
          }),
        )
      })
      this.#server.listen({ host: address, port, backlog: 511 }, resolve)
    })
    this.#server.on('error', () => {})
  }

  /** The order stays as it is, so that a change of the list moves nobody. */
  #listChanged(): void {
    const { servers, clock, random } = this.#parts
    const current = new Set(servers.current.map(addressText))
    const known = new Map([...servers.current, ...servers.former].map(each => [addressText(each), each]))
    // The cluster does not count on them any more.
    for (const [name, upstream] of this.#upstreams) {
      if (!current.has(name)) upstream.drop()
      if (!known.has(name)) this.#upstreams.delete(name)
    }
    const fresh = [...known].filter(([name]) => !this.#upstreams.has(name))
    for (const [name, server] of fresh) {
      const probe = (signal: AbortSignal) => this.#parts.probe(server, signal)
      this.#upstreams.set(name, new ApiUpstream(server, { probe, clock }))
    }
    const rank = new Map(this.#order.map((upstream, index) => [upstream, index]))
    // At random behind those that are known, so that workers do not all go to the same server.
    const placed = [...this.#upstreams.values()].map(upstream => ({
      upstream,
      place: (current.has(upstream.name) ? 0 : 2_000) + (rank.get(upstream) ?? 1_000 + random.float()),
    }))
    this.#order = placed.sort((a, b) => a.place - b.place).map(({ upstream }) => upstream)
  }

  async #carry(client: Socket): Promise<void> {
    this.#clients.add(client)
    client.once('close', () => this.#clients.delete(client))
    client.on('error', () => client.destroy())
    const upstream = await this.#connect(client)
    if (upstream === null || client.destroyed) {
      upstream?.destroy()
      return void client.resetAndDestroy()
    }
    upstream.on('error', () => upstream.destroy())
    joinSockets(client, upstream)
  }

  /** Tried in turn, the dead ones last: a server may be back before anybody has looked. */
  async #connect(client: Socket): Promise<Socket | null> {
    const { clock } = this.#parts
    const deadline = clock.monotonic() + TRY_MS_MAX
    const inState = (state: UpstreamState) => this.#order.filter(each => each.state === state)
    for (const upstream of [...inState('ready'), ...inState('unready'), ...inState('dead')]) {
      if (client.destroyed || this.#isStopped || clock.monotonic() > deadline) break
      const socket = await upstream.connect()
      if (socket === null) continue
      this.#answered(upstream)
      upstream.carry(socket)
      return socket
    }
    this.#say('none of the API servers answers')
    return null
  }

  #answered(upstream: ApiUpstream): void {
    this.#say('')
    if (this.#order[0] === upstream) return
    this.#order = [upstream, ...this.#order.filter(each => each !== upstream)]
    this.#parts.log.info('the API is reached through another server', { server: upstream.name })
  }

  #say(problem: string): void {
    if (problem === this.#problem) return
    this.#problem = problem
    const servers = this.#order.map(({ name }) => name)
    if (problem !== '') this.#parts.log.warn('none of the API servers answers', { servers })
  }

  #check(): void {
    if (this.#isStopped) return
    this.#timer = this.#parts.clock.after(CHECK_MS, () => {
      const used = [...this.#upstreams.values()].filter(({ isUsed }) => isUsed)
      void Promise.all(used.map(upstream => this.#checkOne(upstream))).then(() => this.#check())
    })
  }

  async #checkOne(upstream: ApiUpstream): Promise<void> {
    const state = await upstream.check()
    if (state === 'ready') return
    // Where no server is ready, clients wait where they are.
    if (state === 'unready' && !(await this.#findReady())) return
    if (!upstream.isUsed) return
    this.#parts.log.warn('an API server is left', { server: upstream.name, state })
    upstream.drop()
  }

  /** Makes a server that is ready the next to be tried. */
  async #findReady(): Promise<boolean> {
    for (const upstream of this.#order) {
      if (this.#isStopped || (await upstream.check()) !== 'ready') continue
      this.#answered(upstream)
      return true
    }
    return false
  }
}
