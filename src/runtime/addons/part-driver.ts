/**
 * Runs the parts of add-ons on one node: follows the Addons, starts a part whose add-on is enabled, starts it anew when
 * its parameters change, stops it when it is disabled, and writes how it does into the Addon's status.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type BackoffConfig, backoffMs } from '../../base/backoff.ts'
import { type Clock, sleep, type Timer } from '../../base/clock.ts'
import type { Component, Health } from '../../base/component.ts'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import type { Informer } from '../../client/informer.ts'
import type { KubeClient } from '../../client/kube-client.ts'
import {
  ADDON_API_VERSION,
  ADDONS,
  type Addon,
  type NodeReport,
  type ParameterValues,
} from './addon-object.ts'
import type { Part, PartContext, RunningPart } from './part.ts'
import { fingerprintOf } from './plan-objects.ts'
import { type PartPlan, planParts } from './plan-parts.ts'

export interface PartDriverParts {
  readonly parts: readonly Part[]
  readonly addons: Informer<Addon>
  readonly client: KubeClient
  /** Everything of a part's context but what is its own. */
  readonly context: Omit<PartContext, 'directory' | 'log' | 'client'>
  /** `<data-dir>/addons`. */
  readonly directory: string
  readonly clock: Clock
  readonly log: Log
}

const RETRY: BackoffConfig = { baseMs: 500, maxMs: 30_000 }
const LOOK_MS = 2_000

export function createPartDriver(parts: PartDriverParts): Component {
  const keepers = parts.parts.map(part => new PartKeeper(part, parts))
  const aborter = new AbortController()
  let timer: Timer | null = null
  const follow = () => {
    const plans = planParts(parts.parts, parts.addons.list(), parts.context.nodeName)
    for (const keeper of keepers) keeper.follow(plans.get(keeper.name))
  }
  const look = () => {
    timer = parts.clock.after(LOOK_MS, () => {
      for (const keeper of keepers) keeper.look()
      look()
    })
  }
  return {
    name: 'addon-parts',
    async prepare() {},
    /** What is on by default begins at once; the rest waits for the API. */
    async start() {
      follow()
      parts.addons.onChange(follow)
      parts.addons.start(aborter.signal)
      look()
    },
    async stop() {
      aborter.abort()
      timer?.cancel()
      await Promise.all(keepers.map(keeper => keeper.stop()))
    },
    health() {
      const bad = keepers.map(keeper => keeper.health()).filter(({ ok }) => !ok)
      return { ok: true, reason: bad.map(({ reason }) => reason).join('; ') }
    },
  }
}

const STOPPED: PartPlan = { addon: null, run: null, purge: false, isTold: false }

/** One part on this node: does one thing after the other, always towards the newest plan. */
class PartKeeper {
  readonly name: string
  readonly #part: Part
  readonly #parts: PartDriverParts
  readonly #context: PartContext
  #plan: PartPlan = STOPPED
  #changed = new AbortController()
  #working: Promise<void> | null = null
  #running: { readonly part: RunningPart; readonly key: string } | null = null
  #problem = ''
  #failures = 0
  #isPurged = false
  #isClean = false
  #told = ''
  #telling: Promise<void> = Promise.resolve()
  #isStopped = false

  constructor(part: Part, parts: PartDriverParts) {
    this.name = part.name
    this.#part = part
    this.#parts = parts
    const log = parts.log.child({ part: part.name })
    const directory = join(parts.directory, part.name)
    this.#context = { ...parts.context, client: parts.client, directory, log }
  }

  follow(plan: PartPlan | undefined): void {
    const next = plan ?? STOPPED
    const isSame = this.#keyOf(next) === this.#keyOf(this.#plan)
    if (next.addon !== this.#plan.addon) this.#told = ''
    this.#plan = next
    if (isSame && this.#working === null && this.#isDone()) return void this.#tell()
    if (!isSame) {
      this.#changed.abort()
      this.#changed = new AbortController()
      this.#failures = 0
      if (next.run !== null) this.#isPurged = this.#isClean = false
    }
    this.#work()
  }

  #isDone(): boolean {
    const wanted = this.#plan.run === null ? null : this.#keyOf(this.#plan)
    const { addon, run, purge } = this.#plan
    const isLeft = run === null && addon !== null && !this.#isClean
    return (this.#running?.key ?? null) === wanted && !isLeft && (!purge || this.#isPurged)
  }

  #work(): void {
    if (this.#working !== null || this.#isStopped) return
    this.#working = this.#settle().finally(() => {
      this.#working = null
      if (!this.#isDone()) this.#work()
      else this.#tell()
    })
  }

  async #settle(): Promise<void> {
    while (!this.#isDone() && !this.#isStopped) {
      const { signal } = this.#changed
      try {
        await this.#step(signal)
        this.#failures = 0
        this.#problem = ''
      } catch (error) {
        if (signal.aborted) continue
        this.#failures += 1
        const why = error instanceof Mk8sError && error.why ? `: ${error.why}` : ''
        this.#problem = `${messageOf(error)}${why}`
        this.#parts.log.warn('a part of an add-on failed and is tried again', { part: this.name, error })
        this.#tell()
        await sleep(this.#parts.clock, backoffMs(RETRY, this.#failures), signal).catch(() => {})
      }
    }
  }

  async #step(signal: AbortSignal): Promise<void> {
    const { run, purge } = this.#plan
    const key = this.#keyOf(this.#plan)
    if (this.#running !== null) {
      const { part } = this.#running
      this.#running = null
      await part.stop()
    } else if (run !== null) {
      this.#running = { part: await this.#part.start(this.#context, run, signal), key }
      this.#parts.log.info('a part of an add-on runs', { part: this.name })
    } else if (!this.#isClean) {
      await this.#part.cleanUp?.(this.#context)
      this.#isClean = true
    } else if (purge) {
      await this.#part.purge?.(this.#context)
      await rm(this.#context.directory, { recursive: true, force: true })
      this.#isPurged = true
    }
  }

  #keyOf({ run, purge }: PartPlan): string {
    if (run === null) return `stopped ${purge}`
    const { heeds } = this.#part
    const heeded = Object.entries(run).filter(([name]) => heeds?.includes(name) ?? true)
    return fingerprintOf(Object.fromEntries(heeded))
  }

  health(): Health {
    if (this.#problem !== '') return { ok: false, reason: `${this.name}: ${this.#problem}` }
    const { ok, reason } = this.#running?.part.health() ?? { ok: true, reason: '' }
    return { ok, reason: ok ? '' : `${this.name}: ${reason}` }
  }

  look(): void {
    if (this.#working === null) this.#tell()
  }

  /** Only what is new, and one report after the other. */
  #tell(): void {
    const { addon, run } = this.#plan
    if (addon === null || this.#isStopped) return
    const report = run === null ? null : this.#report(run)
    const text = JSON.stringify(report)
    if (text === this.#told || (report === null && this.#told === '' && !this.#plan.isTold)) return
    this.#told = text
    this.#telling = this.#telling
      .then(() => this.#write(addon, report))
      .catch(error => {
        this.#told = `${text} `
        this.#parts.log.debug('a report about an add-on could not be written', { part: this.name, error })
      })
  }

  #report(run: ParameterValues): NodeReport {
    const { ok, reason } = this.health()
    const ready = ok && this.#running !== null
    const remark = this.#running?.part.health().reason ?? ''
    const message = ready ? remark : reason.replace(`${this.name}: `, '')
    const name = this.#parts.context.nodeName
    return { name, part: this.name, ready, message, parameters: fingerprintOf(run) }
  }

  async #write(addon: string, report: NodeReport | null): Promise<void> {
    const { client, context } = this.#parts
    const object = {
      ...{ apiVersion: ADDON_API_VERSION, kind: 'Addon', metadata: { name: addon } },
      status: report === null ? {} : { nodes: [report] },
    }
    const fieldManager = `mk8s-part-${this.name}-${context.nodeName}`
    await client.apply(ADDONS, object, { fieldManager, force: true, subresource: 'status' })
  }

  /** What it has kept on the node stays, and the next daemon takes it up. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#changed.abort()
    await this.#working
    await this.#telling
    await this.#running?.part.stop()
    this.#running = null
  }
}
