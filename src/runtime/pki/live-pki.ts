/** The certificates that are in use now: whoever reads one at need, or hears of the change, never uses an old one. */

/** `T` is a server's `Pki` or a `WorkerPki`. */
export class LiveCertificates<T extends object> {
  #current: T
  readonly #listeners = new Set<(current: T) => void>()

  constructor(current: T) {
    this.#current = current
  }

  get current(): T {
    return this.#current
  }

  /** Called with each later set of certificates; returns an unsubscribe. Must not throw. */
  onChange(listener: (current: T) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  replace(next: T): void {
    this.#current = next
    for (const listener of this.#listeners) listener(next)
  }
}
