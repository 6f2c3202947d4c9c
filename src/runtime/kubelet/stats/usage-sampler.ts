/**
 * Usage of containers and node with rates, which take two looks: the last one is kept, and when it is too old or too
 * young to tell, a second look is taken. Nothing is looked at while nobody asks.
 */
import { type Clock, sleep } from '../../../base/clock.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { ContainerUsage } from '../runtime/usage.ts'
import type { NodeUsage } from './node-usage.ts'

export interface Rated<T> {
  readonly usage: T
  /** Billionths of a core, over `windowMs`; undefined for what was seen once. */
  readonly nanoCores: number | undefined
  readonly windowMs: number
}

export interface UsageSample {
  readonly node: Rated<NodeUsage>
  /** By container id. */
  readonly containers: ReadonlyMap<string, Rated<ContainerUsage>>
}

export interface UsageSamplerParts {
  readonly runtime: Pick<Runtime, 'containerUsage'>
  readonly readNode: (nowMs: number) => Promise<NodeUsage>
  readonly clock: Clock
}

interface Look {
  readonly atMs: number
  readonly node: NodeUsage
  readonly containers: ReadonlyMap<string, ContainerUsage>
}

/** Who asks sooner gets the same answer. */
const FRESH_MS = 1_000
/** A rate over less would be noise, over more it would be history. */
const WINDOW_MS_MIN = 1_000
const WINDOW_MS_MAX = 60_000

export class UsageSampler {
  readonly #parts: UsageSamplerParts
  #last: Look | null = null
  #answer: { readonly atMs: number; readonly sample: UsageSample } | null = null
  #running: Promise<UsageSample> | null = null

  constructor(parts: UsageSamplerParts) {
    this.#parts = parts
  }

  sample(): Promise<UsageSample> {
    const nowMs = this.#parts.clock.monotonic()
    if (this.#answer !== null && nowMs - this.#answer.atMs < FRESH_MS)
      return Promise.resolve(this.#answer.sample)
    this.#running ??= this.#take().finally(() => {
      this.#running = null
    })
    return this.#running
  }

  async #take(): Promise<UsageSample> {
    const { clock } = this.#parts
    const ageMs = this.#last === null ? Number.POSITIVE_INFINITY : clock.monotonic() - this.#last.atMs
    let before = this.#last
    if (before === null || ageMs > WINDOW_MS_MAX) {
      before = await this.#look()
      await sleep(clock, WINDOW_MS_MIN)
    }
    const now = await this.#look()
    this.#last = now
    const sample = rate(before, now)
    this.#answer = { atMs: clock.monotonic(), sample }
    return sample
  }

  async #look(): Promise<Look> {
    const { runtime, readNode, clock } = this.#parts
    const [containers, node] = await Promise.all([runtime.containerUsage(), readNode(clock.now())])
    return { atMs: clock.monotonic(), node, containers: new Map(containers.map(each => [each.id, each])) }
  }
}

function rate(before: Look, now: Look): UsageSample {
  const containers = [...now.containers].map(
    ([id, usage]) => [id, rated(before.containers.get(id), usage)] as const,
  )
  return { node: rated(before.node, now.node), containers: new Map(containers) }
}

/** A counter that went back began anew. */
export function rated<T extends { readonly timeMs: number; readonly cpuNanos: number }>(
  before: T | undefined,
  usage: T,
): Rated<T> {
  const windowMs = before === undefined ? 0 : usage.timeMs - before.timeMs
  if (before === undefined || windowMs <= 0 || usage.cpuNanos < before.cpuNanos) {
    return { usage, nanoCores: undefined, windowMs: 0 }
  }
  const nanoCores = Math.round(((usage.cpuNanos - before.cpuNanos) * 1_000) / windowMs)
  return { usage, nanoCores, windowMs }
}
