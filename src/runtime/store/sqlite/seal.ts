/**
 * What shows that the database holds what was written: a checksum in each row, the number and the sum of those of all
 * rows, and a checksum over the numbers that say how far the state reaches. SQLite itself has none, so that a flipped
 * bit would be a changed value, a row that is gone or a log that is replayed from the wrong place.
 */
import type { DatabaseSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'
import { Mk8sError } from '../../../base/errors.ts'
import { CORRUPT_HINT } from './sqlite-files.ts'

const SEALED = ['applied', 'revision', 'compacted', 'sequence', 'compactedSequence', 'rows', 'rowsSum']
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

/** The number of rows and the sum of their checksums, kept up to date while rows come and go. */
export class RowsSeal {
  #rows: number
  #sum: number

  constructor(rows = 0, sum = 0) {
    this.#rows = rows
    this.#sum = sum
  }

  get rows(): number {
    return this.#rows
  }

  get sum(): number {
    return this.#sum
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
  compare(written: RowsSeal): void {
    if (this.#rows === written.#rows && this.#sum === written.#sum) return
    throw damaged(`it has ${this.#rows} rows, and others than the ${written.#rows} that were written`)
  }
}

export function readRowsSeal(database: DatabaseSync): RowsSeal {
  const meta = readSealed(database)
  return new RowsSeal(Number(meta.get('rows') ?? 0), Number(meta.get('rowsSum') ?? 0))
}

/** Makes the checksum over the numbers right again; inside the transaction that changed them. */
export function sealMeta(database: DatabaseSync): void {
  const checksum = checksumOfMeta(readSealed(database))
  database.prepare("INSERT OR REPLACE INTO meta VALUES ('checksum', ?)").run(checksum)
}

/** Throws when the numbers are not those that were written. */
export function checkMeta(database: DatabaseSync): void {
  const found = database.prepare("SELECT value FROM meta WHERE name = 'checksum'").get()?.value
  if (found === checksumOfMeta(readSealed(database))) return
  throw damaged('the numbers that say how far it reaches were changed')
}

/** Reads all rows, and throws when they are not those that were written. */
export function checkRows(database: DatabaseSync): void {
  const statement = database.prepare(`SELECT ${COLUMNS}, checksum FROM rows ORDER BY sequence`)
  statement.setReturnArrays(true)
  const seal = new RowsSeal()
  for (const row of statement.iterate() as unknown as Iterable<[...SealedRow, number]>) {
    seal.read(row.slice(0, -1) as unknown as SealedRow, row[row.length - 1] as number)
  }
  seal.compare(readRowsSeal(database))
}

/** Gives checksums to a database that has none yet; inside a transaction. */
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
  sealMeta(database)
}

function readSealed(database: DatabaseSync): Map<string, unknown> {
  const rows = database.prepare('SELECT name, value FROM meta').all()
  return new Map(rows.map(({ name, value }) => [String(name), value]))
}

function checksumOfMeta(meta: ReadonlyMap<string, unknown>): number {
  return crc32(SEALED.map(name => `${name} ${Number(meta.get(name) ?? 0)}`).join('\n'))
}

/** Keys may hold any bytes, and be long. */
function shown(key: string): string {
  const text = JSON.stringify(key.slice(0, KEY_SHOWN_MAX))
  return key.length > KEY_SHOWN_MAX ? `${text}…` : text
}

function damaged(why: string): Mk8sError {
  return new Mk8sError('store/corrupt', 'the database is damaged', { why, hint: CORRUPT_HINT })
}
