/** A snapshot that arrives piece by piece: which piece comes next, and when it is whole. */
import type { Snapshot, SnapshotChunk } from './messages.ts'

export class IncomingSnapshot {
  #snapshot: Snapshot | null = null
  /** Where the next piece begins; that before it was handed out to be stored. */
  #end = 0
  #stored = 0
  #whole = false

  /** What to do with a piece: store it, tell the sender what is wanted instead, or wait. */
  take({ snapshot, offset, data, last }: SnapshotChunk): 'store' | 'wait' | { readonly next: number } {
    if (this.#snapshot?.id !== snapshot.id) {
      if (offset !== 0) return { next: 0 }
      this.#snapshot = snapshot
      this.#end = 0
      this.#stored = 0
      this.#whole = false
    }
    if (this.#whole) return 'wait'
    if (offset !== this.#end) return this.#stored === this.#end ? { next: this.#end } : 'wait'
    this.#end += data.length
    this.#whole = last
    return 'store'
  }

  /** It has to begin anew. Null when it is another one. */
  forget(id: number): { readonly next: number } | null {
    if (this.#snapshot?.id !== id) return null
    this.#snapshot = null
    return { next: 0 }
  }

  /** The piece that ends at `end` is stored. Null when it is of another snapshot than the present one. */
  stored(id: number, end: number): { readonly next: number } | Snapshot | null {
    if (this.#snapshot?.id !== id || end > this.#end) return null
    this.#stored = Math.max(this.#stored, end)
    if (!this.#whole || this.#stored < this.#end) return { next: this.#stored }
    const snapshot = this.#snapshot
    this.#snapshot = null
    return snapshot
  }
}
