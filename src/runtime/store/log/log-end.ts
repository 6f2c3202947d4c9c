/**
 * Where the log ends, and the membership there. Entries may replace earlier ones, and with them memberships that
 * were never committed: then the one before is in force again.
 */
import { type Entry, entryTypes, payloadOf } from '../../raft/entry.ts'
import { decodeConfiguration } from '../../raft/membership.ts'
import type { LogPosition } from './records.ts'

export class LogEnd {
  #position: LogPosition
  /** Memberships by the entries that brought them, from the last committed one on. */
  #memberships: LogPosition[]

  constructor(position: LogPosition, entries: readonly Entry[]) {
    this.#position = position
    this.#memberships = [position]
    this.append(entries, position.index)
  }

  get position(): LogPosition {
    return this.#position
  }

  /** A snapshot takes the place of everything. */
  restore(position: LogPosition): void {
    this.#position = position
    this.#memberships = [position]
  }

  /** `commit`: entries up to there are never replaced. */
  append(entries: readonly Entry[], commit: number): void {
    const first = entries[0]
    if (first !== undefined) this.#replaceFrom(first.index)
    for (const entry of entries) {
      if (entry.type !== entryTypes.membership) continue
      const { index, term } = entry
      this.#memberships.push({ index, term, configuration: decodeConfiguration(payloadOf(entry)) })
    }
    const last = entries.at(-1)
    if (last !== undefined) {
      const { configuration } = this.#memberships.at(-1) ?? this.#position
      this.#position = { index: last.index, term: last.term, configuration }
    }
    while ((this.#memberships[1]?.index ?? Number.POSITIVE_INFINITY) <= commit) this.#memberships.shift()
  }

  #replaceFrom(index: number): void {
    while (this.#memberships.length > 1 && (this.#memberships.at(-1)?.index ?? 0) >= index)
      this.#memberships.pop()
  }
}
