import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { refuseMissingDatastore } from '../../../src/runtime/missing-datastore.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'mk8s-missing-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

const make = (name: string) => mkdirSync(join(directory, name), { recursive: true })

test('a new node begins without a datastore', () => {
  make('pki')
  refuseMissingDatastore(directory)
})

test('a node that has served does not begin anew when its datastore is gone or empty', () => {
  make('pods')
  assert.throws(() => refuseMissingDatastore(directory), { code: 'store/corrupt', hint: /mk8s reset/ })
  make('datastore/wal')
  assert.throws(() => refuseMissingDatastore(directory), { code: 'store/corrupt' })
  writeFileSync(join(directory, 'datastore/wal/0000000000000001.wal'), '')
  refuseMissingDatastore(directory)
})
