/**
 * Tells load balancers whether this node has endpoints of a Service: an HTTP server at each `healthCheckNodePort`,
 * which answers 200 with endpoints here and 503 without.
 */
import { createServer, type Server } from 'node:http'
import { type BackoffConfig, backoffMs } from '../../base/backoff.ts'
import type { Clock, Timer } from '../../base/clock.ts'
import type { Component, Health } from '../../base/component.ts'
import type { Log } from '../../base/log.ts'
import type { EndpointSlice, Service } from '../../kube/types.ts'
import type { ServiceFeed } from './service-feed.ts'

export interface ServiceHealthParts {
  /** Started by the proxy, whose rules it is about. */
  readonly feed: ServiceFeed
  readonly nodeName: string
  readonly address: string
  readonly isProxyHealthy: () => boolean
  readonly clock: Clock
  readonly log: Log
}

const SETTLE_MS = 20
const RETRY: BackoffConfig = { baseMs: 500, maxMs: 30_000 }
/** Load balancers ask for a few bytes; whoever does not come to the point is cut off. */
const REQUEST_MS_MAX = 10_000
const CONNECTIONS_MAX = 64

export function createServiceHealth(parts: ServiceHealthParts): Component {
  return new ServiceHealth(parts)
}

function healthPortOf({ spec }: Service): number | null {
  const isAsked = spec?.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local'
  return isAsked && spec.healthCheckNodePort ? spec.healthCheckNodePort : null
}

/** Ready ones on this node; whoever has an address of each family is one. */
function countLocal(slices: readonly EndpointSlice[], nodeName: string): number {
  const counts = ['IPv4', 'IPv6'].map(family => {
    const endpoints = slices.flatMap(slice => (slice.addressType === family ? slice.endpoints : null) ?? [])
    const local = endpoints.filter(each => each.nodeName === nodeName && each.conditions?.ready !== false)
    return new Set(local.flatMap(({ addresses }) => addresses)).size
  })
  return Math.max(...counts)
}

interface Listening {
  readonly server: Server
  readonly serviceKey: string
}

class ServiceHealth implements Component {
  readonly name = 'service-health'
  readonly #parts: ServiceHealthParts
  readonly #listening = new Map<number, Listening>()
  #timer: Timer | null = null
  #failures = 0
  #isStopped = false

  constructor(parts: ServiceHealthParts) {
    this.#parts = parts
  }

  async prepare(): Promise<void> {}

  async start(): Promise<void> {
    this.#parts.feed.services.onChange(() => this.#arm(SETTLE_MS))
    this.#arm(0)
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#timer?.cancel()
    for (const port of [...this.#listening.keys()]) this.#close(port)
  }

  health(): Health {
    return { ok: true, reason: '' }
  }

  #arm(delayMs: number): void {
    if (this.#isStopped) return
    this.#timer ??= this.#parts.clock.after(delayMs, () => {
      this.#timer = null
      this.#apply()
    })
  }

  #apply(): void {
    const wanted = new Map<number, string>()
    for (const service of this.#parts.feed.services.list()) {
      const port = healthPortOf(service)
      if (port !== null) wanted.set(port, `${service.metadata.namespace}/${service.metadata.name}`)
    }
    for (const [port, { serviceKey }] of this.#listening)
      if (wanted.get(port) !== serviceKey) this.#close(port)
    for (const [port, serviceKey] of wanted) if (!this.#listening.has(port)) this.#open(port, serviceKey)
  }

  #open(port: number, serviceKey: string): void {
    const { address, log } = this.#parts
    const server = createServer({ requestTimeout: REQUEST_MS_MAX }, (_, response) => {
      const { status, headers, body } = this.#answer(serviceKey)
      response.writeHead(status, headers).end(body)
    })
    server.maxConnections = CONNECTIONS_MAX
    server.on('error', error => {
      this.#listening.delete(port)
      this.#failures += 1
      log.warn('the health of a service cannot be told', { service: serviceKey, address, port, error })
      this.#arm(backoffMs(RETRY, this.#failures))
    })
    server.listen(port, address, () => {
      this.#failures = 0
    })
    server.unref()
    this.#listening.set(port, { server, serviceKey })
  }

  #answer(serviceKey: string) {
    const { feed, nodeName, isProxyHealthy } = this.#parts
    const [namespace = '', name = ''] = serviceKey.split('/')
    const localEndpoints = countLocal(feed.slicesOf(serviceKey), nodeName)
    const serviceProxyHealthy = isProxyHealthy()
    const body = { service: { namespace, name }, localEndpoints, serviceProxyHealthy }
    return {
      status: localEndpoints > 0 && serviceProxyHealthy ? 200 : 503,
      headers: {
        'content-type': 'application/json',
        'x-content-type-options': 'nosniff',
        'x-load-balancing-endpoint-weight': String(localEndpoints),
      },
      body: JSON.stringify(body),
    }
  }

  #close(port: number): void {
    const listening = this.#listening.get(port)
    this.#listening.delete(port)
    listening?.server.close()
    listening?.server.closeAllConnections()
  }
}
