/** What must hold all the time, in any world: Raft's own promises, equal states, and one history for everybody. */
import { type EntryHeader, readEntryHeader } from '../../../src/runtime/raft/entry.ts'
import type { Raft } from '../../../src/runtime/raft/raft.ts'
import { revisionOf } from '../../../src/runtime/store/mvcc/history.ts'
import { StateMachine } from '../../../src/runtime/store/mvcc/state-machine.ts'
import type { StoreEvent } from '../../../src/runtime/store/store.ts'
import { applyTo, type SimStore } from '../sim-store.ts'
import { Violation, type World } from '../world.ts'

/** Two members are compared after every so many entries. */
const DIGEST_EVERY = 8

export interface RunningCore {
  readonly id: number
  readonly raft: Raft
}

export class Checkers {
  readonly #world: World
  readonly #leaders = new Map<number, number>()
  /** The log as first applied anywhere; index 1 is at 0. */
  readonly #log: Buffer[] = []
  readonly #terms: number[] = []
  readonly #digests = new Map<number, string>()
  /** Each entry's predecessor's term: equal everywhere, or the logs do not match. */
  readonly #previousTerms = new Map<string, number>()
  readonly #checkedTo = new Map<string, number>()
  /** The last committed entry that was seen on the disk of each member. */
  readonly #kept = new Map<number, number>()
  /** The state as one faithful reader of the log has it, and all events in order. */
  readonly model = new StateMachine()
  readonly events: StoreEvent[] = []

  constructor(world: World) {
    this.#world = world
  }

  /** How many entries were applied anywhere. */
  get length(): number {
    return this.#log.length
  }

  /** Called after each step of a member. */
  stepped({ id, raft }: RunningCore): void {
    if (raft.role !== 'leader') return
    const known = this.#leaders.get(raft.term)
    if (known === id) return
    if (known !== undefined) throw new Violation(`term ${raft.term} has two leaders, ${known} and ${id}`)
    this.#leaders.set(raft.term, id)
    this.#world.trace(() => `member ${id} leads term ${raft.term}`)
    this.#checkComplete(id, raft)
  }

  /** Whoever is elected has every entry that was committed in earlier terms. */
  #checkComplete(id: number, raft: Raft): void {
    // Its votes came late: a leader of a later term, whose first commit is of that term, may have gone ahead.
    if ((this.#terms.at(-1) ?? 0) > raft.term) return
    const { log } = raft
    if (log.lastIndex < this.#log.length) {
      throw new Violation(`member ${id} leads without committed entry ${log.lastIndex + 1}`)
    }
    for (let index = log.firstIndex; index <= this.#log.length; index++) {
      if (log.termAt(index) === this.#terms[index - 1]) continue
      throw new Violation(`member ${id} leads with another entry ${index} than was committed`)
    }
  }

  /** An entry is to be applied at a member: the same one as everywhere. */
  applying(id: number, entry: Buffer): void {
    const header = readEntryHeader(entry)
    if (header === null) throw new Violation('half an entry was applied')
    const known = this.#log[header.index - 1]
    if (known === undefined) this.#extend(header, entry)
    else if (!known.equals(entry)) throw new Violation(`member ${id} applied another entry ${header.index}`)
  }

  /** It was applied, to the same effect as everywhere. */
  applied(id: number, index: number, store: SimStore): void {
    if (index % DIGEST_EVERY === 0) this.#compare(id, index, store)
  }

  #extend(header: EntryHeader, entry: Buffer): void {
    if (header.index !== this.#log.length + 1)
      throw new Violation(`entry ${header.index} was applied too early`)
    this.#log.push(entry)
    this.#terms.push(header.term)
    const applied = applyTo(this.model, entry)
    if (applied) this.events.push(...applied.events)
  }

  #compare(id: number, index: number, store: SimStore): void {
    const digest = store.digest()
    const known = this.#digests.get(index)
    if (known === undefined) this.#digests.set(index, digest)
    else if (known !== digest) throw new Violation(`member ${id} has another state after entry ${index}`)
  }

  installed(id: number, store: SimStore): void {
    this.#compare(id, store.applied, store)
  }

  /** Equal index and term means equal logs up to there. Looks at what is new in each log. */
  checkLogs(cores: readonly RunningCore[], lives: (id: number) => string): void {
    for (const { id, raft } of cores) {
      const { log } = raft
      const from = Math.max(log.firstIndex, (this.#checkedTo.get(lives(id)) ?? 0) - 50)
      for (let index = from; index <= log.lastIndex; index++) {
        const previous = log.termAt(index - 1)
        if (previous === null) continue
        const key = `${index}/${log.termAt(index)}`
        const known = this.#previousTerms.get(key)
        if (known === undefined) this.#previousTerms.set(key, previous)
        else if (known !== previous)
          throw new Violation(`member ${id} has a log that does not match at ${key}`)
      }
      this.#checkedTo.set(lives(id), log.lastIndex)
      this.#checkKept(id, log)
    }
  }

  /** What was committed and on a member's disk stays there: others count on it. */
  #checkKept(id: number, log: Raft['log']): void {
    const before = this.#kept.get(id) ?? 0
    if (log.lastIndex < before) throw new Violation(`member ${id} lost committed entry ${before}`)
    const isHere = (index: number) => index > 0 && log.termAt(index) === this.#terms[index - 1]
    if (before >= log.firstIndex && !isHere(before))
      throw new Violation(`member ${id} replaced committed entry ${before}`)
    // The place behind which the log begins may be that of a snapshot, and not be durable yet.
    for (let at = Math.min(log.stable, this.#terms.length); at > before && at >= log.firstIndex; at--) {
      if (!isHere(at)) continue
      this.#kept.set(id, at)
      break
    }
  }
}

export interface AcknowledgedWrite {
  readonly revision: number
  readonly key: string
  readonly value: string
}

/** A write that was acknowledged at a revision is in the history at that revision. */
export function checkAcknowledged(
  events: readonly StoreEvent[],
  acknowledged: readonly AcknowledgedWrite[],
): void {
  const at = new Map(events.map(event => [`${revisionOf({ ...event, sequence: 0 })} ${keyOf(event)}`, event]))
  for (const { revision, key, value } of acknowledged) {
    const event = at.get(`${revision} ${key}`)
    if (event?.type === 'put' && `${event.kv.value}` === value) continue
    throw new Violation(`the acknowledged write of ${value} to ${key} at ${revision} is lost`)
  }
}

export function keyOf(event: StoreEvent): string {
  return event.type === 'put' ? event.kv.key : event.key
}
