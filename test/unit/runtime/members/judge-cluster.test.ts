import assert from 'node:assert/strict'
import test from 'node:test'
import { durationText, judgeCluster } from '../../../../src/runtime/members/judge-cluster.ts'
import type { MemberAnswer } from '../../../../src/runtime/members/member-answer.ts'
import type { MemberRecord } from '../../../../src/runtime/members/member-record.ts'

interface Shape {
  readonly voters: readonly number[]
  readonly learners?: readonly number[]
  readonly leader: number
  /** Of those that the leader has not heard of lately. */
  readonly silent?: Readonly<Record<number, number>>
  readonly domains?: Readonly<Record<number, string>>
}

function answer(id: number, shape: Shape, over: Partial<MemberAnswer> = {}): MemberAnswer {
  const { voters, learners = [], leader, silent = {} } = shape
  const ids = [...voters, ...learners]
  return {
    id,
    nodeName: `n${id}`,
    version: '0.1.0',
    clusterId: 'c',
    timeMs: 0,
    term: 3,
    leader,
    lastIndex: 100,
    commit: 100,
    applied: 100,
    revision: 50,
    configuration: { voters, outgoing: [], learners },
    records: ids.toSorted((a, b) => a - b).map(each => recordOf(each, shape)),
    progress:
      id === leader
        ? ids
            .filter(each => each !== id)
            .map(member => ({ member, match: 98, silentMs: silent[member] ?? 30, snapshot: false }))
        : [],
    settled: null,
    ...over,
  }
}

function recordOf(id: number, { voters, domains = {} }: Shape): MemberRecord {
  const at = (port: number) => ({ host: `10.0.0.${id}`, port })
  return {
    id,
    nodeName: `n${id}`,
    peerAddresses: [at(19001)],
    apiAddress: at(16443),
    joinAddress: at(25000),
    failureDomain: domains[id] ?? '',
    role: voters.includes(id) ? 'voter' : 'standby',
    entryVersion: 1,
    joinedAt: '2026-01-01T00:00:00Z',
    leaving: false,
  }
}

const judge = (self: number, others: readonly number[], shape: Shape) =>
  judgeCluster({ self: answer(self, shape), answers: others.map(id => answer(id, shape)), asked: true })

test('one, two and three servers that all live', () => {
  const one = judge(1, [], { voters: [1], leader: 1 })
  assert.equal(
    one.highAvailability.why,
    'the datastore has one member; it survives the loss of a machine from three on',
  )
  const two = judge(2, [1], { voters: [1], learners: [2], leader: 1 })
  assert.equal(two.highAvailability.why, '2 servers: losing n1, the only voter, stops writes; add a third')
  const three = judge(2, [1, 3], { voters: [1, 2, 3], leader: 1 })
  assert.deepEqual(three.highAvailability, {
    enabled: true,
    state: 'yes',
    why: '3 voters: any one server may be lost',
  })
  assert.deepEqual([three.role, three.leader], ['follower', '10.0.0.1:19001'])
  assert.deepEqual(
    three.members.map(({ lag }) => lag),
    [0, 2, 2],
  )
})

test('a server that only the leader cannot reach says so of itself', () => {
  const shape = { voters: [1, 2, 3], leader: 1 }
  const { highAvailability } = judgeCluster({
    self: answer(2, shape, { leader: 0 }),
    answers: [answer(3, shape)],
    asked: true,
  })
  assert.match(highAvailability.why, /^this server hears nothing of the leader n1; n2 does not answer/)
})

test('a voter that is silent makes it degraded, and says since when and what must not happen now', () => {
  const { highAvailability, members, healthy } = judge(1, [2], {
    voters: [1, 2, 3],
    leader: 1,
    silent: { 3: 12_300 },
  })
  assert.equal(healthy, true)
  assert.deepEqual(highAvailability, {
    enabled: false,
    state: 'degraded',
    why: 'n3 has not been heard of for 12 s; losing one more voter stops writes',
  })
  assert.deepEqual([members[2]?.alive, members[2]?.silentMs], [false, 12_300])
})

test('of five voters one may be silent and another one may be lost', () => {
  const shape = { voters: [1, 2, 3, 4, 5], leader: 1, silent: { 5: 200_000 } }
  const { highAvailability } = judge(2, [1, 3, 4], shape)
  assert.deepEqual(
    [highAvailability.enabled, highAvailability.why],
    [true, 'n5 has not been heard of for 3 min; 1 more may be lost'],
  )
})

test('a standby that is silent costs nothing yet, and is named', () => {
  const shape = { voters: [1, 2, 3], learners: [4], leader: 1, silent: { 4: 9_000 } }
  const { highAvailability } = judge(3, [1, 2], shape)
  assert.equal(highAvailability.state, 'yes')
  assert.match(highAvailability.why, /any one server may be lost; n4 has not been heard of for 9 s/)
})

test('without a quorum the one that is left says so, whatever its store still says of the others', () => {
  const { highAvailability, healthy, leader, role } = judge(1, [], { voters: [1, 2, 3], leader: 0 })
  assert.deepEqual([healthy, leader, role], [false, null, 'candidate'])
  assert.equal(
    highAvailability.why,
    '1 voter answers of 3: no writes until another one is back (silent: n2 and n3)',
  )
  const standby = judge(2, [], { voters: [1], learners: [2], leader: 0 })
  assert.equal(
    standby.highAvailability.why,
    'the only voter, n1, does not answer: no writes until it is back',
  )
  const electing = judge(1, [2], { voters: [1, 2, 3], leader: 0 })
  assert.match(electing.highAvailability.why, /no leader yet/)
})

test('one that Raft has cut off, but that reaches the others, tells what they know', () => {
  const cutOff = answer(3, { voters: [1, 2, 3], leader: 0 }, { term: 2, applied: 10, leader: 0 })
  const shape = { voters: [1, 2, 4], learners: [3], leader: 1, silent: { 3: 60_000 } }
  const status = judgeCluster({
    self: cutOff,
    answers: [1, 2, 4].map(id => answer(id, shape)),
    asked: true,
  })
  assert.deepEqual([status.healthy, status.leader, status.role], [true, '10.0.0.1:19001', 'candidate'])
  assert.deepEqual(
    status.members.map(({ role, alive }) => [role, alive]),
    [
      ['voter', true],
      ['voter', true],
      ['standby', false],
      ['voter', true],
    ],
  )
})

test('voters that fail together are told of, and three servers of which one votes say why', () => {
  const domains = { 1: 'rack-a', 2: 'rack-a', 3: 'rack-b' }
  const { highAvailability } = judge(1, [2, 3], { voters: [1, 2, 3], leader: 1, domains })
  assert.match(highAvailability.why, /but not all of the failure domain rack-a$/)
  const early = judge(1, [2, 3], { voters: [1], learners: [2, 3], leader: 1 })
  assert.equal(
    early.highAvailability.why,
    'n1 is the only voter: n2 and n3 will vote once they have all of the data',
  )
})

test('durations are read at a glance', () => {
  assert.deepEqual([900, 12_300, 119_400, 200_000, 8_000_000].map(durationText), [
    '1 s',
    '12 s',
    '119 s',
    '3 min',
    '2 h',
  ])
})
