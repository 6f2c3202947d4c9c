/** The generated pages say what the program says. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { renderDocs } from '../../scripts/generate-docs.ts'

const root = join(import.meta.dirname, '../..')

test('the reference pages are fresh (npm run docs)', async () => {
  for (const [path, text] of Object.entries(await renderDocs())) {
    assert.equal(readFileSync(join(root, path), 'utf8'), text, path)
  }
})
