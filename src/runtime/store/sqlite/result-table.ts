/**
 * The results that are remembered of proposers, in SQLite: thousands of them come and go each second under load. So
 * they are written and removed many at a time, and their checksums are kept in memory until then; those that a former
 * life of the process wrote are read when they are removed.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { assert } from '../../../base/assert.ts'
import { RESULT_NUMBERS, type StoreBatch } from '../thread-messages.ts'
import { BULK_ROWS, BulkInsert, insertOf } from './bulk-insert.ts'
import { checksumOfNumbers, type TableSeal } from './seal.ts'

/** All results of one proposer that the table has, in the order in which they came. */
interface Known {
  readonly requests: number[]
  readonly checksums: number[]
}

type Three = [number, number, number]

interface Span {
  oldest: number
  newest: number
}

export class ResultTable {
  readonly #seal: TableSeal
  /** Results of one proposer that are kept. */
  readonly #max: number
  readonly #statements: ReturnType<typeof prepare>
  /** Null of a proposer some of whose results are not known. */
  readonly #known = new Map<number, Known | null>()

  constructor(database: DatabaseSync, seal: TableSeal, max: number) {
    this.#seal = seal
    this.#max = max
    this.#statements = prepare(database)
  }

  write({ forgotten, results }: Pick<StoreBatch, 'forgotten' | 'results'>): void {
    for (const proposer of forgotten) {
      this.#remove(this.#statements.forget, proposer)
      this.#known.delete(proposer)
    }
    const spans = spansOf(results)
    for (const [proposer, span] of spans) this.#prepare(proposer, span, results)
    this.#insert(results)
    for (const [proposer, { newest }] of spans) this.#removeOld(proposer, newest - this.#max)
  }

  /** What is there already is replaced; that hardly ever happens. */
  #prepare(proposer: number, { oldest, newest }: Span, results: ArrayLike<number>): void {
    const { any, anyBetween } = this.#statements
    if (!this.#known.has(proposer)) {
      const known = any.get(proposer) === undefined ? { requests: [], checksums: [] } : null
      this.#known.set(proposer, known)
    }
    if (anyBetween.get(proposer, oldest, newest) === undefined) return
    this.#known.set(proposer, null)
    for (let at = 0; at < results.length; at += RESULT_NUMBERS) {
      const [itsProposer, request] = [results[at + 1] as number, results[at + 2] as number]
      if (itsProposer === proposer) this.#remove(this.#statements.same, proposer, request)
    }
  }

  #insert(results: ArrayLike<number>): void {
    const bulk = new BulkInsert(this.#statements.one, this.#statements.many)
    for (let at = 0; at < results.length; at += RESULT_NUMBERS) {
      const [entry, proposer, request] = [results[at], results[at + 1], results[at + 2]] as Three
      const [revision, succeeded] = [results[at + 3] as number, results[at + 4] as number]
      bulk.add(proposer, request, revision, succeeded, entry)
      const checksum = checksumOfNumbers([entry, proposer, request, revision, succeeded])
      this.#seal.add(checksum)
      const known = this.#known.get(proposer)
      known?.requests.push(request)
      known?.checksums.push(checksum)
    }
    bulk.end()
  }

  #removeOld(proposer: number, newest: number): void {
    const known = this.#known.get(proposer) ?? null
    if (known === null) {
      this.#remove(this.#statements.old, proposer, newest)
      return
    }
    // In place: thousands are kept for each thousand that goes.
    let kept = 0
    for (const [at, request] of known.requests.entries()) {
      const checksum = known.checksums[at] as number
      if (request <= newest) this.#seal.remove(checksum)
      else {
        known.requests[kept] = request
        known.checksums[kept++] = checksum
      }
    }
    const count = known.requests.length - kept
    if (count === 0) return
    known.requests.length = kept
    known.checksums.length = kept
    const { changes } = this.#statements.oldUnread.run(proposer, newest)
    assert(changes === count, 'the results that are known are those that the table has')
  }

  #remove(statement: StatementSync, ...parameters: number[]): void {
    for (const numbers of statement.all(...parameters) as unknown as number[][])
      this.#seal.remove(checksumOfNumbers(numbers))
  }
}

/** The requests of each proposer, from the oldest to the newest. */
function spansOf(results: ArrayLike<number>): Map<number, Span> {
  const spans = new Map<number, Span>()
  for (let at = 0; at < results.length; at += RESULT_NUMBERS) {
    const [proposer, request] = [results[at + 1] as number, results[at + 2] as number]
    const span = spans.get(proposer)
    if (span === undefined) spans.set(proposer, { oldest: request, newest: request })
    else {
      span.oldest = Math.min(span.oldest, request)
      span.newest = Math.max(span.newest, request)
    }
  }
  return spans
}

function prepare(database: DatabaseSync) {
  const removing = (condition: string) => {
    const numbers = 'entry, proposer, request, revision, succeeded'
    const statement = database.prepare(`DELETE FROM results WHERE ${condition} RETURNING ${numbers}`)
    statement.setReturnArrays(true)
    return statement
  }
  const old = 'proposer = ? AND request <= ?'
  const any = 'SELECT 1 FROM results WHERE proposer = ?'
  return {
    one: database.prepare(insertOf('results', RESULT_NUMBERS, 1)),
    many: database.prepare(insertOf('results', RESULT_NUMBERS, BULK_ROWS)),
    any: database.prepare(`${any} LIMIT 1`),
    anyBetween: database.prepare(`${any} AND request BETWEEN ? AND ? LIMIT 1`),
    same: removing('proposer = ? AND request = ?'),
    old: removing(old),
    oldUnread: database.prepare(`DELETE FROM results WHERE ${old}`),
    forget: removing('proposer = ?'),
  }
}
