/** What waits to be sent to one watcher: bounded in bytes; a watcher that falls behind is cut off. */
import type { BodySink } from '../../../client/transport.ts'

const QUEUE_BYTES_MAX = 16 * 1024 * 1024
const PORTION_BYTES = 512 * 1024

/** Who has something to write at the end of this moment: one microtask for all watchers of an event. */
let due: (() => void)[] = []

function atEndOfMoment(writeOut: () => void): void {
  if (due.push(writeOut) === 1) queueMicrotask(writeAllOut)
}

function writeAllOut(): void {
  const all = due
  due = []
  for (const writeOut of all) writeOut()
}

export class WatchQueue {
  #lines: Buffer[] = []
  #bytes = 0
  #ended = false
  #wake: (() => void) | null = null
  #onEnd: (() => void) | null = null
  /** Told of every line and of the end while lines are pushed. */
  #onLine: (() => void) | null = null

  push(line: Buffer): void {
    if (this.#ended) return
    if (this.#bytes + line.length > QUEUE_BYTES_MAX) {
      this.#lines = []
      this.#bytes = 0
      this.end()
      return
    }
    if (this.#bytes === 0) this.#lines = [line]
    else this.#lines.push(line)
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
    return this.#portion()
  }

  /** Instead of taking: writes what comes, once for all that comes in the same moment. Resolves at the end. */
  async pushTo(sink: BodySink): Promise<void> {
    const over = Promise.withResolvers<void>()
    let isDue = false
    let isFull = false
    const writeOut = () => {
      while (!isFull) {
        const portion = this.#portion()
        if (portion === null) break
        if (sink.write(portion)) continue
        isFull = true
        sink.drained().then(onDrain, over.reject)
      }
      if (this.#ended && this.#bytes === 0) over.resolve()
    }
    const flush = () => {
      isDue = false
      try {
        writeOut()
      } catch (error) {
        over.reject(error)
      }
    }
    const onDrain = () => {
      isFull = false
      flush()
    }
    this.#onLine = () => {
      if (isDue || isFull) return
      isDue = true
      atEndOfMoment(flush)
    }
    flush()
    await over.promise
  }

  #portion(): Buffer | null {
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
    this.#onLine?.()
  }
}
