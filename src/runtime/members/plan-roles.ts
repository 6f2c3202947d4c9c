/**
 * What has to be done next so that Raft's membership and the roles in the records become what they ought to be:
 * one step at a time, and nothing when all is well or has to be waited for. Pure; role-keeper.ts acts.
 */

import type { Membership } from '../raft/membership.ts'
import type { Configuration } from '../raft/messages.ts'
import { isVoter, membersOf, sameMembers } from '../raft/quorum.ts'
import type { MemberProgress } from '../store/raft-store.ts'
import { type Candidate, chooseVoters, type Liveness } from './choose-voters.ts'
import { type MemberRecord, type MemberRole, memberName } from './member-record.ts'

/** A member that was not heard of for so long is taken for dead; one that restarts is back sooner. */
export const SILENT_MS_MAX = 3_000
/** Servers that replicate and are the first to be promoted; whoever is left over is a spare. */
export const STANDBYS_MAX = 3
/** A server that lacks more entries than this is not promoted; Raft's own limit is the same. */
const READY_LAG_MAX = 1_000

export interface RoleFacts {
  readonly records: readonly MemberRecord[]
  readonly configuration: Configuration
  /** The member that plans: it leads. */
  readonly leader: number
  readonly lastIndex: number
  readonly progress: readonly MemberProgress[]
  /** For how long it has led with this member in the membership: before, its silence says nothing. */
  readonly watchedMs: (id: number) => number
  readonly votersWanted: number
}

export type RoleStep =
  /** Nothing to do; `settled` unless something is on its way. */
  | { readonly type: 'none'; readonly settled: boolean }
  | { readonly type: 'change-membership'; readonly target: Membership; readonly why: string }
  | { readonly type: 'transfer'; readonly target: number; readonly why: string }
  | { readonly type: 'record-roles'; readonly roles: ReadonlyMap<number, MemberRole> }
  /** It is out of the membership: its Node and its record go. */
  | { readonly type: 'forget'; readonly record: MemberRecord }

export function planRoles(facts: RoleFacts): RoleStep {
  const { configuration, records, leader } = facts
  // Somebody has to be in the records first: a cluster that begins, or a leader that nobody has told of yet.
  if (records.length === 0) return { type: 'none', settled: true }
  if (configuration.outgoing.length > 0) return { type: 'none', settled: false }
  if (!isVoter(configuration, leader)) return { type: 'none', settled: false }
  const members = membersOf(configuration)
  const gone = records.find(({ id, leaving }) => leaving && !members.includes(id))
  if (gone !== undefined) return { type: 'forget', record: gone }
  const candidates = candidatesOf(facts)
  const voters = chooseVoters(candidates, { leader, wanted: facts.votersWanted })
  return (
    planLearners(facts, candidates) ??
    planVoters(facts, candidates, voters) ??
    planRecords(facts, candidates) ?? { type: 'none', settled: !isUnderWay(candidates, configuration) }
  )
}

/** The servers that are to stay. */
export function candidatesOf(facts: RoleFacts): readonly Candidate[] {
  return facts.records.filter(({ leaving }) => !leaving).map(record => candidateOf(record, facts))
}

function candidateOf(record: MemberRecord, facts: RoleFacts): Candidate {
  const votes = isVoter(facts.configuration, record.id)
  // Who is about to stop, or has, is as good as gone.
  const liveness = record.stopped ? 'silent' : livenessOf(record.id, facts)
  const progress = facts.progress.find(({ member }) => member === record.id)
  const match = record.id === facts.leader ? facts.lastIndex : (progress?.match ?? 0)
  const lag = Math.max(0, facts.lastIndex - match)
  const hasLog = match > 0 && lag <= READY_LAG_MAX && progress?.snapshot !== true
  return { record, votes, liveness, lag, ready: liveness === 'alive' && hasLog }
}

export function livenessOf(
  id: number,
  { leader, progress, watchedMs }: Pick<RoleFacts, 'leader' | 'progress' | 'watchedMs'>,
): Liveness {
  if (id === leader) return 'alive'
  const silentMs = progress.find(({ member }) => member === id)?.silentMs ?? null
  if (silentMs !== null) return silentMs <= SILENT_MS_MAX ? 'alive' : 'silent'
  return watchedMs(id) <= SILENT_MS_MAX ? 'unknown' : 'silent'
}

/** Members that have no record, or are leaving, and vote no longer go; records that are no members yet come. */
function planLearners({ configuration }: RoleFacts, candidates: readonly Candidate[]): RoleStep | undefined {
  const { voters, learners } = configuration
  const staying = candidates.map(({ record }) => record.id)
  const added = staying.filter(id => !voters.includes(id) && !learners.includes(id))
  const removed = learners.filter(id => !staying.includes(id))
  if (added.length === 0 && removed.length === 0) return undefined
  const why = [
    ...(added.length > 0 ? [`${names(added)} joins`] : []),
    ...(removed.length > 0 ? [`${names(removed)} leaves`] : []),
  ]
  const target = { voters, learners: [...learners.filter(id => staying.includes(id)), ...added] }
  return { type: 'change-membership', target, why: why.join(', ') }
}

function planVoters(
  facts: RoleFacts,
  candidates: readonly Candidate[],
  chosen: readonly number[],
): RoleStep | undefined {
  const { configuration, leader } = facts
  const { voters, learners } = configuration
  if (chosen.length === 0 || sameMembers(voters, chosen)) return undefined
  if (!hasLiveMajority(facts, voters) || !hasLiveMajority(facts, chosen)) return undefined
  if (!chosen.includes(leader)) {
    const heirs = candidates.filter(
      ({ record, votes, ready }) => votes && ready && chosen.includes(record.id),
    )
    const heir = heirs.toSorted((a, b) => a.lag - b.lag)[0]?.record.id
    // Without one the change itself hands over: its last act is to name an heir among the new voters.
    if (heir !== undefined) return { type: 'transfer', target: heir, why: 'the leader is leaving' }
  }
  const promoted = chosen.filter(id => !voters.includes(id))
  const demoted = voters.filter(id => !chosen.includes(id))
  const target = { voters: chosen, learners: [...learners.filter(id => !chosen.includes(id)), ...demoted] }
  const why = [
    ...(promoted.length > 0 ? [`${names(promoted)} votes from now on`] : []),
    ...(demoted.length > 0 ? [`${names(demoted)} votes no longer`] : []),
  ]
  return { type: 'change-membership', target, why: why.join(', ') }
}

function hasLiveMajority(facts: RoleFacts, voters: readonly number[]): boolean {
  const live = voters.filter(id => livenessOf(id, facts) === 'alive')
  return live.length > voters.length / 2
}

function planRecords(facts: RoleFacts, candidates: readonly Candidate[]): RoleStep | undefined {
  const wanted = rolesOf(facts.configuration, candidates)
  const changed = candidates.flatMap(({ record }) => {
    const role = wanted.get(record.id)
    return role === undefined || role === record.role ? [] : [[record.id, role] as const]
  })
  return changed.length === 0 ? undefined : { type: 'record-roles', roles: new Map(changed) }
}

/** The role of every server that stays. Those that live come first, then those that are standbys already. */
function rolesOf(
  { voters }: Configuration,
  candidates: readonly Candidate[],
): ReadonlyMap<number, MemberRole> {
  const rank = ({ liveness, record }: Candidate) =>
    (liveness === 'silent' ? 2 : 0) + (record.role === 'standby' ? 0 : 1)
  const others = candidates
    .filter(({ record }) => !voters.includes(record.id))
    .toSorted((a, b) => rank(a) - rank(b) || byAge(a.record, b.record))
  return new Map<number, MemberRole>([
    ...voters.map(id => [id, 'voter'] as const),
    ...others.map(({ record }, at) => [record.id, at < STANDBYS_MAX ? 'standby' : 'spare'] as const),
  ])
}

const byAge = (a: MemberRecord, b: MemberRecord): number =>
  Date.parse(a.joinedAt) - Date.parse(b.joinedAt) || a.id - b.id

/** A living server still gets the log, or it is too early to tell who lives. */
function isUnderWay(candidates: readonly Candidate[], { voters }: Configuration): boolean {
  return candidates.some(
    ({ record, liveness, ready }) =>
      liveness === 'unknown' || (liveness === 'alive' && !ready && !voters.includes(record.id)),
  )
}

const names = (ids: readonly number[]): string => ids.map(memberName).join(' and ')
