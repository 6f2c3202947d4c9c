/**
 * A small model of what Raft does with its membership: one configuration, members that live or do not, a log that
 * reaches those that live, changes under Raft's own rules. It checks that nobody asks for anything dangerous.
 */

import assert from 'node:assert/strict'
import type { Membership } from '../../src/runtime/raft/membership.ts'
import { firstStep, membershipProblem } from '../../src/runtime/raft/membership.ts'
import type { Configuration } from '../../src/runtime/raft/messages.ts'
import { isVoter, membersOf } from '../../src/runtime/raft/quorum.ts'
import type { ChangeOutcome } from '../../src/runtime/raft/ready.ts'
import type { MemberProgress } from '../../src/runtime/store/raft-store.ts'

const READY_LAG = 1_000

export class MembershipModel {
  configuration: Configuration
  leader: number
  lastIndex = 5_000
  changes = 0
  transfers = 0
  readonly dead = new Set<number>()
  /** Entries that each lacks; those that live catch up. */
  readonly lag = new Map<number, number>()

  constructor(founder: number) {
    this.configuration = { voters: [founder], outgoing: [], learners: [] }
    this.leader = founder
  }

  isAlive(id: number): boolean {
    return !this.dead.has(id)
  }

  get hasQuorum(): boolean {
    const { voters, outgoing } = this.configuration
    return [voters, outgoing].every(half => half.length === 0 || this.#liveOf(half) > half.length / 2)
  }

  get progress(): readonly MemberProgress[] {
    return membersOf(this.configuration)
      .filter(id => id !== this.leader)
      .map(id => ({
        member: id,
        match: this.lastIndex - (this.lag.get(id) ?? 0),
        silentMs: this.isAlive(id) ? 20 : 60_000,
        snapshot: false,
      }))
  }

  changeMembership(target: Membership): ChangeOutcome {
    const why = membershipProblem(target)
    if (why !== null) return { kind: 'invalid', why }
    if (this.configuration.outgoing.length > 0) return { kind: 'busy' }
    const lagging = target.voters.find(id => !isVoter(this.configuration, id) && !this.#isReady(id))
    if (lagging !== undefined) return { kind: 'not-ready', member: lagging }
    assert.equal(target.voters.length % 2, 1, 'an even number of voters never helps')
    assert.ok(this.#liveOf(target.voters) > target.voters.length / 2, 'the new voters have a live majority')
    const dropped = this.configuration.voters.filter(
      id => !target.voters.includes(id) && !target.learners.includes(id),
    )
    assert.deepEqual(dropped, [], 'a voter learns that it votes no longer before it goes')
    for (const id of target.learners) if (!membersOf(this.configuration).includes(id)) this.lag.set(id, 4_000)
    this.configuration = firstStep(this.configuration, target)
    this.changes++
    this.lastIndex++
    return { kind: 'accepted', firstIndex: this.lastIndex, term: 1 }
  }

  transfer(target: number): boolean {
    if (!this.configuration.voters.includes(target) || !this.isAlive(target)) return false
    this.leader = target
    this.transfers++
    return true
  }

  /** Time passes: changes are committed, the log travels, a leader that is gone has a successor. */
  advance(): void {
    if (!this.isAlive(this.leader)) this.#elect()
    if (!this.hasQuorum) return
    this.configuration = { ...this.configuration, outgoing: [] }
    for (const [id, lag] of this.lag) if (this.isAlive(id)) this.lag.set(id, lag > 1_500 ? lag - 1_500 : 0)
    if (!isVoter(this.configuration, this.leader)) this.#elect()
  }

  #elect(): void {
    const heir = this.configuration.voters.find(id => this.isAlive(id))
    if (heir !== undefined && this.hasQuorum) this.leader = heir
  }

  #isReady(id: number): boolean {
    const known = membersOf(this.configuration).includes(id)
    return known && this.isAlive(id) && (this.lag.get(id) ?? 0) <= READY_LAG
  }

  #liveOf(ids: readonly number[]): number {
    return ids.filter(id => this.isAlive(id)).length
  }
}
