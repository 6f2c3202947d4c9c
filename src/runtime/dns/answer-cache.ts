/** Answers by question: those about the cluster until it changes, those of other servers for their time to live. */
import { answerFor, type StoredAnswer } from './stored-answer.ts'
import type { Query } from './wire-query.ts'

interface Entry {
  readonly stored: StoredAnswer
  readonly storedMs: number
  turn: number
}

/** For each part; what was found out longest ago is forgotten. */
const ENTRIES_MAX = 10_000
const BYTES_MAX = 8 * 1024 * 1024

export class AnswerCache {
  /** What changes with the cluster; its times to live do not run down, since it is known to be true. */
  readonly #cluster = new Part()
  readonly #upstream = new Part()
  /** Names of the cluster that stand for those of others: both may change. */
  readonly #aliases = new Part()

  get size(): number {
    return this.#cluster.size + this.#upstream.size + this.#aliases.size
  }

  /** Null when it is not known, or not any more. */
  answer(query: Query, { isTcp, nowMs }: { readonly isTcp: boolean; readonly nowMs: number }): Buffer | null {
    const own = this.#cluster.get(query.key)
    if (own !== undefined) {
      return answerFor(own.stored, { query, isTcp, ageSeconds: null, turn: own.turn++ })
    }
    return (
      this.#aged(this.#aliases, query, { isTcp, nowMs }) ??
      this.#aged(this.#upstream, query, { isTcp, nowMs })
    )
  }

  #aged(part: Part, query: Query, { isTcp, nowMs }: { readonly isTcp: boolean; readonly nowMs: number }) {
    const entry = part.get(query.key)
    if (entry === undefined) return null
    const ageSeconds = Math.floor((nowMs - entry.storedMs) / 1_000)
    if (ageSeconds >= entry.stored.ttl) {
      part.delete(query.key)
      return null
    }
    return answerFor(entry.stored, { query, isTcp, ageSeconds, turn: entry.turn++ })
  }

  putCluster(key: string, stored: StoredAnswer): void {
    this.#cluster.put(key, { stored, storedMs: 0, turn: 1 })
  }

  putUpstream(key: string, stored: StoredAnswer, nowMs: number): void {
    if (stored.ttl > 0) this.#upstream.put(key, { stored, storedMs: nowMs, turn: 1 })
  }

  putAlias(key: string, stored: StoredAnswer, nowMs: number): void {
    if (stored.ttl > 0) this.#aliases.put(key, { stored, storedMs: nowMs, turn: 1 })
  }

  clusterChanged(): void {
    this.#cluster.clear()
    this.#aliases.clear()
  }

  /** Other servers are asked from now on. */
  upstreamsChanged(): void {
    this.#aliases.clear()
    this.#upstream.clear()
  }
}

class Part {
  readonly #entries = new Map<string, Entry>()
  #bytes = 0

  get size(): number {
    return this.#entries.size
  }

  get(key: string): Entry | undefined {
    return this.#entries.get(key)
  }

  put(key: string, entry: Entry): void {
    this.delete(key)
    this.#entries.set(key, entry)
    this.#bytes += entry.stored.bytes.length
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= ENTRIES_MAX && this.#bytes <= BYTES_MAX) return
      this.delete(oldest)
    }
  }

  delete(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#bytes -= entry.stored.bytes.length
    this.#entries.delete(key)
  }

  clear(): void {
    this.#entries.clear()
    this.#bytes = 0
  }
}
