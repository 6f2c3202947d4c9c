/**
 * The state on disk: rows by sequence number (and so by revision), and what else the state machine remembers.
 * The index `latest` of keys is made when a copy is made for a backup (backup-copy.ts): nobody else reads it. Written in batches with the applied index in the same
 * transaction; a completed checkpoint makes what was committed durable.
 */
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { Mk8sError, messageOf } from '../../../base/errors.ts'
import { rowAt } from '../row-columns.ts'
import type { LoadedState, MemberIdentity, StoreBatch } from '../thread-messages.ts'
import { BULK_ROWS, BulkInsert, insertOf } from './bulk-insert.ts'
import { ResultTable } from './result-table.ts'
import { type RowSlab, SlabBuilder } from './row-slab.ts'
import {
  checkMeta,
  checkRows,
  checkSides,
  checksumOf,
  checksumOfNumbers,
  readSeal,
  readSide,
  type SealedRow,
  type SealedTable,
  sealMeta,
  sealRows,
  sealSides,
  TableSeal,
} from './seal.ts'
import { CORRUPT_HINT, createPrivateFile, withSqliteErrors } from './sqlite-files.ts'

export const DATABASE_FORMAT_VERSION = 4
/** "mk8s" in ASCII: tells `file` and people whose database this is. */
export const APPLICATION_ID = 0x6d6b3873
const ROW_COLUMNS = 9

const SCHEMA = `
  CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
  CREATE TABLE rows (
    sequence INTEGER PRIMARY KEY, revision INTEGER NOT NULL, previous INTEGER NOT NULL, key TEXT NOT NULL,
    create_revision INTEGER NOT NULL, version INTEGER NOT NULL, lease INTEGER NOT NULL, value BLOB,
    checksum INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE latest (key TEXT PRIMARY KEY, sequence INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE leases (lease INTEGER PRIMARY KEY, ttl_ms INTEGER NOT NULL) STRICT;
  CREATE TABLE results (
    proposer INTEGER NOT NULL, request INTEGER NOT NULL, revision INTEGER NOT NULL,
    succeeded INTEGER NOT NULL, entry INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (proposer, request)
  ) STRICT, WITHOUT ROWID;
`

/** Version 1 did not know in which order proposers were heard of. */
const UPGRADE_1 = 'ALTER TABLE results ADD COLUMN entry INTEGER NOT NULL DEFAULT 0'

export interface DatabaseParts {
  readonly path: string
  readonly bootId: string
  readonly identity: MemberIdentity
  /** Results of one proposer that are kept. */
  readonly resultsMax: number
}

export class StateDatabase {
  readonly state: LoadedState
  /** Applied index of the last batch committed, durable or not. */
  #applied: number
  readonly #database: DatabaseSync
  readonly #path: string
  readonly #results: ResultTable
  readonly #statements: Statements
  readonly #compacted: { sequence: number }
  readonly #seals: Readonly<Record<SealedTable, TableSeal>>

  constructor(parts: DatabaseParts) {
    this.#path = parts.path
    const opened = withSqliteErrors('open the database', () => openDatabase(parts))
    this.#database = opened.database
    this.state = opened.state
    this.#compacted = { sequence: opened.compactedSequence }
    this.#applied = opened.state.applied
    this.#statements = prepareStatements(opened.database)
    const seal = (table: SealedTable) => readSeal(opened.database, table)
    this.#seals = { rows: seal('rows'), leases: seal('leases'), results: seal('results') }
    this.#results = new ResultTable(opened.database, this.#seals.results, parts.resultsMax)
  }

  /** The last entry of what was written, durable or not. */
  get applied(): number {
    return this.#applied
  }

  /** All rows in order, in slabs. Throws `store/corrupt` when they are not those that were written. */
  *slabs(): Generator<RowSlab> {
    const columns = 'sequence, revision, previous, key, create_revision, version, lease, value, checksum'
    const statement = this.#database.prepare(`SELECT ${columns} FROM rows ORDER BY sequence`)
    statement.setReturnArrays(true)
    let slab = new SlabBuilder()
    const seal = new TableSeal('rows')
    for (const row of statement.iterate() as unknown as Iterable<RowArray>) {
      const [sequence, revision, previous, key, createRevision, version, lease, value, checksum] = row
      const sealed = [sequence, revision, previous, key, createRevision, version, lease, value] as const
      seal.read(sealed, checksum)
      if (!slab.hasRoomFor(value)) {
        yield slab.build()
        slab = new SlabBuilder()
      }
      slab.add(sealed)
    }
    seal.compare(this.#seals.rows)
    yield slab.build()
  }

  /** Throws `store/corrupt` when they are not those that were written. */
  results(): number[] {
    const seal = new TableSeal('results')
    const all = readSide(this.#database, 'results')
    for (const result of all) seal.add(checksumOfNumbers(result))
    seal.compare(this.#seals.results)
    return all.flat()
  }

  write(batch: StoreBatch): void {
    withSqliteErrors('write to the database', () => {
      this.#database.exec('BEGIN IMMEDIATE')
      try {
        this.#writeRows(batch)
        this.#writeLeases(batch)
        this.#results.write(batch)
        this.#compact(batch.compactSequence)
        const meta = { applied: batch.applied, revision: batch.revision, compacted: batch.compacted }
        for (const [name, value] of Object.entries(meta)) this.#statements.meta.run(name, value)
        this.#statements.meta.run('sequence', batch.sequence)
        for (const seal of Object.values(this.#seals)) {
          for (const [name, value] of seal.numbers) this.#statements.meta.run(name, value)
        }
        sealMeta(this.#database)
        this.#database.exec('COMMIT')
      } catch (error) {
        if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
        throw error
      }
    })
    this.#applied = batch.applied
  }

  /** Writes everything committed into the database file and flushes it; returns the index that is durable now. */
  checkpoint(mode: 'PASSIVE' | 'TRUNCATE' = 'PASSIVE'): number | null {
    return withSqliteErrors('checkpoint the database', () => {
      const row = this.#database.prepare(`PRAGMA wal_checkpoint(${mode})`).get()
      const complete = row?.busy === 0 && (mode === 'TRUNCATE' || row.log === row.checkpointed)
      return complete ? this.#applied : null
    })
  }

  /** Writes the file anew, without the space of what was deleted. */
  defragment(): void {
    withSqliteErrors('defragment the database', () => this.#database.exec('VACUUM'))
    this.checkpoint('TRUNCATE')
  }

  /** What SQLite finds wrong with the file: it is read whole, by a reader that remembers none of it. */
  findings(): string[] {
    const reader = new DatabaseSync(this.#path, { readOnly: true })
    try {
      const findings = findingsOf(reader)
      checkMeta(reader)
      checkSides(reader)
      checkRows(reader)
      return findings
    } catch (error) {
      return [error instanceof Mk8sError ? `${error.message}: ${error.why}` : messageOf(error)]
    } finally {
      reader.close()
    }
  }

  /** Closes after a clean stop; the next start need not check the file. */
  close(): void {
    withSqliteErrors('close the database', () => {
      this.#statements.meta.run('clean', 1)
      this.checkpoint('TRUNCATE')
      this.#database.close()
    })
  }

  #writeRows({ rows, values }: StoreBatch): void {
    const bytes = Buffer.from(values)
    const bulk = new BulkInsert(this.#statements.row, this.#statements.rows)
    let offset = 0
    for (const [at, key] of rows.keys.entries()) {
      const { sequence, revision, previous, createRevision, version, lease, length } = rowAt(rows, at)
      const value = length < 0 ? null : bytes.subarray(offset, offset + length)
      offset += Math.max(0, length)
      const checksum = checksumOf([sequence, revision, previous, key, createRevision, version, lease, value])
      bulk.add(sequence, revision, previous, key, createRevision, version, lease, value, checksum)
      this.#seals.rows.add(checksum)
    }
    bulk.end()
  }

  #writeLeases({ granted, revoked }: StoreBatch): void {
    const { grant } = this.#statements
    for (let at = 0; at < granted.length; at += 2) {
      const [lease, ttl] = [granted[at] as number, granted[at + 1] as number]
      this.#revoke(lease)
      grant.run(lease, ttl)
      this.#seals.leases.add(checksumOfNumbers([lease, ttl]))
    }
    for (const lease of revoked) this.#revoke(lease)
  }

  #revoke(lease: number): void {
    for (const numbers of this.#statements.revoke.all(lease) as unknown as number[][])
      this.#seals.leases.remove(checksumOfNumbers(numbers))
  }

  /** Drops the rows that were replaced up to `sequence`, and the deletions. */
  #compact(sequence: number): void {
    if (sequence <= this.#compacted.sequence) return
    for (const statement of [this.#statements.replaced, this.#statements.deletions]) {
      const gone = statement.all(this.#compacted.sequence, sequence)
      for (const { checksum } of gone) this.#seals.rows.remove(Number(checksum))
    }
    this.#statements.meta.run('compactedSequence', sequence)
    this.#compacted.sequence = sequence
  }
}

type RowArray = [...SealedRow, number]

interface Statements {
  readonly meta: StatementSync
  readonly row: StatementSync
  readonly rows: StatementSync
  readonly grant: StatementSync
  readonly revoke: StatementSync
  readonly replaced: StatementSync
  readonly deletions: StatementSync
}

function prepareStatements(database: DatabaseSync): Statements {
  const inWindow = 'sequence > ?1 AND sequence <= ?2'
  return {
    meta: database.prepare('INSERT OR REPLACE INTO meta VALUES (?, ?)'),
    row: database.prepare(insertOf('rows', ROW_COLUMNS, 1)),
    rows: database.prepare(insertOf('rows', ROW_COLUMNS, BULK_ROWS)),
    grant: database.prepare('INSERT INTO leases VALUES (?, ?)'),
    revoke: arraysOf(database, 'DELETE FROM leases WHERE lease = ? RETURNING lease, ttl_ms'),
    replaced: database.prepare(
      `DELETE FROM rows WHERE sequence IN (SELECT previous FROM rows WHERE ${inWindow} AND previous > 0) RETURNING checksum`,
    ),
    deletions: database.prepare(`DELETE FROM rows WHERE ${inWindow} AND value IS NULL RETURNING checksum`),
  }
}

function arraysOf(database: DatabaseSync, sql: string): StatementSync {
  const statement = database.prepare(sql)
  statement.setReturnArrays(true)
  return statement
}

function openDatabase(parts: DatabaseParts) {
  createPrivateFile(parts.path)
  const database = new DatabaseSync(parts.path)
  try {
    const { user_version: version } = database.prepare('PRAGMA user_version').get() as {
      user_version: number
    }
    if (version > DATABASE_FORMAT_VERSION) throw newerVersionError(version)
    if (version === 0) createSchema(database, parts)
    if (version < DATABASE_FORMAT_VERSION && version > 0) upgrade(database, version)
    configure(database)
    const meta = readMeta(database)
    if (meta.get('clean') !== 1 && meta.get('bootId') !== parts.bootId) quickCheck(database)
    checkMeta(database)
    database.exec("UPDATE meta SET value = 0 WHERE name = 'clean'")
    database.prepare("UPDATE meta SET value = ? WHERE name = 'bootId'").run(parts.bootId)
    const number = (name: string) => Number(meta.get(name) ?? 0)
    const state: LoadedState = {
      applied: number('applied'),
      revision: number('revision'),
      compacted: number('compacted'),
      sequence: number('sequence'),
      identity: { member: number('member'), cluster: String(meta.get('cluster')) },
      leases: readLeases(database),
    }
    return { database, state, compactedSequence: number('compactedSequence') }
  } catch (error) {
    database.close()
    throw error
  }
}

function createSchema(database: DatabaseSync, { bootId, identity }: DatabaseParts): void {
  database.exec('PRAGMA page_size = 16384; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL')
  database.exec(`BEGIN; ${SCHEMA}`)
  const insert = database.prepare('INSERT INTO meta VALUES (?, ?)')
  const meta = { clean: 1, bootId, member: identity.member, cluster: identity.cluster, revision: 1 }
  for (const [name, value] of Object.entries(meta)) insert.run(name, value)
  database.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${DATABASE_FORMAT_VERSION}`)
  sealMeta(database)
  database.exec('COMMIT')
}

/** Version 2 had no checksums, version 3 none of leases and results. */
function upgrade(database: DatabaseSync, version: number): void {
  database.exec('BEGIN')
  if (version < 2) database.exec(UPGRADE_1)
  if (version < 3) sealRows(database)
  else checkMeta(database)
  database.exec(`PRAGMA user_version = ${DATABASE_FORMAT_VERSION}`)
  sealSides(database)
  sealMeta(database)
  database.exec('COMMIT')
}

/** Automatic checkpoints are off: a checkpoint's end is what the log waits for, so it is asked for. */
function configure(database: DatabaseSync): void {
  database.exec(`
    PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0;
    PRAGMA journal_size_limit = 16777216; PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY;
  `)
}

function readMeta(database: DatabaseSync): Map<string, unknown> {
  const rows = database.prepare('SELECT name, value FROM meta').all()
  return new Map(rows.map(row => [String(row.name), row.value]))
}

function readLeases(database: DatabaseSync): number[] {
  const seal = new TableSeal('leases')
  const all = readSide(database, 'leases')
  for (const lease of all) seal.add(checksumOfNumbers(lease))
  seal.compare(readSeal(database, 'leases'))
  return all.flat()
}

export function findingsOf(database: DatabaseSync): string[] {
  const rows = database.prepare('PRAGMA quick_check(5)').all()
  return rows.map(row => String(row.quick_check)).filter(finding => finding !== 'ok')
}

function quickCheck(database: DatabaseSync): void {
  const findings = findingsOf(database)
  if (findings.length === 0) return
  throw new Mk8sError('store/corrupt', 'the database is damaged', {
    why: findings.join('; '),
    hint: CORRUPT_HINT,
  })
}

export function newerVersionError(version: number): Mk8sError {
  return new Mk8sError('store/version', `the data has format ${version}`, {
    why: `this version of mk8s understands formats up to ${DATABASE_FORMAT_VERSION}`,
    hint: 'use the version of mk8s that wrote it, or a later one',
  })
}
