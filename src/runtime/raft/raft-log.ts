/**
 * The entries a core holds in memory, and how far each of them has come:
 *
 *   dropped … first ─ packed ─ handed to apply ─ committed ─ stable ─ handed to persist ─ last
 *
 * `first - 1` is the last entry dropped; its term is kept, because followers are asked about it.
 */

import { assert, must } from '../../base/assert.ts'
import { type Entry, entryTypes, payloadOf } from './entry.ts'
import { BlockMemory, EntryBlock } from './entry-block.ts'
import { decodeConfiguration } from './membership.ts'
import type { Configuration, SnapshotPlace } from './messages.ts'
import type { SafetyRules } from './rules.ts'

export interface RaftLogStart {
  /** The last entry before those given. */
  readonly previousIndex: number
  readonly previousTerm: number
  /** The membership as of `previousIndex`. */
  readonly configuration: Configuration
  /** Durable entries behind it. */
  readonly entries: readonly Entry[]
  readonly commit: number
}

interface WriteInFlight {
  readonly number: number
  /** The last entry of this write that is still in the log. */
  lastIndex: number
}

/** Places of dropped entries that may wait to be cleared away: moving the others costs, so it is done seldom. */
const GAP_MAX = 1024
/** Applied entries are packed when there are so many of them; few large ones harm nobody. */
const PACKED_ENTRIES_MIN = 16
/** What is kept for others is packed into about so many blocks. */
const KEPT_BLOCKS = 64

export class RaftLog {
  #first: number
  /** Index of the first place in `#entries`; those before `#first` are cleared. */
  #base: number
  /** Entries before `#base`. */
  #blocks: EntryBlock[] = []
  readonly #blockMemory = new BlockMemory()
  #packedBytes = 0
  #previousTerm: number
  #entries: (Entry | null)[]
  #bytes = 0
  #restored: SnapshotPlace | null = null
  #configurations: { readonly index: number; readonly configuration: Configuration }[]
  #writes: WriteInFlight[] = []
  #stable: number
  #handedToPersist: number
  #handedToApply: number
  #committed: number

  constructor(start: RaftLogStart) {
    this.#first = start.previousIndex + 1
    this.#base = this.#first
    this.#previousTerm = start.previousTerm
    this.#entries = []
    this.#configurations = [{ index: start.previousIndex, configuration: start.configuration }]
    for (const entry of start.entries) this.#push(entry)
    this.#stable = this.lastIndex
    this.#handedToPersist = this.lastIndex
    this.#handedToApply = start.previousIndex
    this.#committed = Math.max(start.previousIndex, start.commit)
    assert(this.#committed <= this.lastIndex, 'what was committed is in the log')
  }

  get firstIndex(): number {
    return this.#first
  }

  get lastIndex(): number {
    return this.#base + this.#entries.length - 1
  }

  get lastTerm(): number {
    return must(this.termAt(this.lastIndex), 'the term of the last entry')
  }

  get committed(): number {
    return this.#committed
  }

  get stable(): number {
    return this.#stable
  }

  /** The membership in force: the latest in the log, committed or not. */
  get configuration(): Configuration {
    return must(this.#configurations.at(-1), 'a configuration').configuration
  }

  /** Index of the entry that brought it into force. */
  get configurationIndex(): number {
    return must(this.#configurations.at(-1), 'a configuration').index
  }

  /** The membership as of `index`, which must not be dropped. */
  configurationAt(index: number): Configuration {
    const found = this.#configurations.findLast(at => at.index <= index)
    return must(found, 'a configuration as old as that').configuration
  }

  /** Bytes of the entries in memory. */
  get bytes(): number {
    return this.#bytes
  }

  /** The term of an entry; null when it is not (or no longer) in the log. */
  termAt(index: number): number | null {
    if (index === this.#first - 1) return this.#previousTerm
    if (index >= this.#base) return this.#entries[index - this.#base]?.term ?? null
    return index < this.#first ? null : this.#blockOf(index).termAt(index)
  }

  /** Entries from `index` on, as many as fit into `bytesMax`, but at least one. */
  from(index: number, bytesMax: number): Entry[] {
    const found: Entry[] = []
    let bytes = 0
    for (let at = index; at <= this.lastIndex; at++) {
      const entry = this.#entryAt(at)
      bytes += entry.bytes.length
      if (found.length > 0 && bytes > bytesMax) break
      found.push(entry)
    }
    return found
  }

  append(entry: Entry): void {
    assert(entry.index === this.lastIndex + 1, 'entries are appended without a gap')
    this.#push(entry)
  }

  /** A follower takes the leader's entries: what conflicts goes, what is missing is added. */
  merge(entries: readonly Entry[], rules: SafetyRules): void {
    for (const entry of entries) {
      const term = this.termAt(entry.index)
      if (term !== null) {
        if (!rules.mustTruncate(term, entry.term)) continue
        this.#truncate(entry.index)
      }
      this.append(entry)
    }
  }

  /** The last entry up to `index` of a term not above `term`: where logs differ, a whole reign is skipped at once. */
  lastNotAbove(index: number, term: number): number {
    let at = Math.min(index, this.lastIndex)
    while (at >= this.#first && (this.termAt(at) ?? 0) > term) at--
    return at
  }

  /** True when a log ending so is at least as complete as this one. */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex)
  }

  commitTo(index: number): boolean {
    if (index <= this.#committed) return false
    assert(index <= this.lastIndex, 'only entries in the log are committed')
    this.#committed = index
    return true
  }

  /** A snapshot takes the place of everything. */
  restore(place: SnapshotPlace): void {
    assert(place.index > this.#committed, 'a snapshot brings something new')
    this.#restored = place
    this.#first = place.index + 1
    this.#base = this.#first
    this.#previousTerm = place.term
    this.#entries = []
    this.#blocks = []
    this.#packedBytes = 0
    this.#bytes = 0
    this.#configurations = [{ index: place.index, configuration: place.configuration }]
    this.#writes = []
    this.#stable = place.index
    this.#handedToPersist = place.index
    this.#handedToApply = place.index
    this.#committed = place.index
  }

  /** The snapshot that was restored since this was asked last. */
  takeRestored(): SnapshotPlace | null {
    const restored = this.#restored
    this.#restored = null
    return restored
  }

  get hasRestored(): boolean {
    return this.#restored !== null
  }

  /** Entries to persist that were not handed out yet; write `number` carries them. */
  takeToPersist(number: number): Entry[] {
    const entries = this.#slice(this.#handedToPersist + 1, this.lastIndex)
    this.#handedToPersist = this.lastIndex
    if (entries.length > 0) this.#writes.push({ number, lastIndex: this.lastIndex })
    return entries
  }

  get hasToPersist(): boolean {
    return this.#handedToPersist < this.lastIndex
  }

  /**
   * Write `number` and all before it are durable. A truncation in the meantime has taken its entries out of
   * the write, so that a later entry at the same place is never believed to be durable.
   */
  persisted(number: number): void {
    for (let write = this.#writes[0]; write && write.number <= number; write = this.#writes[0]) {
      this.#stable = Math.max(this.#stable, write.lastIndex)
      this.#writes.shift()
    }
  }

  /** Committed and durable entries that were not handed out yet. */
  takeToApply(): Entry[] {
    const last = Math.min(this.#committed, this.#stable)
    if (last <= this.#handedToApply) return []
    const entries = this.#slice(this.#handedToApply + 1, last)
    this.#handedToApply = last
    return entries
  }

  get hasToApply(): boolean {
    return Math.min(this.#committed, this.#stable) > this.#handedToApply
  }

  /** Forgets entries up to `index`: they are applied here and no follower needs them from memory. */
  dropTo(index: number): void {
    if (index < this.#first) return
    assert(index <= this.#handedToApply, 'only entries handed out for applying are dropped')
    this.#previousTerm = must(this.termAt(index), 'the term of a dropped entry')
    for (let at = this.#first; at <= index; at++) this.#drop(at)
    this.#first = index + 1
    while (this.#blocks[0] !== undefined && this.#blocks[0].last <= index)
      this.#blocks.shift()?.retire(this.#blockMemory)
    const gap = this.#first - this.#base
    if (gap > GAP_MAX && gap > this.#entries.length / 2) {
      this.#entries = this.#entries.slice(gap)
      this.#base = this.#first
    }
    while ((this.#configurations[1]?.index ?? Number.POSITIVE_INFINITY) <= index) this.#configurations.shift()
  }

  #drop(index: number): void {
    const size = this.#sizeAt(index)
    this.#bytes -= size
    if (index < this.#base) this.#packedBytes -= size
    else this.#entries[index - this.#base] = null
  }

  /** Entries up to `index` are applied here, and only kept for others, up to about `keptBytes` of them. */
  pack(index: number, keptBytes: number, entriesMin = PACKED_ENTRIES_MIN): void {
    assert(index <= this.#handedToApply, 'only entries handed out for applying are packed')
    const from = Math.max(this.#first, this.#base)
    if (index - from + 1 < entriesMin || this.#bytes - this.#packedBytes < keptBytes / KEPT_BLOCKS) return
    const block = new EntryBlock(this.#slice(from, index), this.#blockMemory)
    for (let at = from; at <= index; at++) this.#packedBytes += block.sizeAt(at)
    this.#blocks.push(block)
    this.#entries = this.#entries.slice(index + 1 - this.#base)
    this.#base = index + 1
  }

  /** The last entry to drop so that at most `bytesMax` bytes stay in memory. */
  lastBeyond(bytesMax: number): number {
    let excess = this.#bytes - bytesMax
    let index = this.#first - 1
    while (excess > 0) excess -= this.#sizeAt(++index)
    return index
  }

  #entryAt(index: number): Entry {
    if (index < this.#base) return this.#blockOf(index).entryAt(index)
    return this.#entries[index - this.#base] as Entry
  }

  #sizeAt(index: number): number {
    if (index < this.#base) return this.#blockOf(index).sizeAt(index)
    return (this.#entries[index - this.#base] as Entry).bytes.length
  }

  #blockOf(index: number): EntryBlock {
    return must(
      this.#blocks.find(({ last }) => index <= last),
      'the block of a packed entry',
    )
  }

  /** None of them is packed. */
  #slice(from: number, to: number): Entry[] {
    return this.#entries.slice(from - this.#base, to + 1 - this.#base) as Entry[]
  }

  #push(entry: Entry): void {
    this.#entries.push(entry)
    this.#bytes += entry.bytes.length
    if (entry.type !== entryTypes.membership) return
    this.#configurations.push({ index: entry.index, configuration: decodeConfiguration(payloadOf(entry)) })
  }

  #truncate(index: number): void {
    assert(index > this.#committed, 'a committed entry is never overwritten')
    for (const entry of this.#slice(index, this.lastIndex)) this.#bytes -= entry.bytes.length
    this.#entries.length = index - this.#base
    this.#stable = Math.min(this.#stable, index - 1)
    this.#handedToPersist = Math.min(this.#handedToPersist, index - 1)
    for (const write of this.#writes) write.lastIndex = Math.min(write.lastIndex, index - 1)
    while (must(this.#configurations.at(-1), 'a configuration').index >= index) this.#configurations.pop()
  }
}

/** What others may see of it. */
export type RaftLogView = Pick<
  RaftLog,
  'firstIndex' | 'lastIndex' | 'lastTerm' | 'committed' | 'stable' | 'bytes' | 'termAt' | 'configurationAt'
>
