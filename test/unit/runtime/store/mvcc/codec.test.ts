import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type EntryHeader, entryTypes } from '../../../../../src/runtime/raft/entry.ts'
import {
  entryTypeOf,
  readCommand,
  sizeOfCommand,
  writeCommand,
} from '../../../../../src/runtime/store/mvcc/codec.ts'
import type { Command } from '../../../../../src/runtime/store/mvcc/command.ts'
import type { Condition, Decision, Step } from '../../../../../src/runtime/store/store.ts'

const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record(model, { noNullPrototype: true })
const number = fc.maxSafeNat()
const key = fc.string({ unit: 'grapheme' })
const target = fc.constantFrom('mod-revision' as const, 'create-revision' as const, 'version' as const)
const put = record({
  type: fc.constant('put' as const),
  key,
  lease: number,
  value: fc.uint8Array().map(bytes => Buffer.from(bytes)),
})
const bytes = fc.uint8Array().map(values => Buffer.from(values))
const relation = fc.constantFrom('equal' as const, 'not-equal' as const, 'greater' as const, 'less' as const)
const condition: fc.Arbitrary<Condition> = fc.oneof(
  record({ key, end: key, relation, target, operand: number }),
  record({ key, relation, target: fc.constant('lease' as const), operand: number }),
  record({ key, relation, target: fc.constant('value' as const), operand: bytes }),
)
const step: fc.Arbitrary<Exclude<Step, { type: 'decision' }>> = fc.oneof(
  record({
    type: fc.constant('put' as const),
    key,
    value: fc.oneof(bytes, fc.constant(null)),
    lease: fc.oneof(number, fc.constant(null)),
  }),
  record({ type: fc.constant('delete' as const), start: key, end: key }),
  record({
    type: fc.constant('range' as const),
    range: record({ start: key, end: key, limit: number, revision: fc.integer({ min: 1, max: 2 ** 40 }) }),
  }),
)
const decisionOf = (steps: fc.Arbitrary<Step>): fc.Arbitrary<Decision> =>
  record({ conditions: fc.array(condition), steps: fc.array(steps), otherwise: fc.array(steps) })
const decision = decisionOf(
  fc.oneof(step, record({ type: fc.constant('decision' as const), decision: decisionOf(step) })),
)
const command: fc.Arbitrary<Command> = fc.oneof(
  record({
    type: fc.constant('transaction' as const),
    transaction: record({
      compares: fc.array(record({ key, target, equals: number })),
      operations: fc.array(fc.oneof(put, record({ type: fc.constant('delete' as const), key }))),
    }),
  }),
  record({ type: fc.constant('compaction' as const), revision: number }),
  record({ type: fc.constant('decision' as const), decision }),
  record({ type: fc.constant('lease-grant' as const), ttlMs: number }),
  record({ type: fc.constant('lease-grant' as const), ttlMs: number, lease: number }),
  record({ type: fc.constant('lease-revocation' as const), lease: number }),
)

const headerOf = (type: number, version = 1): EntryHeader => ({
  type,
  version,
  payloadBytes: 0,
  index: 1,
  term: 1,
  proposer: 1,
  request: 1,
})

test('a command comes back as it was written', () => {
  fc.assert(
    fc.property(command, written => {
      const bytes = Buffer.alloc(sizeOfCommand(written))
      assert.equal(writeCommand(bytes, 0, written), bytes.length)
      assert.deepEqual(readCommand(headerOf(entryTypeOf(written)), bytes), written)
    }),
  )
})

test('an entry of a later mk8s is not guessed at', () => {
  assert.equal(readCommand(headerOf(99), Buffer.alloc(0)), 'unknown')
  assert.equal(readCommand(headerOf(entryTypes.transaction, 2), Buffer.alloc(4)), 'unknown')
  assert.equal(readCommand(headerOf(entryTypes.noOp), Buffer.alloc(0)), null)
})
