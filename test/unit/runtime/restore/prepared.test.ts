/** How servers that take part in a restore come to one decision, whoever is gone. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import type { NodeConfig } from '../../../../src/config/node-config.ts'
import { readJournal, recoveryDirectory, switchOver } from '../../../../src/runtime/recovery/switch-over.ts'
import {
  abortPrepared,
  announceCommand,
  commitPrepared,
  decisionHere,
  wasAbandoned,
} from '../../../../src/runtime/restore/prepared.ts'

const [OLD, NEW, OTHER] = ['old', 'new', 'other']
const journal = {
  newClusterId: NEW,
  keptIn: 'before-restore-x',
  restore: { files: ['config.yaml'], obsolete: ['cluster-init.yaml'], others: [], voters: [] },
}

function nodeIn(context: TestContext): NodeConfig {
  const dataDir = mkdtempSync(join(tmpdir(), 'mk8s-restore-'))
  context.after(() => rmSync(dataDir, { recursive: true, force: true }))
  for (const root of [dataDir, recoveryDirectory(dataDir)]) {
    for (const name of ['pki', 'datastore']) mkdirSync(join(root, name), { recursive: true })
    writeFileSync(join(root, 'config.yaml'), root === dataDir ? 'old' : 'new')
  }
  writeFileSync(join(dataDir, 'datastore', 'state'), 'old')
  writeFileSync(join(dataDir, 'cluster-init.yaml'), 'old')
  return { dataDir, clusterId: OLD } as NodeConfig
}

const prepare = ({ dataDir }: NodeConfig) =>
  writeFileSync(
    join(recoveryDirectory(dataDir), 'prepared.json'),
    JSON.stringify({ journal, restorer: { host: '192.0.2.1', port: 1 } }),
  )

test('only what is prepared can be committed, and once committed it cannot be aborted', context => {
  const config = nodeIn(context)
  const { dataDir } = config
  assert.equal(commitPrepared(dataDir, NEW), false)
  prepare(config)
  assert.equal(commitPrepared(dataDir, OTHER), false)
  abortPrepared(dataDir, OTHER)
  assert.equal(commitPrepared(dataDir, NEW), true)
  abortPrepared(dataDir, NEW)
  assert.equal(readJournal(dataDir)?.newClusterId, NEW)
  assert.equal(commitPrepared(dataDir, NEW), true, 'again')
})

test('an abort takes back what was prepared', context => {
  const config = nodeIn(context)
  prepare(config)
  abortPrepared(config.dataDir, NEW)
  assert.equal(existsSync(recoveryDirectory(config.dataDir)), false)
  assert.equal(commitPrepared(config.dataDir, NEW), false)
})

test('while the command works the decision is open; when it is gone, the journal says what it was', context => {
  const config = nodeIn(context)
  const { dataDir } = config
  assert.equal(decisionHere(config, NEW), 'none')
  announceCommand(dataDir, NEW)
  assert.equal(decisionHere(config, NEW), 'pending')
  assert.equal(decisionHere(config, OTHER), 'none')
  assert.equal(wasAbandoned(dataDir), false)
  const gone = { newClusterId: NEW, process: { pid: process.pid, startTime: 'another' } }
  writeFileSync(join(recoveryDirectory(dataDir), 'command.json'), JSON.stringify(gone))
  assert.deepEqual([decisionHere(config, NEW), wasAbandoned(dataDir)], ['none', true])
  prepare(config)
  commitPrepared(dataDir, NEW)
  assert.equal(decisionHere(config, NEW), 'committed')
  assert.equal(decisionHere({ ...config, clusterId: NEW }, NEW), 'committed')
})

test('a switch-over that is cut off at any step ends, at the next, where an uninterrupted one does', context => {
  const names: string[] = []
  const first = nodeIn(context)
  prepare(first)
  commitPrepared(first.dataDir, NEW)
  switchOver(first.dataDir, journal, name => names.push(name))
  for (const step of names) {
    const config = nodeIn(context)
    const { dataDir } = config
    prepare(config)
    commitPrepared(dataDir, NEW)
    const cut = () =>
      switchOver(dataDir, journal, name => {
        if (name === step) throw new Error('cut off')
      })
    assert.throws(cut)
    const found = readJournal(dataDir)
    if (found !== undefined) switchOver(dataDir, found)
    const states = [`${journal.keptIn}/datastore/state`, `${journal.keptIn}/cluster-init.yaml`, 'config.yaml']
    assert.deepEqual(
      states.map(name => existsSync(join(dataDir, name))),
      [true, true, true],
      step,
    )
    assert.equal(existsSync(join(dataDir, 'datastore', 'state')), false)
  }
})
