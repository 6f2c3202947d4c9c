/** Golden transcripts: `REWRITE=1` writes what the core does now, for a person to read and judge. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { runTranscript } from './transcript.ts'

const directory = join(import.meta.dirname, '../../../golden/raft')

for (const name of readdirSync(directory).filter(file => file.endsWith('.txt'))) {
  test(`the transcript ${name} is what the core does`, () => {
    const path = join(directory, name)
    const expected = readFileSync(path, 'utf8')
    const actual = runTranscript(expected)
    if (process.env['REWRITE'] === '1') writeFileSync(path, actual)
    else assert.equal(actual, expected)
  })
}
