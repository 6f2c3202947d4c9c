/** Rows on their way into one table, many with each run of a statement: beginning and ending a run costs most of it. */
import type { SQLInputValue, StatementSync } from 'node:sqlite'

/** Rows of one statement: SQLite takes some thousands of parameters, and more rows gain little. */
export const BULK_ROWS = 64

export class BulkInsert {
  readonly #one: StatementSync
  readonly #many: StatementSync
  #waiting: SQLInputValue[] = []
  #rows = 0

  /** The statements insert one row and BULK_ROWS. */
  constructor(one: StatementSync, many: StatementSync) {
    this.#one = one
    this.#many = many
  }

  add(...row: SQLInputValue[]): void {
    for (const value of row) this.#waiting.push(value)
    if (++this.#rows < BULK_ROWS) return
    this.#many.run(...this.#waiting)
    this.#waiting = []
    this.#rows = 0
  }

  /** Writes what is left. */
  end(): void {
    const columns = this.#waiting.length / this.#rows
    for (let at = 0; at < this.#waiting.length; at += columns)
      this.#one.run(...this.#waiting.slice(at, at + columns))
    this.#waiting = []
    this.#rows = 0
  }
}

/** The text of a statement that inserts so many rows. */
export function insertOf(table: string, columns: number, rows: number): string {
  const row = `(${Array.from({ length: columns }, () => '?').join(', ')})`
  return `INSERT INTO ${table} VALUES ${Array.from({ length: rows }, () => row).join(', ')}`
}
