/** A recovery that is cut off at any step ends, at the next run, where an uninterrupted one does. */
import assert from 'node:assert/strict'
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import {
  REPLACED_FILES,
  readJournal,
  recoveryDirectory,
  refuseInterruptedRecovery,
  switchOver,
  writeJournal,
} from '../../../../src/runtime/recovery/switch-over.ts'

const journal = { newClusterId: 'new', keptIn: 'before-recovery-x' }

function prepared(context: TestContext): string {
  const dataDir = mkdtempSync(join(tmpdir(), 'mk8s-switch-'))
  context.after(() => rmSync(dataDir, { recursive: true, force: true }))
  for (const [root, text] of [
    [dataDir, 'old'],
    [recoveryDirectory(dataDir), 'new'],
  ] as const) {
    mkdirSync(join(root, 'datastore/wal'), { recursive: true })
    mkdirSync(join(root, 'pki'), { recursive: true })
    for (const name of [
      ...REPLACED_FILES,
      'datastore/state.sqlite',
      'datastore/wal/1.wal',
      'pki/cluster-ca.crt',
    ])
      writeFileSync(join(root, name), text)
  }
  writeFileSync(join(dataDir, 'join.json'), 'old')
  writeJournal(dataDir, journal)
  return dataDir
}

function contents(dataDir: string): Record<string, string> {
  const files = globSync('**/*', { cwd: dataDir, withFileTypes: true }).filter(file => file.isFile())
  const paths = files.map(({ parentPath, name }) => join(parentPath, name)).sort()
  return Object.fromEntries(paths.map(path => [path.slice(dataDir.length + 1), readFileSync(path, 'utf8')]))
}

test('what was prepared is in place, what was there is kept, and nothing is left over', context => {
  const dataDir = prepared(context)
  switchOver(dataDir, journal)
  const found = contents(dataDir)
  const kept = (name: string) => found[`${journal.keptIn}/${name}`]
  for (const name of [...REPLACED_FILES, 'datastore/state.sqlite', 'datastore/wal/1.wal']) {
    assert.equal(found[name], 'new', name)
    assert.equal(kept(name), 'old', name)
  }
  assert.equal(found['pki/cluster-ca.crt'], 'old')
  assert.deepEqual([found['join.json'], kept('join.json')], [undefined, 'old'])
  assert.equal(existsSync(recoveryDirectory(dataDir)), false)
  assert.equal(readJournal(dataDir), undefined)
})

test('cut off before any step, the next run ends in the same place, and no daemon starts in between', context => {
  const names: string[] = []
  const whole = prepared(context)
  switchOver(whole, journal, name => names.push(name))
  const wanted = contents(whole)
  assert.ok(names.length >= 10)
  for (const [at, name] of names.entries()) {
    const dataDir = prepared(context)
    let step = 0
    const cut = () => {
      if (step++ === at) throw new Error('power cut')
    }
    assert.throws(() => switchOver(dataDir, journal, cut), name)
    const pending = readJournal(dataDir)
    if (pending !== undefined) {
      assert.throws(() => refuseInterruptedRecovery(dataDir), { code: 'refused' })
      switchOver(dataDir, pending)
      assert.deepEqual(contents(dataDir), wanted, `cut off before: ${name}`)
    }
  }
})
