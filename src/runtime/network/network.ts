/**
 * The door of the service proxy: follows Services and endpoint slices, and listens on what the rules say: the
 * mirrors of the cluster IPs, and node ports on the node's addresses and on 127.0.0.1.
 */
import { type BackoffConfig, backoffMs } from '../../base/backoff.ts'
import type { Clock, Timer } from '../../base/clock.ts'
import type { Component, Health } from '../../base/component.ts'
import { messageOf, systemCodeOf } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import { EventRecorder } from '../../client/event-recorder.ts'
import { Informer } from '../../client/informer.ts'
import { KubeClient } from '../../client/kube-client.ts'
import { NODES } from '../../client/resources.ts'
import type { Transport } from '../../client/transport.ts'
import { mirrorOf } from '../../kube/mirror-address.ts'
import type { Node } from '../../kube/types.ts'
import { Balancer } from './balancer.ts'
import { endsWithBackend, type ProxyRule, planProxyRules } from './proxy-rules.ts'
import { ServiceFeed, USER_AGENT } from './service-feed.ts'
import { TcpProxy } from './tcp-proxy.ts'
import { UdpProxy } from './udp-proxy.ts'
import { viewOf } from './usable-backends.ts'

export interface ServiceProxyParts {
  readonly transport: Transport
  readonly nodeName: string
  /** Followed for others too; its own unless given. */
  readonly feed?: ServiceFeed
  /** Node ports listen here, and on 127.0.0.1. */
  readonly nodeAddresses: readonly string[]
  /** Where pods reach a cluster IP; its mirror unless given. */
  readonly serviceAddress?: (clusterIp: string) => string
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export function createServiceProxy(parts: ServiceProxyParts): Component {
  return new ServiceProxy(parts)
}

interface Served {
  readonly balancer: Balancer
  readonly proxy: TcpProxy | UdpProxy
}

interface Waiting {
  readonly timer: Timer
  readonly failures: number
}

/** Changes that come together are looked at together. */
const SETTLE_MS = 5
const RETRY: BackoffConfig = { baseMs: 500, maxMs: 60_000 }
/** Addresses of loopback are shared by all nodes of a machine: one of them listens, and may die. */
const SHARED_RETRY: BackoffConfig = { baseMs: 250, maxMs: 1_000 }

function follow({ balancer, proxy }: Served, rule: ProxyRule): void {
  balancer.rule = rule
  if (proxy instanceof TcpProxy && endsWithBackend(rule)) proxy.dropGone()
}

class ServiceProxy implements Component {
  readonly name = 'service-proxy'
  readonly #parts: ServiceProxyParts
  readonly #feed: ServiceFeed
  readonly #node: Informer<Node>
  readonly #recorder: EventRecorder
  readonly #served = new Map<string, Served>()
  readonly #waiting = new Map<string, Waiting>()
  readonly #opening = new Set<string>()
  readonly #aborter = new AbortController()
  #rules: ReadonlyMap<string, ProxyRule> = new Map()
  #settle: Timer | null = null

  constructor(parts: ServiceProxyParts) {
    this.#parts = parts
    const { transport, clock, random, log, nodeName } = parts
    const client = new KubeClient(transport, { userAgent: USER_AGENT })
    const shared = { client, clock, random, log }
    this.#feed = parts.feed ?? new ServiceFeed(shared)
    const fieldSelector = `metadata.name=${nodeName}`
    this.#node = new Informer<Node>({ ...shared, resource: NODES, fieldSelector })
    this.#recorder = new EventRecorder({ ...shared, component: 'service-proxy', host: nodeName })
  }

  async prepare(): Promise<void> {}

  async start(signal: AbortSignal): Promise<void> {
    this.#node.onChange((_, next, previous) => {
      if (next !== null && viewOf(next).zone !== (previous && viewOf(previous).zone)) this.#changed()
    })
    this.#node.start(this.#aborter.signal)
    await this.#feed.start(() => this.#changed(), { ending: this.#aborter.signal, signal })
    this.#apply()
  }

  async stop(): Promise<void> {
    this.#aborter.abort()
    this.#settle?.cancel()
    for (const { timer } of this.#waiting.values()) timer.cancel()
    for (const { proxy } of this.#served.values()) proxy.destroy()
    this.#waiting.clear()
    this.#served.clear()
  }

  health(): Health {
    // Those of loopback may well be another node's of this machine.
    const taken = [...this.#waiting.keys()].filter(key => !key.includes(' 127.'))
    if (taken.length === 0) return { ok: true, reason: '' }
    return { ok: true, reason: `taken by other programs: ${taken.join(', ')}` }
  }

  #changed(): void {
    if (!this.#feed.isSynced || this.#aborter.signal.aborted) return
    this.#settle ??= this.#parts.clock.after(SETTLE_MS, () => {
      this.#settle = null
      this.#apply()
    })
  }

  #apply(): void {
    const { nodeName, nodeAddresses, serviceAddress = mirrorOf } = this.#parts
    const node = this.#node.get(nodeName)
    this.#rules = planProxyRules({
      services: this.#feed.services.list(),
      slices: this.#feed.slices.list(),
      node: node === undefined ? { name: nodeName, zone: null } : viewOf(node),
      nodeAddresses: [...new Set([...nodeAddresses, '127.0.0.1'])],
      serviceAddress,
    })
    for (const [key, { proxy }] of [...this.#served]) {
      if (this.#rules.has(key)) continue
      proxy.close()
      this.#served.delete(key)
    }
    for (const [key, { timer }] of [...this.#waiting]) {
      if (this.#rules.has(key)) continue
      timer.cancel()
      this.#waiting.delete(key)
    }
    for (const [key, rule] of this.#rules) {
      const served = this.#served.get(key)
      if (served !== undefined) follow(served, rule)
      else if (!this.#waiting.has(key) && !this.#opening.has(key)) void this.#open(rule, 0)
    }
  }

  async #open(rule: ProxyRule, failures: number): Promise<void> {
    const { clock } = this.#parts
    const balancer = new Balancer(rule, clock)
    const proxy = rule.protocol === 'TCP' ? new TcpProxy(balancer) : new UdpProxy(balancer, clock)
    this.#opening.add(rule.key)
    try {
      await proxy.open()
    } catch (error) {
      this.#opening.delete(rule.key)
      return this.#onTaken(rule, failures + 1, error)
    }
    this.#opening.delete(rule.key)
    const current = this.#rules.get(rule.key)
    if (current === undefined || this.#aborter.signal.aborted) return proxy.destroy()
    balancer.rule = current
    this.#served.set(rule.key, { balancer, proxy })
  }

  #onTaken(rule: ProxyRule, failures: number, error: unknown): void {
    const { log, clock } = this.#parts
    const message = `cannot listen on ${rule.key}: ${messageOf(error)}`
    const isShared = systemCodeOf(error) === 'EADDRINUSE' && rule.address.startsWith('127.')
    if (failures === 1 && !isShared) {
      log.warn('a service address cannot be listened on', { service: rule.service, address: rule.key, error })
      const service = this.#feed.services.get(rule.serviceKey)
      if (service !== undefined) this.#recorder.record(service, 'Warning', 'PortTaken', message)
    }
    // However long another program holds the port: once a minute is little, and the port may become free.
    if (this.#aborter.signal.aborted) return
    const timer = clock.after(backoffMs(isShared ? SHARED_RETRY : RETRY, failures), () => {
      this.#waiting.delete(rule.key)
      const current = this.#rules.get(rule.key)
      if (current !== undefined) void this.#open(current, failures)
    })
    this.#waiting.set(rule.key, { timer, failures })
  }
}
