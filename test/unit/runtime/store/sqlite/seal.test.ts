/** A database that is not what was written is refused, whatever was changed in it. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { Mk8sError } from '../../../../../src/base/errors.ts'
import { RowsBuilder } from '../../../../../src/runtime/store/row-columns.ts'
import { StateDatabase } from '../../../../../src/runtime/store/sqlite/database.ts'
import { sealMeta } from '../../../../../src/runtime/store/sqlite/seal.ts'
import type { StoreBatch } from '../../../../../src/runtime/store/thread-messages.ts'

const identity = { member: 1, cluster: '00000000-0000-4000-8000-000000000001' }
const openAt = (path: string) => new StateDatabase({ path, bootId: 'boot', identity, resultsMax: 10 })

/** Three rows; the second replaces the first, and the third deletes another key. */
function batch(over: Partial<StoreBatch> = {}): StoreBatch {
  const rows = new RowsBuilder()
  const common = { createRevision: 2, lease: 0, length: 3 }
  rows.add('/a', { ...common, sequence: 1, revision: 2, previous: 0, version: 1 })
  rows.add('/a', { ...common, sequence: 2, revision: 3, previous: 1, version: 2 })
  const deletion = { createRevision: 4, version: 0, lease: 0, length: -1 }
  rows.add('/b', { ...deletion, sequence: 3, revision: 4, previous: 0 })
  const values = Uint8Array.from(Buffer.from('onetwo')).buffer
  const numbers = { applied: 5, revision: 4, compacted: 0, sequence: 3, compactSequence: 0 }
  const sides = { granted: [7, 5_000], revoked: [], forgotten: [], results: [4, 33, 1, 2, 1, 5, 33, 2, 3, 0] }
  return { type: 'batch', rows: rows.build(), values, ...numbers, ...sides, ...over }
}

const noRows = {
  granted: [],
  results: [],
  rows: new RowsBuilder().build(),
  values: new ArrayBuffer(0),
}

function inDirectory(act: (path: string) => void): void {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-seal-'))
  try {
    act(join(directory, 'state.sqlite'))
  } finally {
    rmSync(directory, { recursive: true })
  }
}

function keysOf(database: StateDatabase): string[] {
  return [...database.slabs()].flatMap(({ rows }) => rows.keys)
}

function change(path: string, sql: string): void {
  const database = new DatabaseSync(path)
  database.exec(sql)
  database.close()
}

test('what was written is read, also after a compaction', () =>
  inDirectory(path => {
    const database = openAt(path)
    database.write(batch())
    assert.deepEqual(keysOf(database), ['/a', '/a', '/b'])
    database.write(batch({ ...noRows, compacted: 4, compactSequence: 3 }))
    database.close()
    const again = openAt(path)
    assert.deepEqual(keysOf(again), ['/a'])
    assert.deepEqual(again.findings(), [])
    again.close()
  }))

const changes = {
  'a value': "UPDATE rows SET value = x'747776' WHERE sequence = 2",
  'a key': "UPDATE rows SET key = '/c' WHERE sequence = 2",
  'a revision': 'UPDATE rows SET revision = 9 WHERE sequence = 2',
  'a deletion made a value': "UPDATE rows SET value = x'' WHERE sequence = 3",
  'a row that is gone': 'DELETE FROM rows WHERE sequence = 3',
  'the applied index': "UPDATE meta SET value = 6 WHERE name = 'applied'",
  'the revision of the whole': "UPDATE meta SET value = 3 WHERE name = 'revision'",
  'how long a lease lives': 'UPDATE leases SET ttl_ms = ttl_ms | 1',
  'a lease that is gone': 'DELETE FROM leases',
  'what a request came to': 'UPDATE results SET succeeded = 1 - succeeded WHERE request = 2',
  'whose request it was': 'UPDATE results SET proposer = 32',
  'a result that is gone': 'DELETE FROM results WHERE request = 1',
  'the sum of the results': "UPDATE meta SET value = value + 1 WHERE name = 'resultsSum'",
  'a number that is gone': "DELETE FROM meta WHERE name = 'applied'",
}

for (const [what, sql] of Object.entries(changes)) {
  test(`a change is noticed: ${what}`, () =>
    inDirectory(path => {
      const database = openAt(path)
      database.write(batch())
      database.close()
      change(path, sql)
      assert.throws(
        () => {
          const damaged = openAt(path)
          try {
            assert.equal(damaged.findings().length, 1)
            keysOf(damaged)
            damaged.results()
          } finally {
            damaged.close()
          }
        },
        (error: unknown) => error instanceof Mk8sError && error.code === 'store/corrupt',
      )
    }))
}

test('a database of the first format gets its checksums when it is opened', () =>
  inDirectory(path => {
    const database = openAt(path)
    database.write(batch())
    database.close()
    change(
      path,
      `ALTER TABLE rows DROP COLUMN checksum; ALTER TABLE results DROP COLUMN entry;
       DELETE FROM meta WHERE name IN ('checksum', 'rows', 'rowsSum'); PRAGMA user_version = 1`,
    )
    const upgraded = openAt(path)
    assert.deepEqual(keysOf(upgraded), ['/a', '/a', '/b'])
    upgraded.write(batch({ ...noRows, compacted: 4, compactSequence: 3 }))
    upgraded.close()
    const again = openAt(path)
    assert.deepEqual(keysOf(again), ['/a'])
    again.close()
  }))

test('leases and results that go, or come again, leave their checksums right', () =>
  inDirectory(path => {
    const database = openAt(path)
    database.write(batch())
    // A lease is granted anew, a request asked again, one proposer forgotten and an old result dropped.
    const again = { ...noRows, granted: [7, 6_000, 8, 1_000], results: [6, 33, 2, 3, 1, 7, 44, 30, 4, 1] }
    database.write(batch({ ...again, applied: 7 }))
    assert.deepEqual(database.results(), [4, 33, 1, 2, 1, 6, 33, 2, 3, 1, 7, 44, 30, 4, 1])
    const later = { results: [8, 44, 50, 4, 1], forgotten: [33], revoked: [8] }
    database.write(batch({ ...noRows, ...later, applied: 8 }))
    assert.deepEqual(database.findings(), [])
    database.close()
    const opened = openAt(path)
    assert.deepEqual(opened.state.leases, [7, 6_000])
    assert.deepEqual(opened.results(), [8, 44, 50, 4, 1])
    assert.deepEqual(opened.findings(), [])
    opened.close()
  }))

/** Back to the format in which only rows had checksums. */
function makeFormat3(path: string): void {
  const database = new DatabaseSync(path)
  database.exec(`DELETE FROM meta WHERE name IN ('leases', 'leasesSum', 'results', 'resultsSum');
    PRAGMA user_version = 3`)
  sealMeta(database)
  database.close()
}

test('a database of the third format gets the checksums of leases and results when it is opened', () =>
  inDirectory(path => {
    const database = openAt(path)
    database.write(batch())
    database.close()
    makeFormat3(path)
    const upgraded = openAt(path)
    assert.deepEqual(upgraded.state.leases, [7, 5_000])
    assert.equal(upgraded.results().length, 10)
    assert.deepEqual(upgraded.findings(), [])
    upgraded.close()
    change(path, 'UPDATE leases SET ttl_ms = 5001')
    assert.throws(() => openAt(path), { code: 'store/corrupt' })
  }))

test('a damaged database of the third format is not sealed anew', () =>
  inDirectory(path => {
    const database = openAt(path)
    database.write(batch())
    database.close()
    makeFormat3(path)
    change(path, "UPDATE meta SET value = 6 WHERE name = 'applied'")
    assert.throws(() => openAt(path), { code: 'store/corrupt' })
  }))
