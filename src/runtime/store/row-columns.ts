/**
 * Rows on their way between the main thread and the store thread: their numbers one behind the other in memory that is
 * handed over without a copy, where arrays of numbers would be written and read one by one.
 */

/** Of each row: sequence, revision, previous, create revision, version, lease, length. */
export const ROW_NUMBERS = 7
const ROWS_MIN = 16

export interface Rows {
  readonly keys: readonly string[]
  /** ROW_NUMBERS for each key; what is behind them means nothing. */
  readonly numbers: Float64Array<ArrayBuffer>
}

export interface RowNumbers {
  readonly sequence: number
  readonly revision: number
  /** Sequence of the row that this one replaces; 0 for none. */
  readonly previous: number
  readonly createRevision: number
  readonly version: number
  readonly lease: number
  /** Length of the value, which is with all the others; -1 for a deletion. */
  readonly length: number
}

/** Numbers that come one after the other, in memory that grows. */
export class NumberList {
  #numbers: Float64Array<ArrayBuffer>
  #length = 0

  constructor(capacity: number) {
    this.#numbers = new Float64Array(capacity)
  }

  get length(): number {
    return this.#length
  }

  push(number: number): void {
    if (this.#length === this.#numbers.length) {
      const more = new Float64Array(2 * this.#length)
      more.set(this.#numbers)
      this.#numbers = more
    }
    this.#numbers[this.#length++] = number
  }

  /** All of them, and zeros behind. */
  get memory(): Float64Array<ArrayBuffer> {
    return this.#numbers
  }

  toArray(): Float64Array<ArrayBuffer> {
    return this.#numbers.slice(0, this.#length)
  }
}

export class RowsBuilder {
  readonly #keys: string[] = []
  readonly #numbers = new NumberList(ROWS_MIN * ROW_NUMBERS)

  get count(): number {
    return this.#keys.length
  }

  add(key: string, row: RowNumbers): void {
    const numbers = this.#numbers
    this.#keys.push(key)
    numbers.push(row.sequence)
    numbers.push(row.revision)
    numbers.push(row.previous)
    numbers.push(row.createRevision)
    numbers.push(row.version)
    numbers.push(row.lease)
    numbers.push(row.length)
  }

  build(): Rows {
    return { keys: this.#keys, numbers: this.#numbers.memory }
  }
}

export function rowAt({ numbers }: Rows, row: number): RowNumbers {
  const at = row * ROW_NUMBERS
  return {
    sequence: numbers[at] as number,
    revision: numbers[at + 1] as number,
    previous: numbers[at + 2] as number,
    createRevision: numbers[at + 3] as number,
    version: numbers[at + 4] as number,
    lease: numbers[at + 5] as number,
    length: numbers[at + 6] as number,
  }
}
