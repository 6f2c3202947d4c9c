import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Command } from '../../../../../src/runtime/store/mvcc/command.ts'
import { REQUESTS_REMEMBERED_MAX } from '../../../../../src/runtime/store/mvcc/remembered-requests.ts'
import { StateMachine } from '../../../../../src/runtime/store/mvcc/state-machine.ts'
import type { Operation } from '../../../../../src/runtime/store/store.ts'

const all = { start: '/', end: '0' }
const key = fc.constantFrom('/a', '/b', '/b/1', '/c', '/d')
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ type: fc.constant('put' as const), key, value: fc.string().map(text => Buffer.from(text)) }),
  fc.record({ type: fc.constant('delete' as const), key }),
)
const transactions = fc.array(fc.array(operation, { minLength: 1, maxLength: 4 }), { maxLength: 30 })

function applyAll(state: StateMachine, commands: readonly Command[]): void {
  for (const command of commands) state.apply({ index: state.applied + 1, proposer: 0, request: 0, command })
}

const transactionOf = (operations: readonly Operation[]): Command => ({
  type: 'transaction',
  transaction: { compares: [], operations },
})

const snapshotOf = (state: StateMachine, revision?: number) =>
  state
    .range(revision === undefined ? all : { ...all, revision })
    .entries.map(kv => `${kv.key}=${kv.value}@${kv.modRevision} v${kv.version}`)

test('a read at any kept revision is what a read was at that time', () => {
  fc.assert(
    fc.property(transactions, fc.nat(30), (batches, compactAt) => {
      const state = new StateMachine()
      const then = new Map<number, string[]>()
      for (const operations of batches) {
        applyAll(state, [transactionOf(operations)])
        then.set(state.revision, snapshotOf(state))
      }
      const compacted = Math.min(compactAt, state.revision)
      applyAll(state, [{ type: 'compaction', revision: compacted }])
      for (const [revision, expected] of then) {
        if (revision < compacted) assert.throws(() => snapshotOf(state, revision), /compacted/)
        else assert.deepEqual(snapshotOf(state, revision), expected)
      }
    }),
  )
})

test('pages of a range at a revision put together are the range', () => {
  fc.assert(
    fc.property(transactions, fc.integer({ min: 1, max: 3 }), fc.nat(10), (batches, limit, back) => {
      const state = new StateMachine()
      applyAll(state, batches.map(transactionOf))
      const revision = Math.max(1, state.revision - back)
      const pages: string[] = []
      for (let start = all.start; ; ) {
        const page = state.range({ start, end: all.end, limit, revision })
        pages.push(...page.entries.map(kv => `${kv.key}=${kv.value}@${kv.modRevision} v${kv.version}`))
        const last = page.entries.at(-1)
        if (page.remaining === 0 || last === undefined) break
        start = `${last.key}\0`
      }
      assert.deepEqual(pages, snapshotOf(state, revision))
    }),
  )
})

test('the events after a revision lead from the state then to the state now', () => {
  fc.assert(
    fc.property(transactions, transactions, (before, after) => {
      const state = new StateMachine()
      applyAll(state, before.map(transactionOf))
      const { revision } = state
      const replay = new Map(state.range(all).entries.map(kv => [kv.key, kv]))
      applyAll(state, after.map(transactionOf))
      for (const event of state.eventsAfter(revision)) {
        if (event.type === 'put') {
          assert.equal(replay.get(event.kv.key) ?? null, event.previous)
          replay.set(event.kv.key, event.kv)
        } else {
          assert.equal(replay.get(event.key), event.previous)
          replay.delete(event.key)
        }
      }
      const now = [...replay.values()].sort((a, b) => (a.key < b.key ? -1 : 1))
      assert.deepEqual(now, state.range(all).entries)
    }),
  )
})

test('a request that comes twice is applied once, and the second time its result is remembered', () => {
  const state = new StateMachine()
  const command = transactionOf([{ type: 'put', key: '/a', value: Buffer.from('1') }])
  const first = state.apply({ index: 1, proposer: 9, request: 1, command })
  const second = state.apply({ index: 2, proposer: 9, request: 1, command })
  assert.equal(first.events.length, 1)
  assert.equal(second.events.length, 0)
  assert.deepEqual(second.result, { kind: 'duplicate', remembered: first.remembered })
  assert.equal(state.get('/a')?.version, 1)
  assert.equal(state.apply({ index: 3, proposer: 8, request: 1, command }).events.length, 1)
})

test('a request too old to be remembered is not applied', () => {
  const state = new StateMachine()
  const command = transactionOf([{ type: 'put', key: '/a', value: Buffer.from('1') }])
  for (let request = 2; request <= REQUESTS_REMEMBERED_MAX + 2; request++) {
    state.apply({ index: state.applied + 1, proposer: 9, request, command })
  }
  const late = state.apply({ index: state.applied + 1, proposer: 9, request: 1, command })
  assert.deepEqual(late.result, { kind: 'forgotten' })
})

const LARGE = 65_536

test('a value does not hold the memory that it was cut out of', () => {
  const state = new StateMachine()
  const [few, many] = [Buffer.alloc(LARGE).subarray(8, 16), Buffer.alloc(2 * LARGE).subarray(LARGE)]
  applyAll(state, [
    transactionOf([
      { type: 'put', key: '/a', value: few },
      { type: 'put', key: '/b', value: many },
    ]),
  ])
  assert.notEqual(state.get('/a')?.value.buffer, few.buffer)
  assert.equal(state.get('/b')?.value.buffer.byteLength, LARGE)
})

test('a compaction lets go of the memory of values that are gone, and keeps the others', () => {
  const state = new StateMachine()
  const text = (at: number) => String(at).padEnd(1000, '.')
  const put = (at: number) =>
    applyAll(state, [transactionOf([{ type: 'put', key: `/${at}`, value: Buffer.from(text(at)) }])])
  for (let at = 0; at < 3000; at++) put(at)
  for (let at = 0; at < 3000; at++)
    if (at % 100 !== 0) applyAll(state, [transactionOf([{ type: 'delete', key: `/${at}` }])])
  applyAll(state, [{ type: 'compaction', revision: state.revision }])
  const { entries } = state.range(all)
  assert.deepEqual(
    entries.map(kv => kv.value.toString()).sort(),
    Array.from({ length: 30 }, (_, at) => text(100 * at)).sort(),
  )
  assert(new Set(entries.map(kv => kv.value.buffer)).size <= 2)
})
