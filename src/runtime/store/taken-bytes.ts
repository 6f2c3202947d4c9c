/** Tells the raft thread how much of what it handed over is applied here, now and then: it lets in no more than that. */

/** Told of in steps of so many bytes. */
const STEP_BYTES = 1024 * 1024

export interface TakenBytesParts {
  readonly post: (bytes: number) => void
  /** What SQLite has no room for is not taken yet. */
  readonly hasRoom: () => boolean
}

export class TakenBytes {
  readonly #parts: TakenBytesParts
  #untold = 0

  constructor(parts: TakenBytesParts) {
    this.#parts = parts
  }

  add(bytes: number): void {
    this.#untold += bytes
    this.tell()
  }

  /** There may be room again. */
  tell(): void {
    if (this.#untold < STEP_BYTES || !this.#parts.hasRoom()) return
    this.#parts.post(this.#untold)
    this.#untold = 0
  }
}
