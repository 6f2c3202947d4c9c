/** What was referred to since a collection of garbage began: it stays, whatever was seen before. */

export class Pins {
  #pinned: Set<string> | null = null

  begin(): void {
    this.#pinned = new Set()
  }

  end(): void {
    this.#pinned = null
  }

  add(digest: string): void {
    this.#pinned?.add(digest)
  }

  has(digest: string): boolean {
    return this.#pinned?.has(digest) ?? false
  }
}
