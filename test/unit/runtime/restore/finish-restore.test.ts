/** After the decision: when the new generation may begin, whatever the others answer. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { Mk8sError } from '../../../../src/base/errors.ts'
import { writeJournal } from '../../../../src/runtime/recovery/switch-over.ts'
import { finishRestore } from '../../../../src/runtime/restore/finish-restore.ts'
import { ManualClock } from '../../../support/manual-clock.ts'

type Answer = 'told' | 'left' | 'refused' | 'silent'

let dataDir = ''
let clock = new ManualClock()

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'mk8s-finish-'))
  clock = new ManualClock()
  for (const name of ['recovery/pki', 'recovery/datastore', 'pki', 'datastore'])
    mkdirSync(join(dataDir, name), { recursive: true })
  const others = [2, 3].map(id => ({ id, nodeName: `n${id}`, joinAddress: { host: `n${id}`, port: 1 } }))
  writeJournal(dataDir, {
    newClusterId: 'next',
    keptIn: 'before-restore-x',
    restore: { files: [], obsolete: [], others, voters: [1, 2, 3] },
  })
})
afterEach(() => rmSync(dataDir, { recursive: true, force: true }))

/** How long it took, or what it threw. Each server answers in this order, and the last for ever. */
async function finish(answers: Record<string, readonly Answer[]>): Promise<number | string> {
  const asked = new Map<string, number>()
  const begun = clock.monotonic()
  let over = false
  const calls = {
    get: async () => assert.fail('nothing is asked'),
    async post({ host }: { host: string }) {
      const at = asked.get(host) ?? 0
      asked.set(host, at + 1)
      const answer = answers[host]?.at(Math.min(at, answers[host].length - 1))
      if (answer === 'refused') throw new Mk8sError('api/unreachable', 'nobody listens')
      if (answer === 'silent') throw new Mk8sError('timeout', 'nothing comes back')
      return { left: answer === 'left' }
    },
  }
  const log = { info() {}, warn() {} }
  const signal = new AbortController().signal
  const finished = finishRestore({ dataDir, calls, clock, log, signal, timeoutMs: 60_000 }).then(
    () => clock.monotonic() - begun,
    error => (error as Mk8sError).code,
  )
  void finished.then(() => {
    over = true
  })
  while (!over) {
    await new Promise(resolve => setImmediate(resolve))
    clock.advance(100)
  }
  return finished
}

const took = async (answers: Record<string, readonly Answer[]>): Promise<number> => {
  const outcome = await finish(answers)
  assert.ok(typeof outcome === 'number', `${outcome}`)
  assert.ok(!existsSync(join(dataDir, 'recovery')))
  return outcome
}

test('servers that were told and listen no more have left', async () => {
  assert.ok((await took({ n2: ['told', 'refused'], n3: ['told', 'told', 'refused'] })) < 1_000)
})

test('a server that was told and only falls silent may still serve, until it cannot any more', async () => {
  assert.ok((await took({ n2: ['told', 'silent'], n3: ['told', 'silent'] })) >= 30_000)
})

test('servers that have left already are heard although this daemon never told them', async () => {
  assert.ok((await took({ n2: ['refused', 'refused', 'left'], n3: ['left'] })) < 1_000)
})

test('one that never answers is waited for a while, a quorum of them for as long as it takes', async () => {
  assert.equal(await finish({ n2: ['refused'], n3: ['silent'] }), 'timeout')
  assert.ok(existsSync(join(dataDir, 'recovery/journal.json')))
  assert.ok((await took({ n2: ['left'], n3: ['refused'] })) >= 15_000)
})
