/** A durable write where the disk takes a part of it only. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'

const WRITER = `
import { writeFileDurably } from './src/host/files.ts'
try {
  writeFileDurably(process.argv[1], 'x'.repeat(100_000), 0o600)
  process.stdout.write('written')
} catch (error) {
  process.stdout.write('refused')
}`

test('what does not fit as a whole takes the place of nothing', {
  skip: process.platform === 'win32',
}, () => {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-files-'))
  try {
    const path = join(directory, 'record.json')
    writeFileSync(path, 'before')
    const root = join(import.meta.dirname, '../../..')
    // A first write gets as far as the limit and says how far; only the next one fails.
    const script = 'trap "" XFSZ; ulimit -f 8; exec "$0" --input-type=module -e "$1" "$2"'
    const args = ['-c', script, process.execPath, WRITER, path]
    const said = execFileSync('sh', args, { cwd: root, encoding: 'utf8', env: { PATH: process.env['PATH'] } })
    assert.equal(said, 'refused')
    assert.deepEqual([readFileSync(path, 'utf8'), readdirSync(directory)], ['before', ['record.json']])
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})
