/** Keeps the membership what it should be, as an operator with a script would: asks whoever leads, again and again. */
import type { MemberId } from '../../src/runtime/raft/messages.ts'
import { sameMembers } from '../../src/runtime/raft/quorum.ts'
import type { Member } from './member.ts'
import type { World } from './world.ts'

const ASK_EVERY = 150
const VOTERS_MAX = 5

export interface OperatorParts {
  readonly world: World
  readonly members: Map<MemberId, Member>
  readonly create: (id: MemberId) => Member
}

export class Operator {
  readonly #parts: OperatorParts
  /** Who should vote, and who only learns. */
  voters: MemberId[]
  learners: MemberId[] = []
  #lastId: number
  settled = 0

  constructor(parts: OperatorParts, voters: number) {
    this.#parts = parts
    this.voters = Array.from({ length: voters }, (_, at) => at + 1)
    this.#lastId = voters
    for (const id of this.voters) parts.create(id)
    this.#ask()
  }

  /** Whoever leads the latest term. */
  get leader(): Member | undefined {
    const leaders = [...this.#parts.members.values()].filter(({ life }) => life?.raft?.role === 'leader')
    return leaders.sort((a, b) => (b.life?.raft?.term ?? 0) - (a.life?.raft?.term ?? 0))[0]
  }

  /** Another idea of who should vote: up to three differ. */
  churn(): void {
    const { world, members, create } = this.#parts
    const pick = () => Math.floor(world.random('churn').float() * 5)
    const leaving = world.pick('churn', this.voters)
    const change = pick()
    // One whose disk is damaged is as good as lost, noticed or not: of two, the other could not go on.
    const least = [...members.values()].some(({ rotten }) => rotten) ? 3 : 1
    if (change === 0 && this.voters.length > least) this.voters = this.voters.filter(id => id !== leaving)
    if (change === 1 && this.voters.length < VOTERS_MAX)
      this.voters = [...this.voters, create(++this.#lastId).id]
    if (change === 2) this.voters = this.voters.map(id => (id === leaving ? create(++this.#lastId).id : id))
    if (change === 3) this.learners = this.learners.length > 0 ? [] : [create(++this.#lastId).id]
    if (change === 4 && this.voters.length === 3) {
      this.voters = [leaving ?? 1, create(++this.#lastId).id, create(++this.#lastId).id]
    }
    this.replaceBroken()
    world.trace(() => `wanted: voters ${this.voters}, learners ${this.learners} of ${[...members.keys()]}`)
  }

  /** A member whose disk is damaged never comes back; another takes its place. */
  replaceBroken(): void {
    const { members, create } = this.#parts
    this.voters = this.voters.map(id => (members.get(id)?.broken ? create(++this.#lastId).id : id))
    this.learners = this.learners.filter(id => !members.get(id)?.broken)
  }

  #ask(): void {
    this.#parts.world.after(ASK_EVERY, () => {
      this.#step()
      this.#ask()
    })
  }

  #step(): void {
    const { world } = this.#parts
    const { replica, raft } = this.leader?.life ?? {}
    if (!replica || !raft || raft.configuration.outgoing.length > 0) return
    const { voters, learners } = raft.configuration
    if (sameMembers(voters, this.voters) && sameMembers(learners, this.learners)) {
      if (raft.configurationIndex <= raft.log.committed) this.#retire(raft.configuration)
      return
    }
    // Who is to vote learns first; everything else can change at once.
    const all = [...this.voters, ...this.learners].filter(id => !voters.includes(id))
    const outcome = replica.changeMembership({ voters: this.voters, learners: this.learners })
    if (outcome.kind === 'accepted') world.trace(() => `change to voters ${this.voters} + ${this.learners}`)
    if (outcome.kind !== 'not-ready' || all.every(id => learners.includes(id))) return
    const begun = replica.changeMembership({ voters, learners: [...new Set([...this.learners, ...all])] })
    if (begun.kind === 'accepted') world.trace(() => `${all} learn first`)
  }

  /** Members that left are stopped after a while; until then they are as disruptive as they can be. */
  #retire({
    voters,
    learners,
  }: {
    readonly voters: readonly MemberId[]
    readonly learners: readonly MemberId[]
  }): void {
    this.settled++
    const { world, members } = this.#parts
    for (const [id, member] of members) {
      if (voters.includes(id) || learners.includes(id) || this.voters.includes(id)) continue
      if (!world.chance('churn', 0.05)) continue
      member.crash('kill')
      members.delete(id)
      world.trace(() => `member ${id} is gone for good`)
    }
  }
}
