/**
 * Services for pods with addresses of their own: follows Services and endpoint slices and loads them into the
 * kernel's packet filter. It goes on working while the daemon does not run.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { type BackoffConfig, backoffMs } from '../../base/backoff.ts'
import type { Clock, Timer } from '../../base/clock.ts'
import type { Component, Health } from '../../base/component.ts'
import { messageOf } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import { KubeClient } from '../../client/kube-client.ts'
import type { Transport } from '../../client/transport.ts'
import { runProgram } from '../../host/programs.ts'
import { ANY_NODE_ADDRESS, type Ruleset, renderRuleset } from './nftables-ruleset.ts'
import { type Backend, endsWithBackend, type ProxyRule, planProxyRules } from './proxy-rules.ts'
import { ServiceFeed, USER_AGENT } from './service-feed.ts'

export interface NftablesProxyParts {
  readonly transport: Transport
  readonly nodeName: string
  /** Followed for others too; its own unless given. */
  readonly feed?: ServiceFeed
  /** See proxy-rules.ts. */
  readonly own?: ReadonlyMap<string, Backend>
  /** Name of the table, which nobody else on this machine uses. */
  readonly table: string
  readonly podCidr: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** Changes that come together are loaded together. */
const SETTLE_MS = 10
const RETRY: BackoffConfig = { baseMs: 500, maxMs: 30_000 }
const LOAD_MS_MAX = 60_000
const PROC = '/proc/sys/net/ipv4'
/** Forwarding between pods; and 127.0.0.1 as a way to node ports. */
const SETTINGS = [`${PROC}/ip_forward`, `${PROC}/conf/all/route_localnet`]

export function createNftablesProxy(parts: NftablesProxyParts): Component {
  return new NftablesProxy(parts)
}

/** Takes all of its rules out of the kernel. Does nothing where there are none. */
export async function removeNftables(table: string): Promise<void> {
  const input = `add table ip ${table}\ndelete table ip ${table}\n`
  await runProgram('nft', ['-f', '-'], { input, accept: 'any' })
}

class NftablesProxy implements Component {
  readonly name = 'service-proxy'
  readonly #parts: NftablesProxyParts
  readonly #feed: ServiceFeed
  readonly #aborter = new AbortController()
  #timer: Timer | null = null
  #loading: Promise<void> | null = null
  #isDirty = false
  #failures = 0
  #problem = 'no rules have been loaded yet'
  #loaded: { readonly text: string; readonly rules: ReadonlyMap<string, ProxyRule> } | null = null
  /** Chains and sets in the kernel, by what nft calls them. */
  readonly #present = new Map<string, 'chain' | 'set'>()

  constructor(parts: NftablesProxyParts) {
    this.#parts = parts
    const { transport, clock, random, log } = parts
    const client = new KubeClient(transport, { userAgent: USER_AGENT })
    const shared = { client, clock, random, log }
    this.#feed = parts.feed ?? new ServiceFeed(shared)
  }

  async prepare(): Promise<void> {
    for (const path of SETTINGS) if (readFileSync(path, 'utf8').trim() !== '1') writeFileSync(path, '1')
  }

  /** Returns once the rules of everything that is there are in the kernel. */
  async start(signal: AbortSignal): Promise<void> {
    await this.#feed.start(() => this.#changed(), { ending: this.#aborter.signal, signal })
    // What an earlier daemon loaded is replaced in one step, by rules for the same connections.
    await this.#load({ isFresh: true })
  }

  async stop(): Promise<void> {
    this.#aborter.abort()
    this.#timer?.cancel()
    await this.#loading
  }

  health(): Health {
    return { ok: this.#problem === '', reason: this.#problem }
  }

  #changed(): void {
    this.#isDirty = true
    if (this.#loaded === null || this.#timer !== null || this.#aborter.signal.aborted) return
    this.#arm(SETTLE_MS)
  }

  #arm(delayMs: number): void {
    this.#timer = this.#parts.clock.after(delayMs, () => {
      this.#timer = null
      this.#loading ??= this.#loadAll().finally(() => {
        this.#loading = null
      })
    })
  }

  async #loadAll(): Promise<void> {
    while (this.#isDirty && !this.#aborter.signal.aborted) {
      this.#isDirty = false
      try {
        await this.#load({ isFresh: false })
        this.#failures = 0
        this.#problem = ''
      } catch (error) {
        this.#failures += 1
        this.#problem = `the rules of Services could not be loaded: ${messageOf(error)}`
        this.#parts.log.warn('the rules of Services could not be loaded', { error })
        this.#isDirty = true
        return this.#arm(backoffMs(RETRY, this.#failures))
      }
    }
  }

  async #load({ isFresh }: { isFresh: boolean }): Promise<void> {
    const { nodeName, table, podCidr, own } = this.#parts
    const rules = planProxyRules({
      services: this.#feed.services.list(),
      slices: this.#feed.slices.list(),
      nodeName,
      nodeAddresses: [ANY_NODE_ADDRESS],
      serviceAddress: address => address,
      keepsEmpty: true,
      ...(own === undefined ? {} : { own }),
    })
    const ruleset = renderRuleset({ table, podCidr, rules: [...rules.values()] })
    if (ruleset.text === this.#loaded?.text) return
    const reset = isFresh ? `add table ip ${table}\ndelete table ip ${table}\n` : ''
    await nft(`${reset}${ruleset.text}`)
    this.#problem = ''
    const before = this.#loaded?.rules ?? new Map<string, ProxyRule>()
    this.#loaded = { text: ruleset.text, rules }
    await this.#clean(ruleset)
    await this.#forgetConnections(before, rules)
  }

  /** Chains and sets that nothing leads to any more; in a step of its own, since they were in use until now. */
  async #clean({ chains, sets }: Ruleset): Promise<void> {
    const stale = [...this.#present].filter(([name]) => !chains.has(name) && !sets.has(name))
    for (const name of chains) this.#present.set(name, 'chain')
    for (const name of sets) this.#present.set(name, 'set')
    if (stale.length === 0) return
    const { table, log } = this.#parts
    try {
      await nft(stale.map(([name, kind]) => `delete ${kind} ip ${table} ${name}\n`).join(''))
      for (const [name] of stale) this.#present.delete(name)
    } catch (error) {
      log.debug('old chains could not be removed yet', { error })
    }
  }

  /**
   * Datagrams of one sender count as a connection, which would go on to an endpoint that has gone. A connection to an
   * API server that is forgotten meets another one with its next packet, which refuses it.
   */
  async #forgetConnections(
    before: ReadonlyMap<string, ProxyRule>,
    now: ReadonlyMap<string, ProxyRule>,
  ): Promise<void> {
    for (const [key, rule] of before) {
      const { protocol, address, port, backends } = rule
      if (protocol !== 'UDP' && !endsWithBackend(rule)) continue
      const kept = now.get(key)?.backends ?? []
      const gone = backends.filter(each => !kept.some(other => other.address === each.address))
      const target = address === ANY_NODE_ADDRESS ? [] : ['--orig-dst', address]
      for (const backend of gone) {
        const args = [
          '-D',
          '-p',
          protocol.toLowerCase(),
          ...target,
          '--orig-port-dst',
          String(port),
          '--dst-nat',
          backend.address,
        ]
        await runProgram('conntrack', args, { accept: 'any' })
      }
    }
  }
}

async function nft(input: string): Promise<void> {
  await runProgram('nft', ['-f', '-'], { input, timeoutMs: LOAD_MS_MAX })
}
