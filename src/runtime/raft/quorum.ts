/** Who has a majority. In joint consensus both halves must have one. */
import type { Configuration, MemberId } from './messages.ts'

export function isVoter(configuration: Configuration, id: MemberId): boolean {
  return configuration.voters.includes(id) || configuration.outgoing.includes(id)
}

export function isOnlyVoter(configuration: Configuration, id: MemberId): boolean {
  const { voters, outgoing } = configuration
  return voters.length === 1 && voters[0] === id && outgoing.every(other => other === id)
}

/** Nobody else is in the cluster, so nobody has to be heard or told. */
export function isAlone(configuration: Configuration, id: MemberId): boolean {
  return isOnlyVoter(configuration, id) && configuration.learners.length === 0
}

export function sameMembers(one: readonly MemberId[], other: readonly MemberId[]): boolean {
  return one.length === other.length && one.every(id => other.includes(id))
}

/** All members, each once. */
export function membersOf({ voters, outgoing, learners }: Configuration): MemberId[] {
  return [...new Set([...voters, ...outgoing, ...learners])]
}

/** All who vote but `id`. */
export function otherVoters(configuration: Configuration, id: MemberId): MemberId[] {
  return membersOf(configuration).filter(other => other !== id && isVoter(configuration, other))
}

/** The greatest value that a quorum has reached. */
export function quorumValue(configuration: Configuration, reached: (id: MemberId) => number): number {
  return Math.min(
    majorityValue(configuration.voters, reached),
    majorityValue(configuration.outgoing, reached),
  )
}

function majorityValue(voters: readonly MemberId[], reached: (id: MemberId) => number): number {
  if (voters.length === 0) return Number.POSITIVE_INFINITY
  const values = voters.map(reached).sort((a, b) => b - a)
  return values[Math.floor(voters.length / 2)] as number
}

export type VoteOutcome = 'won' | 'lost' | 'pending'

/** What the votes received so far amount to. */
export function countVotes(configuration: Configuration, votes: ReadonlyMap<MemberId, boolean>): VoteOutcome {
  const halves = [configuration.voters, configuration.outgoing].filter(half => half.length > 0)
  const outcomes = halves.map(half => countHalf(half, votes))
  if (outcomes.includes('lost')) return 'lost'
  return outcomes.every(outcome => outcome === 'won') ? 'won' : 'pending'
}

function countHalf(voters: readonly MemberId[], votes: ReadonlyMap<MemberId, boolean>): VoteOutcome {
  const majority = Math.floor(voters.length / 2) + 1
  const granted = voters.filter(id => votes.get(id) === true).length
  const refused = voters.filter(id => votes.get(id) === false).length
  if (granted >= majority) return 'won'
  return voters.length - refused < majority ? 'lost' : 'pending'
}
