/** What waits to be sent to one watcher: bounded in bytes; a watcher that falls behind is cut off. */

const QUEUE_BYTES_MAX = 16 * 1024 * 1024
const PORTION_BYTES = 512 * 1024

export class WatchQueue {
  #lines: Buffer[] = []
  #bytes = 0
  #ended = false
  #wake: (() => void) | null = null
  #onEnd: (() => void) | null = null

  push(line: Buffer): void {
    if (this.#ended) return
    if (this.#bytes + line.length > QUEUE_BYTES_MAX) {
      this.#lines = []
      this.#bytes = 0
      this.end()
      return
    }
    this.#lines.push(line)
    this.#bytes += line.length
    this.#wakeUp()
  }

  /** No more lines; those that wait are still taken. */
  end(): void {
    if (this.#ended) return
    this.#ended = true
    const onEnd = this.#onEnd
    this.#onEnd = null
    onEnd?.()
    this.#wakeUp()
  }

  /** Calls `listener` when the queue ends, at once if it has. */
  onEnd(listener: () => void): void {
    if (this.#ended) listener()
    else this.#onEnd = listener
  }

  /** The next lines in one piece; null at the end. One taker at a time. */
  async take(): Promise<Buffer | null> {
    if (this.#bytes === 0 && !this.#ended) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#wake = resolve
      await promise
    }
    if (this.#bytes === 0) return null
    const [only] = this.#lines
    if (only !== undefined && this.#lines.length === 1) {
      // Without a copy: all watchers of an event send the same bytes.
      this.#lines = []
      this.#bytes = 0
      return only
    }
    let count = 0
    let bytes = 0
    while (count < this.#lines.length && bytes < PORTION_BYTES) bytes += this.#lines[count++]?.length ?? 0
    const portion = Buffer.concat(this.#lines.splice(0, count), bytes)
    this.#bytes -= bytes
    return portion
  }

  #wakeUp(): void {
    const wake = this.#wake
    this.#wake = null
    wake?.()
  }
}
