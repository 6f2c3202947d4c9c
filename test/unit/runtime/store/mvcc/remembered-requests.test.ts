/** What a member remembers of proposers is the same on all of them, restarted or not. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { systemClock } from '../../../../../src/base/clock.ts'
import {
  PROPOSERS_REMEMBERED_MAX,
  REQUESTS_REMEMBERED_MAX,
} from '../../../../../src/runtime/store/mvcc/remembered-requests.ts'
import { StateMachine } from '../../../../../src/runtime/store/mvcc/state-machine.ts'
import { Persister } from '../../../../../src/runtime/store/persister.ts'
import { StateDatabase } from '../../../../../src/runtime/store/sqlite/database.ts'
import { StateLoader } from '../../../../../src/runtime/store/state-loader.ts'

/** A member without threads: state, persister and database. */
class Restarting {
  readonly #path: string
  #database: StateDatabase
  #persister: Persister
  state: StateMachine

  constructor(directory: string) {
    this.#path = join(directory, 'state.sqlite')
    const opened = this.#open()
    this.#database = opened.database
    this.#persister = opened.persister
    this.state = opened.state
  }

  #open() {
    const identity = { member: 1, cluster: 'c' }
    const parts = { path: this.#path, bootId: 'b', identity, resultsMax: REQUESTS_REMEMBERED_MAX }
    const database = new StateDatabase(parts)
    const state = new StateMachine()
    const loader = new StateLoader(state)
    loader.begin(database.state)
    for (const { rows, values } of database.slabs()) loader.addRows(rows, values)
    const start = loader.finish({ type: 'loaded', results: database.results() })
    const persister: Persister = new Persister(
      {
        clock: systemClock,
        post: batch => {
          database.write(batch)
          persister.written()
        },
      },
      start,
    )
    return { database, state, persister }
  }

  apply(proposer: number, request: number) {
    const applied = applyTo(this.state, proposer, request)
    this.#persister.add(applied)
    return applied
  }

  async restart(): Promise<void> {
    await this.close()
    const opened = this.#open()
    this.#database = opened.database
    this.#persister = opened.persister
    this.state = opened.state
  }

  async close(): Promise<void> {
    await this.#persister.drain()
    this.#database.close()
  }
}

function applyTo(state: StateMachine, proposer: number, request: number) {
  // Every third changes nothing, so that many entries share a revision.
  const operations =
    request % 3 === 0 ? [] : [{ type: 'put', key: `/${proposer}`, value: Buffer.from(`${request}`) } as const]
  const command = { type: 'transaction', transaction: { compares: [], operations } } as const
  return state.apply({ index: state.applied + 1, proposer, request, command })
}

function directoryOf(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-remembered-'))
  t.after(() => rmSync(directory, { recursive: true }))
  return directory
}

test('members that restart forget the same proposers, with the same entries, as one that never does', async t => {
  const steady = new StateMachine()
  const restarting = new Restarting(directoryOf(t))
  let seed = 7
  const random = (below: number) => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31
    return Math.floor((seed / 2 ** 31) * below)
  }
  const requests = new Map<number, number>()
  for (let n = 0; n < 6000; n++) {
    const proposer = 1 + random(PROPOSERS_REMEMBERED_MAX + 40)
    const newest = requests.get(proposer) ?? 0
    // One in four is asked again, and may have been forgotten meanwhile.
    const request = random(4) === 0 && newest > 0 ? 1 + random(newest) : newest + 1
    requests.set(proposer, Math.max(newest, request))
    const [one, other] = [applyTo(steady, proposer, request), restarting.apply(proposer, request)]
    assert.equal(one.result.kind, other.result.kind, `entry ${one.index}`)
    assert.deepEqual(one.forgotten, other.forgotten)
    if (random(400) === 0) await restarting.restart()
  }
  await restarting.restart()
  assert.deepEqual(restarting.state.proposers(), steady.proposers())
  assert.equal(restarting.state.revision, steady.revision)
  await restarting.close()
})

test('the requests that are remembered depend on their numbers, not on their order', async t => {
  const steady = new StateMachine()
  const restarting = new Restarting(directoryOf(t))
  const numbers = [5, 3, REQUESTS_REMEMBERED_MAX + 3, 4, REQUESTS_REMEMBERED_MAX + 4, 3, 4, 5]
  for (const request of numbers) {
    const [one, other] = [applyTo(steady, 9, request), restarting.apply(9, request)]
    assert.equal(one.result.kind, other.result.kind)
    await restarting.restart()
  }
  const kinds = [3, 4, 5].map(request => applyTo(steady, 9, request).result.kind)
  assert.deepEqual(kinds, ['forgotten', 'forgotten', 'duplicate'])
  await restarting.close()
})
