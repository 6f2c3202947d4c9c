/** Remembered results in SQLite against a list: over restarts, out of order, replaced and forgotten. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { seededRandom } from '../../../../../src/base/random.ts'
import { RowsBuilder } from '../../../../../src/runtime/store/row-columns.ts'
import { StateDatabase } from '../../../../../src/runtime/store/sqlite/database.ts'
import type { StoreBatch } from '../../../../../src/runtime/store/thread-messages.ts'

const MAX = 40
const BATCHES = 300

function batchOf(entry: number, forgotten: readonly number[], results: readonly number[]): StoreBatch {
  const rows = new RowsBuilder().build()
  const at = { applied: entry, revision: entry, compacted: 0, sequence: 0, compactSequence: 0 }
  return {
    type: 'batch',
    ...at,
    rows,
    values: new ArrayBuffer(0),
    granted: [],
    revoked: [],
    forgotten,
    results,
  }
}

test('the table has the last results of each proposer, and they are those that were written', t => {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-results-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  const random = seededRandom(3)
  const upTo = (max: number) => Math.floor(random.float() * (max + 1))
  const identity = { member: 1, cluster: 'c' }
  const open = () => new StateDatabase({ path: join(directory, 's'), bootId: 'b', identity, resultsMax: MAX })
  let database = open()
  const model = new Map<string, number[]>()
  let entry = 0
  for (let batch = 0; batch < BATCHES; batch++) {
    const forgotten = upTo(20) === 0 ? [upTo(2) + 1] : []
    for (const proposer of forgotten)
      for (const [key, numbers] of model) if (numbers[1] === proposer) model.delete(key)
    const proposer = upTo(2) + 1
    // Nearly in order; what is there already comes again at times.
    const requests = new Set(Array.from({ length: upTo(50) }, (_, at) => batch * 20 + at + upTo(5)))
    const results = [...requests].flatMap(request => [++entry, proposer, request, entry + 1, entry % 2])
    database.write(batchOf(entry, forgotten, results))
    for (let at = 0; at < results.length; at += 5)
      model.set(`${proposer} ${results[at + 2]}`, results.slice(at, at + 5))
    const newest = Math.max(...requests)
    for (const [key, [, its, request = 0]] of model)
      if (its === proposer && request <= newest - MAX) model.delete(key)
    if (upTo(30) === 0) {
      database.close()
      database = open()
    }
    const expected = [...model.values()].sort((a, b) => (a[0] ?? 0) - (b[0] ?? 0)).flat()
    assert.deepEqual(database.results(), expected)
  }
  assert.deepEqual(database.findings(), [])
  database.close()
})
