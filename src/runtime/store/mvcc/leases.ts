/** Which leases exist and which keys hang on them. Counting down is the leader's business, not this one's. */

interface Lease {
  readonly ttlMs: number
  readonly keys: Set<string>
}

export class Leases {
  readonly #leases = new Map<number, Lease>()

  has(lease: number): boolean {
    return this.#leases.has(lease)
  }

  grant(lease: number, ttlMs: number): void {
    this.#leases.set(lease, { ttlMs, keys: new Set() })
  }

  /** Removes the lease; returns the keys that hung on it, in order, or null if there was no such lease. */
  revoke(lease: number): string[] | null {
    const found = this.#leases.get(lease)
    if (found === undefined) return null
    this.#leases.delete(lease)
    return [...found.keys].sort()
  }

  attach(key: string, lease: number): void {
    if (lease !== 0) this.#leases.get(lease)?.keys.add(key)
  }

  detach(key: string, lease: number): void {
    if (lease !== 0) this.#leases.get(lease)?.keys.delete(key)
  }

  get(lease: number): { readonly ttlMs: number; readonly keys: readonly string[] } | null {
    const found = this.#leases.get(lease)
    return found === undefined ? null : { ttlMs: found.ttlMs, keys: [...found.keys].sort() }
  }

  all(): { readonly lease: number; readonly ttlMs: number }[] {
    return [...this.#leases].map(([lease, { ttlMs }]) => ({ lease, ttlMs }))
  }
}
