/** Clients that read, write and swap registers, hold leases, compact and watch, each through some member. */
import { Mk8sError } from '../../src/base/errors.ts'
import { prefixEnd } from '../../src/runtime/store/store.ts'
import type { Checkers } from './checkers/checkers.ts'
import type { HistoryEntry, RegisterOperation } from './checkers/linearizability.ts'
import { WatchChecker } from './checkers/watch-checker.ts'
import type { Member } from './member.ts'
import type { SimulationOptions } from './options.ts'
import type { SimStore } from './sim-store.ts'
import type { World } from './world.ts'

export const ABSENT = '-'
/** Nothing is started any more, so that everything can be checked. */
export interface Gate {
  open: boolean
}

export interface WorkloadParts {
  readonly world: World
  readonly options: SimulationOptions
  readonly checkers: Checkers
  readonly members: () => readonly Member[]
  readonly gate: Gate
}

export class Workload {
  readonly #parts: WorkloadParts
  readonly histories = new Map<string, HistoryEntry[]>()
  readonly acknowledged: { revision: number; key: string; value: string }[] = []
  readonly watchers: WatchChecker[] = []
  #values = 0
  operations = 0

  constructor(parts: WorkloadParts) {
    this.#parts = parts
  }

  start(): void {
    const { world, options } = this.#parts
    for (let n = 0; n < options.clients; n++) this.#client(`client ${n}`).catch(error => world.fail(error))
    for (let n = 0; n < 2; n++) this.#watcher(`watcher ${n}`).catch(error => world.fail(error))
  }

  #stores(): SimStore[] {
    return this.#parts.members().flatMap(({ life, running }) => (life && running ? [life.store] : []))
  }

  async #client(name: string): Promise<void> {
    const { world, gate } = this.#parts
    const think = world.between(name, 5, 60)
    while (gate.open) {
      await world.passing(world.between(name, 0, think))
      const store = world.pick(name, this.#stores())
      if (store === undefined || !gate.open) continue
      this.operations++
      const dice = world.random(name).float()
      if (dice < 0.05) await this.#other(name, store)
      else await this.#register(name, store)
    }
  }

  async #register(name: string, store: SimStore): Promise<void> {
    const { world, options } = this.#parts
    const key = `r/${Math.floor(world.random(name).float() * options.keys)}`
    const dice = world.random(name).float()
    if (dice < 0.35) await this.#read(store, key)
    else if (dice < 0.65) await this.#write(store, key)
    else await this.#swap(store, key, world.chance(name, 0.2))
  }

  /** From its call on it may have happened, until its answer says more. */
  #begin(key: string, operation: RegisterOperation): HistoryEntry {
    const history = this.histories.get(key) ?? []
    this.histories.set(key, history)
    // An instant after: what is called at the very moment that another returns, is called later.
    const entry = { operation, called: this.#parts.world.now + 1e-6, returned: Number.POSITIVE_INFINITY }
    history.push(entry)
    return entry
  }

  #end(entry: HistoryEntry, operation: RegisterOperation): void {
    entry.operation = operation
    entry.returned = this.#parts.world.now
  }

  /** An error says either that it did not happen, or that nobody knows. */
  #failed(key: string, entry: HistoryEntry, error: unknown): void {
    if (!(error instanceof Mk8sError)) throw error
    if (error.code === 'store/outcome-unknown') return
    const history = this.histories.get(key)
    history?.splice(history.indexOf(entry), 1)
  }

  async #read(store: SimStore, key: string): Promise<void> {
    const called = this.#parts.world.now + 1e-6
    if (!(await attempt(() => store.barrier()))) return
    const kv = store.get(key)
    const entry = this.#begin(key, { type: 'read', found: kv ? `${kv.value}` : ABSENT })
    this.histories.get(key)?.splice(-1, 1, { ...entry, called, returned: this.#parts.world.now })
  }

  async #write(store: SimStore, key: string): Promise<void> {
    const value = this.#nextValue()
    const write: RegisterOperation = { type: 'write', value }
    const entry = this.#begin(key, write)
    const operations = [{ type: 'put', key, value: Buffer.from(value) } as const]
    try {
      const { revision } = await store.transact({ compares: [], operations })
      this.#end(entry, write)
      this.acknowledged.push({ revision, key, value })
    } catch (error) {
      this.#failed(key, entry, error)
    }
  }

  /** Compares with what a member has, which may be old; then the swap must fail. */
  async #swap(store: SimStore, key: string, fenced: boolean): Promise<void> {
    const kv = store.get(key)
    const expected = kv ? `${kv.value}` : ABSENT
    const value = this.#nextValue()
    const swap: RegisterOperation = { type: 'swap', expected, value }
    const entry = this.#begin(key, swap)
    const options = fenced ? { term: store.leadership.term } : {}
    const compares = [{ key, target: 'mod-revision', equals: kv?.modRevision ?? 0 } as const]
    const operations = [{ type: 'put', key, value: Buffer.from(value) } as const]
    try {
      const result = await store.transact({ compares, operations }, options)
      if (result.succeeded) {
        this.#end(entry, swap)
        this.acknowledged.push({ revision: result.revision, key, value })
      } else {
        const now = result.found[0]
        this.#end(entry, { type: 'no-swap', expected, found: now ? `${now.value}` : ABSENT })
      }
    } catch (error) {
      this.#failed(key, entry, error)
    }
  }

  async #other(name: string, store: SimStore): Promise<void> {
    const { world } = this.#parts
    if (world.chance(name, 0.3)) {
      await attempt(() => store.compact(Math.max(1, store.revision - Math.floor(world.between(name, 0, 50)))))
      return
    }
    await attempt(async () => {
      const lease = await store.grantLease(world.between(name, 100, 2000))
      const key = `lease/${lease % 7}`
      await store.transact({
        compares: [],
        operations: [{ type: 'put', key, value: Buffer.from('x'), lease }],
      })
    })
  }

  #nextValue(): string {
    return `v${++this.#values}`
  }

  /** Watches at some member until that one is gone, and goes on at another where it stopped. */
  async #watcher(name: string): Promise<void> {
    const { world, checkers, gate } = this.#parts
    const prefix = world.chance(name, 0.5) ? 'r/' : ''
    const checker = new WatchChecker(checkers, prefix, 1)
    this.watchers.push(checker)
    while (gate.open) {
      const store = world.pick(name, this.#stores())
      if (store === undefined) await world.passing(50)
      else await this.#watch(name, store, prefix, checker)
    }
  }

  async #watch(name: string, store: SimStore, prefix: string, checker: WatchChecker): Promise<void> {
    const { world } = this.#parts
    const { promise, resolve } = Promise.withResolvers<void>()
    const end = prefix === '' ? '\uffff' : prefixEnd(prefix)
    let closed = false
    const close = () => {
      closed = true
      resolve()
    }
    const onEvents: Parameters<SimStore['watch']>[1]['onEvents'] = (events, revision) => {
      if (closed) return
      try {
        checker.take(events, revision)
      } catch (error) {
        world.fail(error)
      }
    }
    try {
      const watch = store.watch({ start: prefix, end, after: checker.seen }, { onEvents, onClosed: close })
      world.after(world.between(name, 100, 3000), () => {
        if (!closed) watch.close()
        close()
      })
    } catch (error) {
      if (!(error instanceof Mk8sError) || error.code !== 'store/compacted') throw error
      checker.beginAgain(store.revision)
      world.after(10, close)
    }
    await promise
  }
}

/** False when the store could not, for a reason that it names. */
async function attempt(act: () => Promise<unknown>): Promise<boolean> {
  try {
    await act()
    return true
  } catch (error) {
    if (error instanceof Mk8sError) return false
    throw error
  }
}
