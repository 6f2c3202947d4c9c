import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Command, CommandResult } from '../../../../../src/runtime/store/mvcc/command.ts'
import { recallResult } from '../../../../../src/runtime/store/mvcc/recall.ts'
import { StateMachine } from '../../../../../src/runtime/store/mvcc/state-machine.ts'

class Proposer {
  readonly state = new StateMachine()
  #index = 0

  apply(request: number, command: Command): CommandResult {
    return this.state.apply({ index: ++this.#index, proposer: 7, request, command }).result
  }

  /** Applies it a second time, and recalls what came of the first. */
  recall(request: number, command: Command): CommandResult | null {
    const result = this.apply(request, command)
    assert.ok(result.kind === 'duplicate')
    return recallResult(command, result.remembered, this.state)
  }
}

const put = (...keys: string[]): Command => ({
  type: 'transaction',
  transaction: {
    compares: [],
    operations: keys.map(key => ({ type: 'put', key, value: Buffer.from(`of ${key}`) })),
  },
})

test('a transaction that was applied before answers as it would have, until it is compacted', () => {
  const proposer = new Proposer()
  const first = proposer.apply(1, put('/a', '/b'))
  proposer.apply(2, put('/a'))
  assert.deepEqual(proposer.recall(1, put('/a', '/b')), first)
  const deletion: Command = {
    type: 'transaction',
    transaction: { compares: [], operations: [{ type: 'delete', key: '/none' }] },
  }
  const nothing = proposer.apply(3, deletion)
  assert.deepEqual(proposer.recall(3, deletion), nothing)
  const compaction: Command = { type: 'compaction', revision: proposer.state.revision }
  const compacted = proposer.apply(4, compaction)
  assert.deepEqual(proposer.recall(4, compaction), compacted)
  assert.equal(proposer.recall(1, put('/a', '/b')), null)
})

test('what is not remembered is not made up', () => {
  const proposer = new Proposer()
  const refused: Command = {
    type: 'transaction',
    transaction: { compares: [{ key: '/a', target: 'mod-revision', equals: 9 }], operations: [] },
  }
  proposer.apply(1, refused)
  assert.equal(proposer.recall(1, refused), null)
})

test('leases are recalled by the entry that granted them', () => {
  const proposer = new Proposer()
  const grant: Command = { type: 'lease-grant', ttlMs: 1_000 }
  const granted = proposer.apply(1, grant)
  assert.ok(granted.kind === 'leased')
  assert.deepEqual(proposer.recall(1, grant), granted)
  const revocation: Command = { type: 'lease-revocation', lease: granted.lease }
  const revoked = proposer.apply(2, revocation)
  assert.deepEqual(proposer.recall(2, revocation), revoked)
  assert.equal(proposer.recall(1, grant), null, 'it is gone')
})
