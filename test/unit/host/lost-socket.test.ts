import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { findLostSocket, nodePaths, recordReady } from '../../../src/host/node-files.ts'
import { writePidFile } from '../../../src/host/processes.ts'

test('a daemon that serves without its socket is told from one that starts and from one that is gone', () => {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-lost-'))
  try {
    const { run, ready, daemonPid, adminSocket } = nodePaths(directory)
    mkdirSync(run)
    recordReady(directory)
    assert.equal(findLostSocket(directory), undefined)
    writePidFile(daemonPid, process.pid)
    utimesSync(ready, 1, 1)
    assert.equal(findLostSocket(directory), undefined)
    recordReady(directory)
    utimesSync(ready, Date.now() / 1_000 + 1, Date.now() / 1_000 + 1)
    assert.match(findLostSocket(directory)?.why ?? '', /mk8s\.sock was deleted/)
    writeFileSync(adminSocket, '')
    assert.equal(findLostSocket(directory), undefined)
  } finally {
    rmSync(directory, { recursive: true })
  }
})
