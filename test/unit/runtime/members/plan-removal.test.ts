import assert from 'node:assert/strict'
import test from 'node:test'
import type { MemberRecord } from '../../../../src/runtime/members/member-record.ts'
import { removalProblem } from '../../../../src/runtime/members/plan-removal.ts'

const record = (id: number, over: Partial<MemberRecord> = {}): MemberRecord => ({
  id,
  nodeName: `n${id}`,
  peerAddresses: [{ host: `10.0.0.${id}`, port: 19001 }],
  apiAddress: { host: `10.0.0.${id}`, port: 16443 },
  joinAddress: { host: `10.0.0.${id}`, port: 25000 },
  failureDomain: '',
  role: 'voter',
  entryVersion: 1,
  joinedAt: new Date(id).toISOString(),
  leaving: false,
  ...over,
})

interface Situation {
  readonly servers: number
  readonly voters: readonly number[]
  readonly dead?: readonly number[]
  readonly leaving?: readonly number[]
}

function problem(target: number, { servers, voters, dead = [], leaving = [] }: Situation) {
  const ids = Array.from({ length: servers }, (_, at) => at + 1)
  const records = ids.map(id => record(id, { leaving: leaving.includes(id) }))
  const learners = ids.filter(id => !voters.includes(id))
  const leader = voters.find(id => !dead.includes(id)) ?? 0
  return removalProblem({
    target: record(target),
    records,
    configuration: { voters, outgoing: [], learners },
    leader,
    votersWanted: 3,
    isAlive: id => !dead.includes(id),
  })
}

test('the only copy never goes, and what to do instead is said', () => {
  const only = problem(1, { servers: 1, voters: [1] })
  assert.equal(only?.code, 'refused')
  assert.match(only?.why ?? '', /the only server of the cluster/)
  assert.match(only?.hint ?? '', /mk8s add-node.*mk8s uninstall/)
  const lastLiving = problem(1, { servers: 2, voters: [1], dead: [2] })
  assert.match(lastLiving?.why ?? '', /only living copy/)
  assert.equal(lastLiving?.hint, 'start n2 first')
  const others = problem(1, { servers: 2, voters: [1], leaving: [2] })
  assert.match(others?.why ?? '', /only server/, 'one that is leaving does not count')
})

test('the living and the dead may go as long as a majority lives, before and after', () => {
  assert.equal(problem(2, { servers: 2, voters: [1] }), null)
  assert.equal(problem(1, { servers: 2, voters: [1] }), null, 'the standby takes over')
  assert.equal(problem(2, { servers: 2, voters: [1], dead: [2] }), null)
  for (const target of [1, 2, 3]) assert.equal(problem(target, { servers: 3, voters: [1, 2, 3] }), null)
  assert.equal(problem(3, { servers: 3, voters: [1, 2, 3], dead: [3] }), null)
  assert.equal(problem(2, { servers: 3, voters: [1, 2, 3], dead: [3] }), null, 'one voter is left, and alone')
})

test('without a majority nothing can be changed', () => {
  const lost = problem(2, { servers: 3, voters: [1, 2, 3], dead: [2, 3] })
  assert.match(lost?.why ?? '', /too few/)
  assert.match(lost?.hint ?? '', /start n3, or take them out first: mk8s remove-node n3 --force/)
})
