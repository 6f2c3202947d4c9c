import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { keptAt } from '../../../src/host/native-addon.ts'

const directory = mkdtempSync(join(tmpdir(), 'mk8s-native-'))
after(() => rmSync(directory, { recursive: true, force: true }))

const code = Buffer.from('native code')

test('native code is kept for its user alone, and replaced when somebody changed it', () => {
  const file = keptAt(join(directory, 'cache'), 'part.node', code)
  assert.equal(statSync(file).mode & 0o777, 0o500)
  chmodSync(file, 0o600)
  writeFileSync(file, 'other  code')
  assert.equal(keptAt(join(directory, 'cache'), 'part.node', code), file)
  assert.deepEqual(readFileSync(file), code)
})

test('a cache that others may write to is refused', () => {
  keptAt(join(directory, 'open'), 'part.node', code)
  chmodSync(join(directory, 'open'), 0o777)
  assert.throws(() => keptAt(join(directory, 'open'), 'part.node', code), /belongs to somebody else/)
})
