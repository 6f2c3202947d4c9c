import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { must } from '../../../src/base/assert.ts'
import { systemClock } from '../../../src/base/clock.ts'
import {
  identifyProcess,
  isRunning,
  readPidFile,
  signalProcess,
  waitUntilGone,
  writePidFile,
} from '../../../src/host/processes.ts'

const directory = mkdtempSync(join(tmpdir(), 'mk8s-processes-'))
after(() => rmSync(directory, { recursive: true }))
const path = join(directory, 'a.pid')

test('a pid file names a process only while that very process runs', async () => {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' })
  const pid = must(child.pid, 'pid')
  writePidFile(path, pid)
  assert.equal(Number.parseInt(readFileSync(path, 'utf8'), 10), pid)
  const identity = must(readPidFile(path), 'identity')
  assert.equal(signalProcess(identity, 'SIGKILL'), true)
  assert.equal(await waitUntilGone(identity, { clock: systemClock, timeoutMs: 60_000 }), true)
  assert.equal(readPidFile(path), undefined)
  assert.equal(signalProcess(identity, 'SIGKILL'), false)
})

test('another process under the same number is not taken for it', () => {
  const self = must(identifyProcess(process.pid), 'self')
  assert.equal(isRunning(self), true)
  assert.equal(isRunning({ ...self, startTime: '1' }), false)
  assert.equal(isRunning({ ...self, bootId: 'another boot' }), false)
})

test('a damaged pid file names nobody', () => {
  for (const text of ['', 'x y z', '\0', `${process.pid}`]) {
    writeFileSync(path, text)
    assert.equal(readPidFile(path), undefined, JSON.stringify(text))
  }
})
