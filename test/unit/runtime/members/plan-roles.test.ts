import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import type { MemberRecord, MemberRole } from '../../../../src/runtime/members/member-record.ts'
import { planRoles, type RoleFacts } from '../../../../src/runtime/members/plan-roles.ts'
import { MembershipModel } from '../../../support/membership-model.ts'

const STEPS_MAX = 60

function record(id: number, over: Partial<MemberRecord> = {}): MemberRecord {
  const at = (port: number) => ({ host: `10.0.0.${id}`, port })
  return {
    id,
    nodeName: `n${id}`,
    peerAddresses: [at(19001)],
    apiAddress: at(16443),
    joinAddress: at(25000),
    failureDomain: '',
    role: 'spare',
    entryVersion: 1,
    joinedAt: new Date(id * 1_000).toISOString(),
    leaving: false,
    ...over,
  }
}

/** Servers with their records, over the model of Raft, with the planner in charge. */
class Cluster {
  readonly raft = new MembershipModel(1)
  readonly records = new Map<number, MemberRecord>([[1, record(1, { role: 'voter' })]])
  votersWanted = 3

  join(id: number, failureDomain = ''): this {
    this.records.set(id, record(id, { failureDomain }))
    return this
  }

  leave(id: number): this {
    const found = this.records.get(id)
    assert.ok(found)
    this.records.set(id, { ...found, leaving: true })
    return this
  }

  facts(): RoleFacts {
    return {
      records: [...this.records.values()],
      configuration: this.raft.configuration,
      leader: this.raft.leader,
      lastIndex: this.raft.lastIndex,
      progress: this.raft.progress,
      watchedMs: () => 60_000,
      votersWanted: this.votersWanted,
    }
  }

  /** True when there was nothing to do. */
  step(): boolean {
    const step = planRoles(this.facts())
    if (step.type === 'none') return step.settled
    if (step.type === 'change-membership') {
      const { kind } = this.raft.changeMembership(step.target)
      assert.ok(kind === 'accepted' || kind === 'busy', `a plan that Raft refuses: ${kind}`)
    } else if (step.type === 'transfer') assert.ok(this.raft.transfer(step.target))
    else if (step.type === 'forget') this.records.delete(step.record.id)
    else for (const [id, role] of step.roles) this.setRole(id, role)
    return false
  }

  setRole(id: number, role: MemberRole): void {
    const found = this.records.get(id)
    assert.ok(found && found.role !== role, 'a role is written only where it changes')
    this.records.set(id, { ...found, role })
  }

  /** Steps until nothing is left to do. */
  settle(): this {
    for (let steps = 0; steps < STEPS_MAX; steps++) {
      this.raft.advance()
      assert.ok(this.raft.hasQuorum, 'a plan never costs the quorum')
      if (this.step()) return this
    }
    return assert.fail('it does not come to an end')
  }

  roles(): string {
    const of = (role: MemberRole) =>
      [...this.records.values()].filter(each => each.role === role).map(({ id }) => id)
    return [of('voter'), of('standby'), of('spare')].map(ids => ids.join(',')).join(' | ')
  }
}

const cluster = (servers: number): Cluster => {
  const made = new Cluster()
  for (let id = 2; id <= servers; id++) made.join(id)
  return made.settle()
}

test('one voter up to two servers, three from three on, then three standbys, then spares', () => {
  const roles = [1, 2, 3, 4, 5, 6, 7].map(servers => cluster(servers).roles())
  assert.deepEqual(roles, [
    '1 |  | ',
    '1 | 2 | ',
    '1,2,3 |  | ',
    '1,2,3 | 4 | ',
    '1,2,3 | 4,5 | ',
    '1,2,3 | 4,5,6 | ',
    '1,2,3 | 4,5,6 | 7',
  ])
})

test('five voters where they are asked for, three as long as there are fewer than five servers', () => {
  const made = new Cluster()
  made.votersWanted = 5
  for (const id of [2, 3, 4]) made.join(id)
  assert.equal(made.settle().roles(), '1,2,3 | 4 | ')
  for (const id of [5, 6]) made.join(id)
  assert.equal(made.settle().roles(), '1,2,3,4,5 | 6 | ')
  made.raft.dead.add(4).add(5)
  assert.deepEqual(made.settle().raft.configuration.voters, [1, 2, 3, 4, 6], 'the standby takes a place')
  made.raft.dead.add(6)
  assert.deepEqual(
    made.settle().raft.configuration.voters,
    [1, 2, 3],
    'three that live beat five of which two do not',
  )
})

test('a lost voter is replaced, a spare moves up, and who returns takes the role that is free', () => {
  const made = cluster(7)
  made.raft.dead.add(2)
  assert.equal(made.settle().roles(), '1,3,4 | 5,6,7 | 2')
  made.raft.dead.add(5)
  assert.equal(made.settle().roles(), '1,3,4 | 5,6,7 | 2', 'nobody better is left for its role')
  const { changes } = made.raft
  made.raft.dead.clear()
  assert.equal(made.settle().roles(), '1,3,4 | 5,6,7 | 2')
  assert.equal(made.raft.changes, changes, 'nobody swaps for the sake of it')
})

test('the leader may be the one that is lost', () => {
  const made = cluster(4)
  made.raft.dead.add(1)
  assert.equal(made.settle().roles(), '2,3,4 | 1 | ')
  assert.notEqual(made.raft.leader, 1)
})

test('without anybody to take its place a lost voter keeps it', () => {
  const made = cluster(3)
  made.raft.dead.add(3)
  assert.equal(made.settle().roles(), '1,2,3 |  | ')
})

test('voters are spread over failure domains, and a standby of the lost one’s domain is not preferred', () => {
  const made = new Cluster()
  made.records.set(1, record(1, { role: 'voter', failureDomain: 'a' }))
  made.join(2, 'a').join(3, 'a').settle()
  assert.equal(made.roles(), '1,2,3 |  | ')
  assert.deepEqual(made.join(4, 'b').join(5, 'c').settle().raft.configuration.voters, [1, 4, 5])
  made.raft.dead.add(5)
  made.join(6, 'b').settle()
  made.join(7, 'd').settle()
  assert.deepEqual(made.raft.configuration.voters, [1, 4, 7])
})

test('who leaves votes no longer before it goes, and leadership is handed over first', () => {
  const made = cluster(3).leave(1).settle()
  assert.equal(made.roles(), `${made.raft.leader} | ${made.raft.leader === 2 ? 3 : 2} | `)
  assert.equal(made.raft.transfers, 1)
  assert.equal(made.raft.configuration.learners.includes(1), false)
  const pair = cluster(2).leave(1).settle()
  assert.deepEqual(pair.raft.configuration, { voters: [2], outgoing: [], learners: [] })
  assert.equal(pair.roles(), '2 |  | ')
})

test('a member without a record goes, a record without a member comes, one that was never in is forgotten', () => {
  const made = cluster(4)
  made.records.delete(4)
  made.join(9).leave(9)
  assert.equal(made.settle().roles(), '1,2,3 |  | ')
  assert.deepEqual(made.raft.configuration.learners, [])
  made.records.delete(3)
  made.settle()
  assert.deepEqual(made.raft.configuration, { voters: [1], outgoing: [], learners: [2] })
})

test('nobody is promoted before it has the log, nor while it is too early to tell who lives', () => {
  const made = new Cluster().join(2).join(3)
  for (let steps = 0; steps < 3; steps++) made.step()
  made.raft.lag.set(3, 4_000)
  made.raft.lag.set(2, 0)
  const step = planRoles(made.facts())
  assert.deepEqual(step, { type: 'none', settled: false })
  made.raft.lag.set(3, 0)
  const unheard = made.raft.progress.map(progress => ({ ...progress, silentMs: null }))
  const early = planRoles({ ...made.facts(), progress: unheard, watchedMs: () => 100 })
  assert.deepEqual(early, { type: 'none', settled: false })
  assert.equal(planRoles(made.facts()).type, 'change-membership')
})

type Happening = { readonly kind: 'join' | 'kill' | 'revive' | 'leave' | 'forget'; readonly id: number }

const happening: fc.Arbitrary<Happening> = fc.record({
  kind: fc.constantFrom('join', 'join', 'kill', 'revive', 'leave', 'forget'),
  id: fc.integer({ min: 1, max: 8 }),
})

/** Whether there would still be a quorum, and somebody left. */
function isBearable(made: Cluster, { kind, id }: Happening): boolean {
  const known = made.records.get(id)
  if (kind === 'join') return known === undefined && made.raft.isAlive(id)
  if (known === undefined) return false
  if (kind === 'revive') return true
  const liveVoters = made.raft.configuration.voters.filter(each => made.raft.isAlive(each))
  const others = [...made.records.values()].filter(
    each => each.id !== id && !each.leaving && liveVoters.includes(each.id),
  )
  if (others.length === 0) return false
  if (kind !== 'kill') return true
  const left = liveVoters.filter(each => each !== id).length
  return left > made.raft.configuration.voters.length / 2
}

function apply(made: Cluster, { kind, id }: Happening): void {
  if (kind === 'join') made.join(id)
  else if (kind === 'kill') made.raft.dead.add(id)
  else if (kind === 'revive') made.raft.dead.delete(id)
  else if (kind === 'leave') made.leave(id)
  else made.records.delete(id)
}

test('whatever happens, it comes to an end with the right number of voters, each alive if that can be had', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(happening, fc.integer({ min: 0, max: 4 })), { maxLength: 25 }),
      fc.constantFrom(3, 5),
      (happenings, votersWanted) => {
        const made = new Cluster()
        made.votersWanted = votersWanted
        for (const [each, pause] of happenings) {
          if (!isBearable(made, each)) continue
          apply(made, each)
          for (let steps = 0; steps < pause; steps++) {
            made.raft.advance()
            made.step()
          }
          // What was begun may need both halves of a change, which a further loss would break in any cluster.
          made.settle()
        }
        made.settle()
        checkSettled(made)
      },
    ),
    { numRuns: 300 },
  )
})

function checkSettled(made: Cluster): void {
  const { voters, learners, outgoing } = made.raft.configuration
  const records = [...made.records.values()].filter(({ leaving }) => !leaving)
  assert.deepEqual(outgoing, [])
  assert.deepEqual(
    [...voters, ...learners].toSorted(),
    records.map(({ id }) => id).toSorted(),
    'a member for each record',
  )
  const live = records.filter(({ id }) => made.raft.isAlive(id))
  const full = records.length < 3 ? 1 : records.length < 5 ? 3 : made.votersWanted
  assert.ok(voters.length <= full && voters.length % 2 === 1)
  if (live.length >= full) {
    assert.equal(voters.length, full)
    assert.ok(voters.every(id => made.raft.isAlive(id)))
  }
  for (const { id, role } of records) assert.equal(role === 'voter', voters.includes(id))
  const standbys = records.filter(({ role }) => role === 'standby')
  assert.equal(standbys.length, Math.min(3, learners.length))
  const { changes } = made.raft
  made.settle()
  assert.equal(made.raft.changes, changes, 'doing it again changes nothing')
}

test('who stops is replaced while it still lives, and by nobody when there is no standby', () => {
  const stop = (made: Cluster, id: number, stopped: boolean) => {
    const { stopped: _before, ...rest } = made.records.get(id) ?? record(id)
    made.records.set(id, { ...rest, ...(stopped && { stopped: true }) })
  }
  const made = cluster(5)
  stop(made, 1, true)
  assert.equal(made.settle().roles(), '2,3,4 | 1,5 | ')
  assert.notEqual(made.raft.leader, 1, 'leadership went first')
  stop(made, 1, false)
  assert.equal(made.settle().roles(), '2,3,4 | 1,5 | ')
  const three = cluster(3)
  stop(three, 2, true)
  assert.equal(three.settle().roles(), '1,2,3 |  | ')
  const two = cluster(2)
  stop(two, 1, true)
  assert.equal(two.settle().roles(), '2 | 1 | ')
})
