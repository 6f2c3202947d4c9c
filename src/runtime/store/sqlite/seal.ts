/**
 * What shows that the database holds what was written: a checksum in each row, the number and the sum of those of all
 * rows, of all leases and of all results, and a checksum over the numbers that say how far the state reaches. SQLite
 * itself has none, so that a flipped bit would be a changed value, a row that is gone or a log that is replayed from
 * the wrong place.
 */
import type { DatabaseSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'
import { Mk8sError } from '../../../base/errors.ts'
import { CORRUPT_HINT } from './sqlite-files.ts'

const SEALED = ['applied', 'revision', 'compacted', 'sequence', 'compactedSequence', 'rows', 'rowsSum']
/** What formats from this one on seal, too. */
const SIDES_FORMAT = 4
const SEALED_SIDES = ['leases', 'leasesSum', 'results', 'resultsSum']
const SUM_MODULUS = 2 ** 32
/** A key in a message is cut behind so many characters. */
const KEY_SHOWN_MAX = 100
const COLUMNS = 'sequence, revision, previous, key, create_revision, version, lease, value'

/** In the order of `COLUMNS`. */
export type SealedRow = readonly [
  sequence: number,
  revision: number,
  previous: number,
  key: string,
  createRevision: number,
  version: number,
  lease: number,
  value: Uint8Array | null,
]

export function checksumOf(row: SealedRow): number {
  const [sequence, revision, previous, key, createRevision, version, lease, value] = row
  const numbers = `${sequence} ${revision} ${previous} ${createRevision} ${version} ${lease}`
  const seed = crc32(`${numbers} ${value?.length ?? -1} ${key}`)
  return value === null ? seed : crc32(value, seed)
}

export function checksumOfNumbers(numbers: readonly number[]): number {
  let text = `${numbers[0]}`
  for (let at = 1; at < numbers.length; at++) text += ` ${numbers[at]}`
  return crc32(text)
}

export type SealedTable = 'rows' | 'leases' | 'results'

/** The number of rows and the sum of their checksums, kept up to date while rows come and go. */
export class TableSeal {
  readonly #table: SealedTable
  #rows: number
  #sum: number

  constructor(table: SealedTable, rows = 0, sum = 0) {
    this.#table = table
    this.#rows = rows
    this.#sum = sum
  }

  /** As it is kept in the table of numbers. */
  get numbers(): readonly (readonly [name: string, value: number])[] {
    return [
      [this.#table, this.#rows],
      [`${this.#table}Sum`, this.#sum],
    ]
  }

  add(checksum: number): void {
    this.#rows++
    this.#sum = (this.#sum + checksum) % SUM_MODULUS
  }

  remove(checksum: number): void {
    this.#rows--
    this.#sum = (this.#sum - checksum + SUM_MODULUS) % SUM_MODULUS
  }

  /** Takes a row that was read, which must be as it was written. */
  read(row: SealedRow, checksum: number): void {
    if (checksumOf(row) !== checksum) throw damaged(`row ${row[0]}, of the key ${shown(row[3])}, was changed`)
    this.add(checksum)
  }

  /** All rows were read: throws unless they are all that were written. */
  compare(written: TableSeal): void {
    if (this.#rows === written.#rows && this.#sum === written.#sum) return
    throw damaged(
      `it has ${this.#rows} ${this.#table}, and others than the ${written.#rows} that were written`,
    )
  }
}

/** As it was written. */
export function readSeal(database: DatabaseSync, table: SealedTable): TableSeal {
  const meta = readSealed(database)
  return new TableSeal(table, Number(meta.get(table) ?? 0), Number(meta.get(`${table}Sum`) ?? 0))
}

/** Makes the checksum over the numbers right again; inside the transaction that changed them. */
export function sealMeta(database: DatabaseSync): void {
  const checksum = checksumOfMeta(database)
  database.prepare("INSERT OR REPLACE INTO meta VALUES ('checksum', ?)").run(checksum)
}

/** Throws when the numbers are not those that were written. */
export function checkMeta(database: DatabaseSync): void {
  const found = database.prepare("SELECT value FROM meta WHERE name = 'checksum'").get()?.value
  if (found === checksumOfMeta(database)) return
  throw damaged('the numbers that say how far it reaches were changed')
}

/** Reads leases and results, and throws when they are not those that were written. */
export function checkSides(database: DatabaseSync): void {
  if (!sealsSides(database)) return
  for (const table of ['leases', 'results'] as const)
    sumUp(database, table).compare(readSeal(database, table))
}

/** In the order in which their checksums are made; of results, the one in which they were given. */
const SIDE_QUERIES = {
  leases: 'SELECT lease, ttl_ms FROM leases ORDER BY lease',
  results: `SELECT entry, proposer, request, revision, succeeded FROM results ORDER BY entry, revision, request`,
}

export function readSide(database: DatabaseSync, table: 'leases' | 'results'): number[][] {
  const statement = database.prepare(SIDE_QUERIES[table])
  statement.setReturnArrays(true)
  return statement.all() as unknown as number[][]
}

function sumUp(database: DatabaseSync, table: 'leases' | 'results'): TableSeal {
  const seal = new TableSeal(table)
  for (const numbers of readSide(database, table)) seal.add(checksumOfNumbers(numbers))
  return seal
}

/** Makes the sums of leases and results what the tables are; inside a transaction, and `sealMeta` follows. */
export function sealSides(database: DatabaseSync): void {
  if (!sealsSides(database)) return
  const set = database.prepare('INSERT OR REPLACE INTO meta VALUES (?, ?)')
  for (const table of ['leases', 'results'] as const) {
    for (const [name, value] of sumUp(database, table).numbers) set.run(name, value)
  }
}

function sealsSides(database: DatabaseSync): boolean {
  return Number(database.prepare('PRAGMA user_version').get()?.['user_version']) >= SIDES_FORMAT
}

/** Reads all rows, and throws when they are not those that were written. */
export function checkRows(database: DatabaseSync): void {
  const statement = database.prepare(`SELECT ${COLUMNS}, checksum FROM rows ORDER BY sequence`)
  statement.setReturnArrays(true)
  const seal = new TableSeal('rows')
  for (const row of statement.iterate() as unknown as Iterable<[...SealedRow, number]>) {
    seal.read(row.slice(0, -1) as unknown as SealedRow, row[row.length - 1] as number)
  }
  seal.compare(readSeal(database, 'rows'))
}

/** Gives checksums to a database whose rows have none yet; inside a transaction, and `sealMeta` follows. */
export function sealRows(database: DatabaseSync): void {
  database.exec('ALTER TABLE rows ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0')
  database.function('row_checksum', { varargs: true, deterministic: true }, (...row) =>
    checksumOf(row as unknown as SealedRow),
  )
  database.exec(`UPDATE rows SET checksum = row_checksum(${COLUMNS})`)
  const sql = `SELECT count(*) AS rows, coalesce(sum(checksum), 0) % ${SUM_MODULUS} AS sum FROM rows`
  const found = database.prepare(sql).get()
  const set = database.prepare('INSERT OR REPLACE INTO meta VALUES (?, ?)')
  set.run('rows', Number(found?.rows))
  set.run('rowsSum', Number(found?.sum))
}

function readSealed(database: DatabaseSync): Map<string, unknown> {
  const rows = database.prepare('SELECT name, value FROM meta').all()
  return new Map(rows.map(({ name, value }) => [String(name), value]))
}

function checksumOfMeta(database: DatabaseSync): number {
  const meta = readSealed(database)
  const sealed = sealsSides(database) ? [...SEALED, ...SEALED_SIDES] : SEALED
  return crc32(sealed.map(name => `${name} ${Number(meta.get(name) ?? 0)}`).join('\n'))
}

/** Keys may hold any bytes, and be long. */
function shown(key: string): string {
  const text = JSON.stringify(key.slice(0, KEY_SHOWN_MAX))
  return key.length > KEY_SHOWN_MAX ? `${text}…` : text
}

function damaged(why: string): Mk8sError {
  return new Mk8sError('store/corrupt', 'the database is damaged', { why, hint: CORRUPT_HINT })
}
