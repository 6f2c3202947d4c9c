import assert from 'node:assert/strict'
import {
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { Mk8sError } from '../../../src/base/errors.ts'
import { cutLog } from '../../../src/host/log-bound.ts'
import {
  clearFailure,
  instanceName,
  nodePaths,
  readFailure,
  recordFailure,
} from '../../../src/host/node-files.ts'
import { removeNodeDirectory } from '../../../src/host/remove.ts'

const parent = mkdtempSync(join(tmpdir(), 'mk8s-files-'))
after(() => rmSync(parent, { recursive: true }))
const dataDir = join(parent, 'data')

test('the note of a failed start carries its code and words, until it is cleared', () => {
  mkdirSync(nodePaths(dataDir).run, { recursive: true })
  assert.equal(readFailure(dataDir), undefined)
  recordFailure(dataDir, new Mk8sError('host/port-taken', 'port 1 is in use', { why: 'by x', hint: 'end x' }))
  const failure = readFailure(dataDir)
  assert.deepEqual(
    [failure?.code, failure?.message, failure?.why],
    ['host/port-taken', 'port 1 is in use', 'by x'],
  )
  clearFailure(dataDir)
  writeFileSync(nodePaths(dataDir).lastExit, '70\n')
  writeFileSync(nodePaths(dataDir).log, 'starting\nAssertionFailure: broken\n    at x\n')
  assert.match(readFailure(dataDir)?.why ?? '', /exit code is 70/)
  const line = { level: 'error', message: 'daemon.pid cannot be written', why: 'the disk is full', cause: {} }
  writeFileSync(nodePaths(dataDir).log, `${JSON.stringify(line)}\n`)
  assert.match(readFailure(dataDir)?.why ?? '', /^daemon\.pid cannot be written: the disk is full$/m)
  clearFailure(dataDir)
})

test('a log that has grown too large is kept once and cut', () => {
  const path = join(parent, 'daemon.log')
  const descriptor = openSync(path, 'a')
  writeSync(descriptor, 'x'.repeat(100))
  assert.equal(cutLog(path, descriptor, 1000), false)
  assert.equal(cutLog(path, descriptor, 50), true)
  writeSync(descriptor, 'next')
  assert.equal(statSync(`${path}.1`).size, 100)
  assert.equal(readFileSync(path, 'utf8'), 'next')
})

test('nodes on one machine have names of their own', () => {
  assert.equal(instanceName('/var/lib/mk8s'), 'mk8s')
  assert.notEqual(instanceName('/srv/a/mk8s'), instanceName('/srv/b/mk8s'))
  assert.match(instanceName('/srv/with space'), /^mk8s-with-space-[0-9a-f]{8}$/)
})

test('what is left of a node is removed without what is not its own', () => {
  writeFileSync(join(dataDir, 'mine.txt'), '')
  assert.deepEqual(removeNodeDirectory(dataDir), ['mine.txt'])
})

test('an installed node is removed with everything in its directory', () => {
  writeFileSync(join(dataDir, 'config.yaml'), '')
  assert.deepEqual(removeNodeDirectory(dataDir), [])
  assert.equal(statSync(dataDir, { throwIfNoEntry: false }), undefined)
})
