/**
 * Clients that read, write and swap registers through the members of a cluster of processes, watchers that follow
 * them, and, when all is over, the check of everything that they were told.
 */
import { must } from '../../src/base/assert.ts'
import { sleep, systemClock } from '../../src/base/clock.ts'
import type { Random } from '../../src/base/random.ts'
import { prefixEnd, type StoreEvent } from '../../src/runtime/store/store.ts'
import { type AcknowledgedWrite, checkAcknowledged, keyOf } from '../simulation/checkers/checkers.ts'
import {
  checkLinearizable,
  explain,
  type HistoryEntry,
  type RegisterOperation,
} from '../simulation/checkers/linearizability.ts'
import { WatchChecker } from '../simulation/checkers/watch-checker.ts'
import type { StoreCluster } from './store-cluster.ts'
import { MemberError, MemberGone, type StoreMember } from './store-member.ts'
import { until } from './until.ts'

const ABSENT = '-'
/** Each load has registers of its own. */
let loads = 0
/** A client waits so long for one member; then it goes on at another, and the answer may still come. */
const PATIENCE_MS = 300
const KEYS = 8
/** New registers are begun after so many operations, so that histories stay short enough to be decided. */
const OPERATIONS_PER_GENERATION = 300
const WATCH_MAX_MS = 3_000
/** The write did not happen, if these are the answer; any other error leaves that open. */
const REFUSALS = ['store/no-leader', 'store/overloaded', 'store/fenced']
/** What clients have to bear: a refusal, an unknown outcome, a member whose disk refuses. */
const EXPECTED = [...REFUSALS, 'store/outcome-unknown', 'store/disk']

export interface ClientsParts {
  readonly cluster: StoreCluster
  readonly random: Random
  readonly clients?: number
  readonly watchers?: number
  /** The longest pause of a client between two operations. */
  readonly thinkMs?: number
}

export interface HistoryFigures {
  readonly operations: number
  readonly acknowledged: number
  /** Nobody knows whether these happened. */
  readonly unknown: number
  readonly refused: number
  readonly watched: number
  readonly registers: number
  /** Registers whose history was too tangled to be decided. */
  readonly undecided: number
}

interface Delivery {
  readonly events: readonly StoreEvent[]
  readonly revision: number
}

export class StoreClients {
  readonly #cluster: StoreCluster
  readonly #random: Random
  readonly #thinkMs: number
  readonly #prefix = `r${loads++}/`
  readonly #histories = new Map<string, HistoryEntry[]>()
  readonly #acknowledged: AcknowledgedWrite[] = []
  readonly #watchers: Delivery[][] = []
  readonly #running: Promise<void>[] = []
  readonly #stopping = new AbortController()
  #operations = 0
  #refused = 0
  #values = 0
  #failure: Error | null = null

  constructor(parts: ClientsParts) {
    this.#cluster = parts.cluster
    this.#random = parts.random
    this.#thinkMs = parts.thinkMs ?? 8
    for (let n = 0; n < (parts.clients ?? 5); n++) this.#running.push(this.#guard(this.#client()))
    for (let n = 0; n < (parts.watchers ?? 2); n++) this.#running.push(this.#guard(this.#watcher()))
  }

  /** Resolves when so many more writes were acknowledged. */
  async worked(writes = 15): Promise<void> {
    const enough = this.#acknowledged.length + writes
    await until('clients write', () => this.#failure !== null || this.#acknowledged.length >= enough)
  }

  /** Ends the load; throws what a client met that no client may meet. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await Promise.all(this.#running)
    if (this.#failure !== null) throw this.#failure
  }

  /** With all members that are to count running and the load stopped: throws at the first broken promise. */
  async check(): Promise<HistoryFigures> {
    await this.stop()
    await this.#cluster.settle()
    const events = await this.#checkMembers()
    checkAcknowledged(events, this.#acknowledged)
    const watched = this.#checkWatchers(events)
    const undecided = this.#checkRegisters(stateOf(events))
    const unknown = [...this.#histories.values()].flat().filter(({ returned }) => !Number.isFinite(returned))
    return {
      operations: this.#operations,
      acknowledged: this.#acknowledged.length,
      unknown: unknown.length,
      refused: this.#refused,
      watched,
      registers: this.#histories.size,
      undecided,
    }
  }

  /** All have the same state, which is what their events, which are the same too, lead to. */
  async #checkMembers(): Promise<readonly StoreEvent[]> {
    let all: readonly StoreEvent[] | null = null
    for (const member of this.#cluster.serving) {
      const events = await historyOf(member, this.#prefix)
      const { entries } = await member.call('range', { start: this.#prefix, end: prefixEnd(this.#prefix) })
      const state = entries.map(({ key, value, modRevision }) => `${key}=${value}@${modRevision}`)
      const expected = [...stateOf(events)].map(([key, { value, at }]) => `${key}=${value}@${at}`).sort()
      if (state.join() !== expected.join())
        throw new Error(`member ${member.id} has another state than its events lead to`)
      if (all !== null && described(all) !== described(events))
        throw new Error(`member ${member.id} tells another history than the members before it`)
      all = events
    }
    return must(all, 'a running member')
  }

  #checkWatchers(events: readonly StoreEvent[]): number {
    let delivered = 0
    for (const deliveries of this.#watchers) {
      const checker = new WatchChecker({ events }, this.#prefix, 1)
      for (const delivery of deliveries) checker.take(delivery.events, delivery.revision)
      delivered += checker.delivered
    }
    return delivered
  }

  #checkRegisters(state: ReadonlyMap<string, { readonly value: string }>): number {
    let undecided = 0
    for (const [key, history] of this.#histories) {
      const found = state.get(key)?.value ?? ABSENT
      const now = systemClock.monotonic()
      const operation = { type: 'read', found } as const
      const whole = [...history, { operation, called: now, returned: now + 1 }]
      const outcome = checkLinearizable(whole, ABSENT)
      if (outcome === 'undecided') undecided++
      else if (outcome === 'not linearizable')
        throw new Error(`the history of ${key} is not linearizable:\n${explain(whole, ABSENT)}`)
    }
    return undecided
  }

  async #guard(work: Promise<void>): Promise<void> {
    try {
      await work
    } catch (error) {
      this.#failure ??= error as Error
      this.#stopping.abort()
    }
  }

  #pick(): StoreMember | undefined {
    const { serving } = this.#cluster
    return serving[Math.floor(this.#random.float() * serving.length)]
  }

  async #pause(milliseconds: number): Promise<void> {
    await sleep(systemClock, milliseconds, this.#stopping.signal).catch(() => {})
  }

  async #client(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      await this.#pause(this.#random.float() * this.#thinkMs)
      const member = this.#pick()
      if (member === undefined || this.#stopping.signal.aborted) continue
      const generation = Math.floor(this.#operations++ / OPERATIONS_PER_GENERATION)
      const key = `${this.#prefix}${generation}/${Math.floor(this.#random.float() * KEYS)}`
      const dice = this.#random.float()
      const operation =
        dice < 0.35
          ? this.#read(member, key)
          : dice < 0.65
            ? this.#write(member, key)
            : this.#swap(member, key)
      await Promise.race([this.#guard(operation), this.#pause(PATIENCE_MS)])
    }
  }

  #history(key: string): HistoryEntry[] {
    const history = this.#histories.get(key) ?? []
    this.#histories.set(key, history)
    return history
  }

  async #read(member: StoreMember, key: string): Promise<void> {
    const called = systemClock.monotonic()
    try {
      await member.call('barrier')
      const kv = await member.call('get', key)
      const operation = { type: 'read', found: kv ? `${kv.value}` : ABSENT } as const
      this.#history(key).push({ operation, called, returned: systemClock.monotonic() })
    } catch (error) {
      if (!isExpected(error)) throw error
    }
  }

  async #write(member: StoreMember, key: string): Promise<void> {
    const value = `v${++this.#values}`
    const entry = this.#begin(key, { type: 'write', value })
    try {
      const { revision } = await member.put(key, value)
      this.#succeeded(entry, { revision, key, value })
    } catch (error) {
      this.#failed(key, entry, error)
    }
  }

  /** Compares with what the member has, which may be old; then the swap must fail. */
  async #swap(member: StoreMember, key: string): Promise<void> {
    const kv = await member.call('get', key).catch((error: unknown) => {
      if (isExpected(error)) return undefined
      throw error
    })
    if (kv === undefined) return
    const [expected, value] = [kv ? `${kv.value}` : ABSENT, `v${++this.#values}`]
    const entry = this.#begin(key, { type: 'swap', expected, value })
    try {
      const result = await member.call('transact', {
        compares: [{ key, target: 'mod-revision', equals: kv?.modRevision ?? 0 }],
        operations: [{ type: 'put', key, value: Buffer.from(value) }],
      })
      if (result.succeeded) {
        this.#succeeded(entry, { revision: result.revision, key, value })
        return
      }
      const now = result.found[0]
      entry.operation = { type: 'no-swap', expected, found: now ? `${now.value}` : ABSENT }
      entry.returned = systemClock.monotonic()
    } catch (error) {
      this.#failed(key, entry, error)
    }
  }

  /** From its call on it may have happened, until its answer says more. */
  #begin(key: string, operation: RegisterOperation): HistoryEntry {
    const entry = { operation, called: systemClock.monotonic(), returned: Number.POSITIVE_INFINITY }
    this.#history(key).push(entry)
    return entry
  }

  #succeeded(entry: HistoryEntry, write: AcknowledgedWrite): void {
    entry.returned = systemClock.monotonic()
    this.#acknowledged.push(write)
  }

  #failed(key: string, entry: HistoryEntry, error: unknown): void {
    if (!isExpected(error)) throw error
    if (!(error instanceof MemberError) || !REFUSALS.includes(error.code)) return
    this.#refused++
    const history = this.#history(key)
    history.splice(history.indexOf(entry), 1)
  }

  /** Watches at some member for a while or until that one is gone, and goes on at another where it stopped. */
  async #watcher(): Promise<void> {
    const deliveries: Delivery[] = []
    this.#watchers.push(deliveries)
    let seen = 1
    while (!this.#stopping.signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const end = this.#pick()?.watch(
        { start: this.#prefix, end: prefixEnd(this.#prefix), after: seen },
        {
          onEvents: (events, revision) => {
            deliveries.push({ events, revision })
            seen = revision
          },
          onClosed: () => resolve(),
        },
      )
      await Promise.race([promise, this.#pause(this.#random.float() * WATCH_MAX_MS)])
      end?.()
      await this.#pause(5)
    }
  }
}

/** A member that is gone, or an error of the store that clients have to expect. */
function isExpected(error: unknown): boolean {
  if (error instanceof MemberGone) return true
  return error instanceof MemberError && EXPECTED.includes(error.code)
}

/** Everything that happened to the registers, as this member tells it. */
async function historyOf(member: StoreMember, prefix: string): Promise<readonly StoreEvent[]> {
  const { revision } = await member.call('status')
  const events: StoreEvent[] = []
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const marker = `mark/${member.id}/${revision}`
  const { revision: last } = await member.put(marker, 'all')
  const end = member.watch(
    { start: '', end: '\uffff', after: 1 },
    {
      onEvents: (delivered, at) => {
        events.push(...delivered.filter(event => keyOf(event).startsWith(prefix)))
        if (at >= last) resolve()
      },
      onClosed: reject,
    },
  )
  await promise
  end()
  return events
}

function stateOf(
  events: readonly StoreEvent[],
): Map<string, { readonly value: string; readonly at: number }> {
  const state = new Map<string, { readonly value: string; readonly at: number }>()
  for (const event of events) {
    if (event.type === 'put')
      state.set(event.kv.key, { value: `${event.kv.value}`, at: event.kv.modRevision })
    else state.delete(event.key)
  }
  return state
}

function described(events: readonly StoreEvent[]): string {
  return events
    .map(event =>
      event.type === 'put'
        ? `${event.kv.modRevision} ${event.kv.key}=${event.kv.value}`
        : `${event.revision} ${event.key} deleted`,
    )
    .join('\n')
}
