/**
 * Services and network policies for pods with addresses of their own: follows what they are made of and keeps a
 * table in the kernel's packet filter, part by part. It goes on working while the daemon does not run.
 */

import { abortable } from '../../base/abortable.ts'
import { type BackoffConfig, backoffMs } from '../../base/backoff.ts'
import type { Clock, Timer } from '../../base/clock.ts'
import type { Component, Health } from '../../base/component.ts'
import { messageOf } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import { Informer } from '../../client/informer.ts'
import { KubeClient } from '../../client/kube-client.ts'
import { NODES } from '../../client/resources.ts'
import type { Transport } from '../../client/transport.ts'
import { runProgram } from '../../host/programs.ts'
import { familyOf } from '../../kube/ip-family.ts'
import type { Node } from '../../kube/types.ts'
import { renderBase } from './base-part.ts'
import { type Family, wordsOf } from './family.ts'
import { allowForwarding } from './forwarding.ts'
import { NftTable } from './nft-table.ts'
import { PolicyFeed } from './policy-feed.ts'
import { renderPolicies } from './policy-part.ts'
import { type PortPlan, planPorts } from './port-plan.ts'
import { ServiceFeed, USER_AGENT } from './service-feed.ts'
import { renderService } from './service-part.ts'
import { type DoubtfulPlace, doubtfulPlaces, flowListings, staleFlows } from './stale-flows.ts'
import type { TablePart } from './table-part.ts'
import { type Backend, viewOf } from './usable-backends.ts'

export interface NftablesProxyParts {
  readonly transport: Transport
  readonly nodeName: string
  /** Followed for others too; its own unless given. */
  readonly feed?: ServiceFeed
  /** See port-plan.ts. */
  readonly own?: ReadonlyMap<string, Backend>
  /** Name of the tables, one of each family, which nobody else on this machine uses. */
  readonly table: string
  /** One of each family that Services and policies are carried out for. */
  readonly podCidrs: readonly string[]
  /** Runs programs where the rules belong; on this machine unless given. */
  readonly run?: typeof runProgram
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** Changes that come together are loaded together. */
const SETTLE_MS = 5
/** After the last change, what nothing leads to any more is taken away; until then a further change does it. */
const TIDY_MS = 1_000
/** Whoever flushes all rules of a machine takes ours away too. */
const LOOK_MS = 30_000
const RETRY: BackoffConfig = { baseMs: 500, maxMs: 30_000 }
const BASE = 'base'
const POLICIES = 'policies'

export function createNftablesProxy(parts: NftablesProxyParts): Component {
  return new NftablesProxy(parts)
}

/** What is carried out for one family. */
interface Stack {
  readonly family: Family
  readonly podCidr: string
  readonly table: NftTable
  /** Of services, as they are loaded. */
  readonly plans: Map<string, readonly PortPlan[]>
}

class NftablesProxy implements Component {
  readonly name = 'service-proxy'
  readonly #parts: NftablesProxyParts
  readonly #feed: ServiceFeed
  readonly #policies: PolicyFeed
  readonly #node: Informer<Node>
  readonly #stacks: readonly Stack[]
  readonly #run: typeof runProgram
  readonly #aborter = new AbortController()
  /** Services whose rules may have to change, and the other parts of the table. */
  #dirty = new Set<string>([BASE, POLICIES])
  #timer: Timer | null = null
  #armedMs = 0
  #loading: Promise<void> | null = null
  #isStarted = false
  #failures = 0
  #problem = 'no rules have been loaded yet'

  constructor(parts: NftablesProxyParts) {
    this.#parts = parts
    const { transport, clock, random, log, nodeName, table, run } = parts
    const client = new KubeClient(transport, { userAgent: USER_AGENT })
    const shared = { client, clock, random, log }
    this.#feed = parts.feed ?? new ServiceFeed(shared)
    this.#policies = new PolicyFeed(shared)
    const fieldSelector = `metadata.name=${nodeName}`
    this.#node = new Informer<Node>({ ...shared, resource: NODES, fieldSelector })
    this.#stacks = parts.podCidrs.map(podCidr => {
      const family = familyOf(podCidr)
      const name = `${wordsOf(family).ip} ${table}`
      return { family, podCidr, table: new NftTable({ name, run, log }), plans: new Map() }
    })
    this.#run = run ?? runProgram
  }

  async prepare(): Promise<void> {
    for (const { family } of this.#stacks) allowForwarding(family)
  }

  /** Returns once the rules of everything that is there are in the kernel. */
  async start(signal: AbortSignal): Promise<void> {
    const signals = { ending: this.#aborter.signal, signal }
    this.#node.onChange((_, next, previous) => {
      if (next === null || previous === null || viewOf(next).zone !== viewOf(previous).zone)
        this.#allChanged()
    })
    this.#node.start(this.#aborter.signal)
    await Promise.all([
      this.#feed.start(key => this.#changed(key), signals),
      this.#policies.start(() => this.#changed(POLICIES), signals),
      abortable(this.#node.synced, signal),
    ])
    this.#allChanged()
    await this.#load()
    this.#isStarted = true
    this.#armNext()
  }

  async stop(): Promise<void> {
    this.#aborter.abort()
    this.#timer?.cancel()
    await this.#loading
  }

  health(): Health {
    return { ok: this.#problem === '', reason: this.#problem }
  }

  #allChanged(): void {
    for (const key of [BASE, ...this.#stacks.flatMap(({ plans }) => [...plans.keys()])]) this.#dirty.add(key)
    for (const { metadata } of this.#feed.services.list()) {
      this.#dirty.add(`${metadata.namespace}/${metadata.name}`)
    }
    this.#changed(POLICIES)
  }

  #changed(key: string): void {
    this.#dirty.add(key)
    // While a load fails, its next attempt takes this along.
    const isSettling = this.#timer !== null && this.#armedMs === SETTLE_MS
    if (this.#isStarted && this.#failures === 0 && !isSettling) this.#arm(SETTLE_MS)
  }

  #armNext(): void {
    const isUntidy = this.#stacks.some(({ table }) => table.isUntidy)
    this.#arm(this.#dirty.size > 0 ? SETTLE_MS : isUntidy ? TIDY_MS : LOOK_MS)
  }

  #arm(delayMs: number): void {
    if (this.#aborter.signal.aborted) return
    this.#timer?.cancel()
    this.#armedMs = delayMs
    this.#timer = this.#parts.clock.after(delayMs, () => {
      this.#timer = null
      this.#loading ??= this.#loadAll().finally(() => {
        this.#loading = null
        if (this.#timer === null) this.#armNext()
      })
    })
  }

  async #loadAll(): Promise<void> {
    try {
      if (this.#dirty.size === 0) for (const { table } of this.#stacks) await table.tidy()
      if (this.#dirty.size === 0 && !(await this.#areThere())) {
        this.#parts.log.warn('the rules of Services are gone from the kernel, and are loaded again')
        this.#dirty.add(BASE)
      }
      await this.#load()
      this.#failures = 0
    } catch (error) {
      this.#failures += 1
      this.#problem = `the rules of Services could not be loaded: ${messageOf(error)}`
      this.#parts.log.warn('the rules of Services could not be loaded', { error })
      this.#arm(backoffMs(RETRY, this.#failures))
    }
  }

  /** Of all families. */
  async #areThere(): Promise<boolean> {
    for (const { table } of this.#stacks) if (!(await table.isThere())) return false
    return true
  }

  async #load(): Promise<void> {
    const keys = this.#dirty
    if (keys.size === 0) return
    this.#dirty = new Set()
    try {
      for (const stack of this.#stacks) {
        const plans = new Map<string, readonly PortPlan[]>()
        await stack.table.load(this.#render(stack, keys, plans))
        await this.#forgetFlows(stack, plans)
      }
      this.#problem = ''
    } catch (error) {
      for (const key of keys) this.#dirty.add(key)
      throw error
    }
  }

  #render(
    { family, podCidr }: Stack,
    keys: ReadonlySet<string>,
    plans: Map<string, readonly PortPlan[]>,
  ): Map<string, TablePart | null> {
    const { nodeName } = this.#parts
    const parts = new Map<string, TablePart | null>()
    for (const key of keys) {
      if (key === BASE) parts.set(BASE, renderBase(podCidr))
      else if (key !== POLICIES) {
        const planned = this.#planService(key, family)
        plans.set(key, planned)
        parts.set(key, planned.length === 0 ? null : renderService(planned, podCidr))
      }
    }
    // What policies name must be known first; until then those that are loaded stay.
    if (keys.has(POLICIES) && this.#policies.isSynced) {
      const { policies, pods, namespaces } = this.#policies
      const lists = { policies: policies.list(), pods: pods.list(), namespaces: namespaces.list() }
      parts.set(POLICIES, renderPolicies({ nodeName, family, ...lists }))
    }
    return parts
  }

  #planService(key: string, family: Family): PortPlan[] {
    const { nodeName, own } = this.#parts
    const service = this.#feed.services.get(key)
    if (service === undefined) return []
    const node = this.#node.get(nodeName)
    const view = node === undefined ? { name: nodeName, zone: null } : viewOf(node)
    return planPorts({ service, slices: this.#feed.slicesOf(key), node: view, own, family })
  }

  async #forgetFlows(stack: Stack, plans: ReadonlyMap<string, readonly PortPlan[]>): Promise<void> {
    const places: DoubtfulPlace[] = []
    for (const [key, after] of plans) {
      places.push(...doubtfulPlaces(stack.plans.get(key) ?? [], after, stack.family))
      if (after.length === 0) stack.plans.delete(key)
      else stack.plans.set(key, after)
    }
    for (const listing of flowListings(places)) {
      const { stdout } = await this.#run('conntrack', listing, { accept: 'any' })
      for (const args of staleFlows(stdout, places)) await this.#run('conntrack', args, { accept: 'any' })
    }
  }
}
