/**
 * The door of the cluster's DNS: keeps the DNS thread running, and feeds it with what the node's informers see of
 * Services, endpoint slices and its configuration.
 */
import { readFileSync } from 'node:fs'
import type { Worker } from 'node:worker_threads'
import { abortable } from '../../base/abortable.ts'
import { type BackoffConfig, backoffMs } from '../../base/backoff.ts'
import { type Clock, endsWithin, type Timer } from '../../base/clock.ts'
import type { Component, Health } from '../../base/component.ts'
import type { Log } from '../../base/log.ts'
import type { Informer } from '../../client/informer.ts'
import { startWorker } from '../../host/worker.ts'
import type { ConfigMap, EndpointSlice, Service } from '../../kube/types.ts'
import { type DnsMetric, dnsMetrics } from './figures.ts'
import { planForwarding } from './forwarding-config.ts'
import type { DnsCounters, DnsServer, DnsService, DnsSlice, FromDns, ToDns, ZoneConfig } from './messages.ts'
import { dnsServiceOf, dnsSliceOf } from './service-records.ts'

export interface DnsParts {
  /** Followed by the service proxy already. */
  readonly services: Pick<Informer<Service>, 'list' | 'get' | 'onChange' | 'synced'>
  readonly slices: Pick<Informer<EndpointSlice>, 'list' | 'get' | 'onChange' | 'synced'>
  /** Of `kube-system/mk8s-dns`; this component starts it. */
  readonly configuration: Pick<Informer<ConfigMap>, 'list' | 'onChange' | 'start'>
  readonly listen: DnsServer
  readonly zone: ZoneConfig
  /** Where pods of this node reach a cluster IP. */
  readonly serviceAddress: (clusterIp: string) => string
  readonly clock: Clock
  readonly log: Log
}

export interface ClusterDns extends Component {
  /** What the thread has counted, for Prometheus. */
  metrics(): DnsMetric[]
  /** Names are not answered any more, until `resume`. */
  suspend(): Promise<void>
  resume(): void
}

/** Changes that come together are told together. */
const SETTLE_MS = 5
const BATCH_ITEMS_MAX = 2_000
const RESTART: BackoffConfig = { baseMs: 200, maxMs: 30_000 }
const CLOSE_MS_MAX = 2_000
/** The node's own resolv.conf is looked at so often. */
const RESOLVER_MS = 10_000
const LIMITS = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 8, stackSizeMb: 1 }
/** Where systemd-resolved keeps the real servers, when resolv.conf has just itself. */
const RESOLVERS = ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf']

export function createDns(parts: DnsParts): ClusterDns {
  return new DnsThread(parts)
}

class DnsThread implements ClusterDns {
  readonly name = 'dns'
  readonly #parts: DnsParts
  readonly #aborter = new AbortController()
  readonly #problems = new Map<string, string>()
  readonly #dirty = { services: new Set<string>(), slices: new Set<string>() }
  #worker: Worker | null = null
  #listening = Promise.withResolvers<void>()
  #isFed = false
  #isSuspended = false
  #settle: Timer | null = null
  #resolverTimer: Timer | null = null
  #restartTimer: Timer | null = null
  #failures = 0
  #forwarding = ''
  #counters: DnsCounters | null = null

  constructor(parts: DnsParts) {
    this.#parts = parts
  }

  /** The thread loads while the others prepare. */
  async prepare(): Promise<void> {
    if (!this.#isSuspended) this.#startWorker()
  }

  /** Returns once it answers, or it is known why it cannot; pods can go on without. */
  async start(signal: AbortSignal): Promise<void> {
    const { services, slices, configuration } = this.#parts
    services.onChange(key => this.#changed('services', key))
    slices.onChange(key => this.#changed('slices', key))
    configuration.onChange(() => this.#configure())
    configuration.start(this.#aborter.signal)
    await abortable(Promise.all([services.synced, slices.synced]), signal)
    this.#isFed = true
    this.#feedAll()
    this.#watchResolver()
    if (!this.#isSuspended) await abortable(this.#listening.promise, signal)
  }

  async suspend(): Promise<void> {
    this.#isSuspended = true
    this.#restartTimer?.cancel()
    this.#problems.clear()
    await this.#endWorker()
  }

  resume(): void {
    if (!this.#isSuspended) return
    this.#isSuspended = false
    this.#startWorker()
  }

  async stop(): Promise<void> {
    this.#aborter.abort()
    for (const timer of [this.#settle, this.#resolverTimer, this.#restartTimer]) timer?.cancel()
    await this.#endWorker()
  }

  async #endWorker(): Promise<void> {
    const worker = this.#worker
    if (worker === null) return
    this.#worker = null
    const exited = new Promise<void>(resolve => worker.once('exit', () => resolve()))
    worker.postMessage({ type: 'close' } satisfies ToDns)
    if (!(await endsWithin(this.#parts.clock, CLOSE_MS_MAX, exited))) await worker.terminate()
  }

  health(): Health {
    const problems = [...this.#problems.values()]
    return { ok: true, reason: problems.join('; ') }
  }

  metrics(): DnsMetric[] {
    return this.#counters === null ? [] : dnsMetrics(this.#counters)
  }

  // ── the thread ───────────────────────────────────────────────────────────────────────────────────────

  #startWorker(): void {
    const { listen, zone } = this.#parts
    const worker = startWorker('dns', { resourceLimits: LIMITS })
    this.#worker = worker
    worker.unref()
    worker.on('message', (message: FromDns) => this.#take(message))
    worker.on('error', error => this.#parts.log.error('the DNS thread failed', { error }))
    worker.on('exit', () => this.#ended(worker))
    this.#post({ type: 'open', listen, zone })
    if (this.#isFed) this.#feedAll()
  }

  /** Nothing is lost with it but its cache and its counters. */
  #ended(worker: Worker): void {
    if (this.#worker !== worker || this.#aborter.signal.aborted || this.#isSuspended) return
    this.#worker = null
    this.#failures++
    this.#setProblem('thread', 'the DNS thread ended and is started again')
    this.#restartTimer = this.#parts.clock.after(backoffMs(RESTART, this.#failures), () =>
      this.#startWorker(),
    )
  }

  #take(message: FromDns): void {
    switch (message.type) {
      case 'listening':
        this.#setProblem('thread', '')
        return void this.#listening.resolve()
      case 'problem':
        this.#setProblem(message.about, message.text)
        if (message.about === 'listen') this.#listening.resolve()
        return
      case 'counters':
        this.#counters = message.counters
        return
      case 'log':
        return void this.#parts.log[message.level](message.message, message.fields)
      case 'closed':
    }
  }

  #setProblem(about: string, text: string): void {
    const before = this.#problems.get(about) ?? ''
    if (before === text) return
    if (text === '') this.#problems.delete(about)
    else this.#problems.set(about, text)
    if (text === '') this.#parts.log.info('a problem of the DNS is over', { problem: before })
    else this.#parts.log.warn('the DNS has a problem', { problem: text })
  }

  #post(message: ToDns): void {
    this.#worker?.postMessage(message)
  }

  // ── what it is told ──────────────────────────────────────────────────────────────────────────────────

  #feedAll(): void {
    const { services, slices } = this.#parts
    this.#settle?.cancel()
    this.#settle = null
    for (const service of services.list()) this.#dirty.services.add(keyOf(service))
    for (const slice of slices.list()) this.#dirty.slices.add(keyOf(slice))
    this.#flush()
    this.#post({ type: 'synced' })
    this.#forwarding = ''
    this.#configure()
  }

  #changed(kind: 'services' | 'slices', key: string): void {
    this.#dirty[kind].add(key)
    if (!this.#isFed) return
    this.#settle ??= this.#parts.clock.after(SETTLE_MS, () => {
      this.#settle = null
      this.#flush()
    })
  }

  #flush(): void {
    const { services, slices, serviceAddress } = this.#parts
    const serviceOf = (key: string): DnsService | null => {
      const service = services.get(key)
      return service === undefined ? null : dnsServiceOf(service, serviceAddress)
    }
    const sliceOf = (key: string): DnsSlice | null => {
      const slice = slices.get(key)
      return slice === undefined ? null : dnsSliceOf(slice)
    }
    const changes = {
      services: Array.from(this.#dirty.services, key => [key, serviceOf(key)] as const),
      slices: Array.from(this.#dirty.slices, key => [key, sliceOf(key)] as const),
    }
    this.#dirty.services.clear()
    this.#dirty.slices.clear()
    const length = Math.max(changes.services.length, changes.slices.length)
    for (let at = 0; at < length; at += BATCH_ITEMS_MAX) {
      const end = at + BATCH_ITEMS_MAX
      const batch = { services: changes.services.slice(at, end), slices: changes.slices.slice(at, end) }
      this.#post({ type: 'changes', changes: batch })
    }
  }

  #watchResolver(): void {
    this.#resolverTimer = this.#parts.clock.after(RESOLVER_MS, () => {
      this.#configure()
      this.#watchResolver()
    })
  }

  #configure(): void {
    if (!this.#isFed) return
    const { configuration, zone, listen } = this.#parts
    const data = configuration.list()[0]?.data ?? null
    const own = [zone.dnsAddress, listen.address]
    const plans = RESOLVERS.map(path => planForwarding({ data, own, hostResolver: textOf(path) }))
    const plan = plans.find(({ config }) => config.upstreams.length > 0) ?? plans[0]
    if (plan === undefined) return
    this.#setProblem('configuration', plan.problems.join('; '))
    const text = JSON.stringify(plan.config)
    if (text === this.#forwarding) return
    this.#forwarding = text
    this.#post({ type: 'forwarding', config: plan.config })
  }
}

const keyOf = ({ metadata }: Service | EndpointSlice) => `${metadata.namespace}/${metadata.name}`

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
