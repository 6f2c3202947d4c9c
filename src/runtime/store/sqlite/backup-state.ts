/**
 * The database inside a backup, which nobody else has open: checked, looked through, cleared of what must not be in
 * it, or made easier to read for people.
 */
import { rmSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { Mk8sError, messageOf } from '../../../base/errors.ts'
import type { KeyValue } from '../store.ts'
import { APPLICATION_ID, DATABASE_FORMAT_VERSION, findingsOf, newerVersionError } from './database.ts'
import { checkMeta, checkRows, checkSides, sealMeta } from './seal.ts'
import { createPrivateFile, sqliteErrorOf, withSqliteErrors } from './sqlite-files.ts'

export interface BackupStateFacts {
  readonly clusterId: string
  readonly applied: number
  readonly revision: number
  readonly compacted: number
  /** Keys that are there now. */
  readonly keys: number
}

const LATEST = `
  SELECT r.key AS key, r.value AS value, r.create_revision AS createRevision, r.revision AS modRevision,
    r.version AS version, r.lease AS lease
  FROM latest AS l JOIN rows AS r ON r.sequence = l.sequence`

/** What people look for; plain JSON values only (see ARCHITECTURE, "Values"). */
const OBJECTS_VIEW = `
  CREATE VIEW objects AS
  SELECT json ->> '$.kind' AS kind, json ->> '$.metadata.namespace' AS namespace, json ->> '$.metadata.name' AS name,
    modRevision AS resourceVersion, key, json
  FROM (SELECT key, modRevision, CAST(substr(value, 2) AS TEXT) AS json FROM (${LATEST})
    WHERE key GLOB '/registry/*' AND substr(value, 1, 1) = x'01' AND json_valid(CAST(substr(value, 2) AS TEXT)))`

/** Reads such a file. Throws `store/corrupt` or `store/version` when it is no database of this version's format. */
export class BackupState {
  readonly facts: BackupStateFacts
  readonly #database: DatabaseSync

  constructor(path: string) {
    this.#database = withSqliteErrors('open the database', () => openImmutable(path))
    try {
      this.facts = withSqliteErrors('read the database', () => readFacts(this.#database))
    } catch (error) {
      this.#database.close()
      throw error
    }
  }

  /** Sentences about what is wrong; reads everything. */
  findings(): string[] {
    try {
      const findings = findingsOf(this.#database)
      checkMeta(this.#database)
      checkSides(this.#database)
      checkRows(this.#database)
      return findings
    } catch (error) {
      return [error instanceof Mk8sError ? `${error.message}: ${error.why}` : messageOf(error)]
    }
  }

  /** The names of all keys in order. */
  *keys(): Generator<string> {
    const statement = this.#database.prepare('SELECT key FROM latest ORDER BY key')
    statement.setReturnArrays(true)
    for (const [key] of statement.iterate() as unknown as Iterable<[string]>) yield key
  }

  get(key: string): KeyValue | null {
    const row = this.#database.prepare(`${LATEST} WHERE l.key = ?`).get(key)
    return row === undefined ? null : toKeyValue(row)
  }

  /** All keys of [start, end) in order, one after the other. */
  *range(start: string, end: string): Generator<KeyValue> {
    const statement = this.#database.prepare(`${LATEST} WHERE l.key >= ? AND l.key < ? ORDER BY l.key`)
    for (const row of statement.iterate(start, end)) yield toKeyValue(row)
  }

  /** Keys of [start, end) of which any value that is kept, also an earlier one, satisfies `test`. */
  keysThatHad(start: string, end: string, test: (value: Buffer, key: string) => boolean): string[] {
    const sql = 'SELECT key, value FROM rows WHERE key >= ? AND key < ? AND value IS NOT NULL'
    const found = new Set<string>()
    for (const { key, value } of this.#database.prepare(sql).iterate(start, end)) {
      if (test(bufferOf(value), String(key))) found.add(String(key))
    }
    return [...found].sort()
  }

  /** May be done again. */
  close(): void {
    if (this.#database.isOpen) this.#database.close()
  }
}

/**
 * Writes the database anew without these keys and their history, and without what lies in free pages.
 * Nothing is left at `to` when it fails.
 */
export function rewriteWithout(from: string, to: string, keys: readonly string[]): void {
  try {
    rewrite(from, to, keys)
  } catch (error) {
    for (const end of ['', '-journal', '-wal', '-shm']) rmSync(`${to}${end}`, { force: true })
    throw sqliteErrorOf('write the database anew', error)
  }
}

function rewrite(from: string, to: string, keys: readonly string[]): void {
  createPrivateFile(to)
  const database = new DatabaseSync(from)
  try {
    // A crash leaves a file that nobody uses: no journal, no flushes.
    database.exec('PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA secure_delete = ON')
    if (keys.length > 0) removeKeys(database, keys)
    database.prepare('VACUUM INTO ?').run(to)
  } finally {
    database.close()
  }
}

function removeKeys(database: DatabaseSync, keys: readonly string[]): void {
  database.exec('BEGIN')
  const list = JSON.stringify(keys)
  const inList = 'key IN (SELECT value FROM json_each(?))'
  database.prepare(`DELETE FROM rows WHERE ${inList}`).run(list)
  database.prepare(`DELETE FROM latest WHERE ${inList}`).run(list)
  const sum = 'SELECT count(*) AS rows, coalesce(sum(checksum), 0) % 4294967296 AS sum FROM rows'
  const left = database.prepare(sum).get()
  const set = database.prepare('INSERT OR REPLACE INTO meta VALUES (?, ?)')
  set.run('rows', Number(left?.['rows']))
  set.run('rowsSum', Number(left?.['sum']))
  sealMeta(database)
  database.exec('COMMIT')
}

/** Adds the view `objects`, for people who look into the file with `sqlite3`. */
export function addObjectsView(path: string): void {
  withSqliteErrors('add a view to the database', () => {
    const database = new DatabaseSync(path)
    try {
      database.exec(`PRAGMA journal_mode = DELETE; ${OBJECTS_VIEW}`)
    } finally {
      database.close()
    }
  })
}

function openImmutable(path: string): DatabaseSync {
  const url = pathToFileURL(path)
  url.search = '?immutable=1'
  return new DatabaseSync(url, { readOnly: true })
}

function readFacts(database: DatabaseSync): BackupStateFacts {
  const pragma = (name: string) => Number(database.prepare(`PRAGMA ${name}`).get()?.[name])
  const version = pragma('user_version')
  if (pragma('application_id') !== APPLICATION_ID || version === 0)
    throw new Mk8sError('store/corrupt', 'the file is no database of mk8s')
  if (version > DATABASE_FORMAT_VERSION) throw newerVersionError(version)
  const rows = database.prepare('SELECT name, value FROM meta').all()
  const meta = new Map(rows.map(({ name, value }) => [String(name), value]))
  const number = (name: string) => Number(meta.get(name) ?? 0)
  const keys = Number(database.prepare('SELECT count(*) AS keys FROM latest').get()?.['keys'])
  const [applied, revision, compacted] = [number('applied'), number('revision'), number('compacted')]
  return { clusterId: String(meta.get('cluster')), applied, revision, compacted, keys }
}

function toKeyValue(row: Record<string, unknown>): KeyValue {
  const { key, value, createRevision, modRevision, version, lease } = row
  return {
    key: String(key),
    value: bufferOf(value),
    createRevision: Number(createRevision),
    modRevision: Number(modRevision),
    version: Number(version),
    lease: Number(lease),
  }
}

function bufferOf(value: unknown): Buffer {
  const bytes = value as Uint8Array
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
