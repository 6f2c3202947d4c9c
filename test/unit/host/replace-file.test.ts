import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { linkOver, moveOver } from '../../../src/host/replace-file.ts'

test('a file takes the name of another, or gets a second one, and nothing is left beside', () => {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-replace-'))
  const path = (name: string) => join(directory, name)
  const read = (name: string) => readFileSync(path(name), 'utf8')
  try {
    for (const name of ['now', 'next', 'before']) writeFileSync(path(name), name)
    linkOver(path('now'), path('before'))
    moveOver(path('next'), path('now'))
    assert.deepEqual([read('now'), read('before')], ['next', 'now'])
    linkOver(path('before'), path('now'))
    assert.equal(read('now'), 'now')
    linkOver(path('before'), path('now'))
    assert.deepEqual(readdirSync(directory).sort(), ['before', 'now'])
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})
