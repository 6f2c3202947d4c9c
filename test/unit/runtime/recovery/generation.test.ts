/** What a new generation of the cluster begins with. */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { NodeConfig } from '../../../../src/config/node-config.ts'
import { TOKENS_PREFIX } from '../../../../src/runtime/join/tokens.ts'
import {
  decodeMember,
  encodeMember,
  type MemberRecord,
  memberKey,
} from '../../../../src/runtime/members/member-record.ts'
import { firstOperations, planRecovery } from '../../../../src/runtime/recovery/generation.ts'
import { StateMachine } from '../../../../src/runtime/store/mvcc/state-machine.ts'
import type { StoreFound } from '../../../../src/runtime/store/recover-store.ts'
import type { Operation } from '../../../../src/runtime/store/store.ts'

const config: NodeConfig = {
  dataDir: '/data',
  clusterId: 'old',
  memberId: 10,
  role: 'server',
  failureDomain: 'rack-1',
  nodeName: 'a',
  bindAddress: '192.0.2.1',
  ports: { api: 16443, join: 25000, raft: 19001, kubelet: 10250 },
  runtime: 'simulated',
  runtimeReason: '',
  criSocket: '',
  etcdListen: 'off',
  logLevel: 'info',
}

const record = (id: number, nodeName: string, over: Partial<MemberRecord> = {}): MemberRecord => {
  const at = (port: number) => ({ host: `192.0.2.${id}`, port })
  return {
    id,
    nodeName,
    peerAddresses: [at(19001)],
    apiAddress: at(16443),
    joinAddress: at(25000),
    failureDomain: '',
    role: 'standby',
    entryVersion: 3,
    joinedAt: '2026-01-01T00:00:00.000Z',
    leaving: false,
    ...over,
  }
}

const found: StoreFound = {
  member: 10,
  clusterId: 'old',
  term: 4,
  lastTerm: 4,
  lastIndex: 20,
  commit: 17,
  revision: 9,
  keys: 5,
  membership: { voters: [10, 11, 12], outgoing: [], learners: [] },
}

function stateOf(records: readonly MemberRecord[], tokens = 0): StateMachine {
  const state = new StateMachine()
  const put = (key: string, value: Buffer): Operation => ({ type: 'put', key, value })
  const operations = [
    ...records.map(each => put(memberKey(each.id), encodeMember(each))),
    ...Array.from({ length: tokens }, (_, at) => put(`${TOKENS_PREFIX}${at}`, Buffer.from('\x01{}'))),
  ]
  const command = { type: 'transaction', transaction: { compares: [], operations } } as const
  state.apply({ index: 1, proposer: 0, request: 0, command })
  return state
}

const operationsOn = (state: StateMachine, over: Partial<StoreFound> = {}) =>
  firstOperations(config, new Date(0), state, { ...found, ...over })

test('the survivor is the only member, a voter where it is now, and tokens are void', () => {
  const state = stateOf([record(10, 'a', { leaving: true }), record(11, 'b'), record(12, 'c')], 2)
  const operations = operationsOn(state)
  const [own, ...rest] = operations
  assert.ok(own?.type === 'put')
  const { role, leaving, peerAddresses, entryVersion, joinedAt } = decodeMember(own)
  assert.deepEqual([role, leaving, entryVersion, joinedAt], ['voter', false, 3, '2026-01-01T00:00:00.000Z'])
  assert.deepEqual(peerAddresses, [{ host: '192.0.2.1', port: 19001 }])
  assert.deepEqual(
    rest.map(({ type, key }) => [type, key]),
    [
      ['delete', memberKey(11)],
      ['delete', memberKey(12)],
      ['delete', `${TOKENS_PREFIX}0`],
      ['delete', `${TOKENS_PREFIX}1`],
    ],
  )
})

test('the plan says who is cut off and how much is uncertain', () => {
  const plan = planRecovery(config, 'new', stateOf([record(10, 'a'), record(11, 'b')], 1), found)
  assert.deepEqual(
    [plan.uncertain, plan.joinTokens, plan.others.map(({ nodeName }) => nodeName)],
    [3, 1, ['b']],
  )
})

test('data of another member, or of one that was removed, is refused', () => {
  assert.throws(() => operationsOn(stateOf([record(11, 'b')])), { code: 'refused' })
  assert.throws(() => operationsOn(stateOf([record(10, 'a')]), { member: 99 }), { code: 'store/corrupt' })
})
