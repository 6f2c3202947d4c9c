/**
 * What the members' answers amount to: who lives and how far, whether writes are possible, and what may be lost.
 * In words that are true on every node, also on one that is cut off. Pure.
 */
import { bracketed } from '../../base/bracketed.ts'
import { compareTexts } from '../../base/compare-texts.ts'
import type { DatastoreMember, DatastoreStatus } from '../../client/node-status.ts'
import { leaderAmong, type MemberAnswer } from './member-answer.ts'
import { type MemberRecord, memberName } from './member-record.ts'
import { SILENT_MS_MAX } from './plan-roles.ts'

export interface ClusterFacts {
  readonly self: MemberAnswer
  /** Of the others, as far as they came in time. */
  readonly answers: readonly MemberAnswer[]
  /** The others were asked; otherwise nothing follows from their silence. */
  readonly asked: boolean
}

type HighAvailability = DatastoreStatus['highAvailability']

export function judgeCluster(facts: ClusterFacts): DatastoreStatus {
  const { self } = facts
  const all = [self, ...facts.answers]
  const leading = leaderAmong(all)
  const leader = leading?.id ?? latest(all.filter(answer => answer.leader !== 0))?.leader ?? 0
  const best = leading ?? latest(all) ?? self
  const members = recordsOf(best, self)
    .toSorted((a, b) => compareTexts(a.nodeName, b.nodeName))
    .map(record => memberOf(record, { ...facts, all, leading, leader, best }))
  const leads = members.find(member => member.leader)
  return {
    role: self.leader === self.id ? 'leader' : self.leader === 0 ? 'candidate' : 'follower',
    leader: leads?.address ?? null,
    term: self.term,
    revision: self.revision,
    members,
    healthy: leader !== 0,
    highAvailability: leader === 0 ? withoutLeader(members) : cutOff(judge(members), self, members),
  }
}

/** Others have a leader, of which this server hears nothing: it must not say of itself that it does not answer. */
function cutOff(
  judged: HighAvailability,
  self: MemberAnswer,
  members: readonly DatastoreMember[],
): HighAvailability {
  const own = members.find(({ id }) => id === memberName(self.id))
  const leads = members.find(({ leader }) => leader)
  if (own === undefined || own.alive || own.stopped || leads === undefined) return judged
  return { ...judged, why: `this server hears nothing of the leader ${leads.name}; ${judged.why}` }
}

/** Of the latest term, and of those the one that has applied most. */
const latest = (answers: readonly MemberAnswer[]): MemberAnswer | undefined =>
  answers.toSorted((a, b) => b.term - a.term || b.applied - a.applied)[0]

/** A cluster that begins has a member before it has a record. */
function recordsOf(best: MemberAnswer, self: MemberAnswer): readonly MemberRecord[] {
  return best.records.length > 0 ? best.records : self.records
}

interface Seen extends ClusterFacts {
  readonly all: readonly MemberAnswer[]
  readonly leading: MemberAnswer | undefined
  readonly leader: number
  readonly best: MemberAnswer
}

function memberOf(record: MemberRecord, seen: Seen): DatastoreMember {
  const { leading, leader, best, all, asked } = seen
  const { id } = record
  const answer = all.find(each => each.id === id)
  const progress = leading?.progress.find(({ member }) => member === id)
  const silentMs = id === leading?.id ? 0 : (progress?.silentMs ?? null)
  const heardOf = silentMs !== null && silentMs <= SILENT_MS_MAX
  const follows =
    answer !== undefined && answer.leader === leader && (leader === 0 || answer.term >= best.term)
  const [peer] = record.peerAddresses
  return {
    id: memberName(id),
    name: record.nodeName,
    address: peer === undefined ? record.nodeName : `${bracketed(peer.host)}:${peer.port}`,
    role: best.configuration.voters.includes(id)
      ? 'voter'
      : record.role === 'voter'
        ? 'standby'
        : record.role,
    leader: id === leader,
    alive: record.stopped
      ? follows
      : heardOf || follows || id === leader || (!asked && leading === undefined && leader !== 0),
    stopped: record.stopped ?? false,
    silentMs,
    lag: lagOf(id, leading, progress?.match),
    failureDomain: record.failureDomain,
    version: answer?.version ?? null,
    leaving: record.leaving,
  }
}

function lagOf(id: number, leading: MemberAnswer | undefined, match: number | undefined): number | null {
  if (id === leading?.id) return 0
  return leading === undefined || match === undefined ? null : Math.max(0, leading.lastIndex - match)
}

function withoutLeader(members: readonly DatastoreMember[]): HighAvailability {
  const voters = members.filter(({ role }) => role === 'voter')
  const live = voters.filter(({ alive }) => alive)
  const missing = majority(voters.length) - live.length
  const no = (why: string): HighAvailability => ({ enabled: false, state: 'no', why })
  if (missing <= 0) return no('the datastore has no leader yet: no writes until one is elected')
  const silent = listed(voters.filter(({ alive }) => !alive).map(({ name }) => name))
  const back = missing === 1 ? 'another one is' : `${missing} more are`
  const some = live.length === 1 ? '1 voter answers' : `${live.length} voters answer`
  const whose =
    voters.length === 1 ? `the only voter, ${silent}, does not answer` : `${some} of ${voters.length}`
  const until = voters.length === 1 ? 'it is' : back
  return no(`${whose}: no writes until ${until} back${voters.length > 1 ? ` (silent: ${silent})` : ''}`)
}

const majority = (voters: number): number => Math.floor(voters / 2) + 1

function judge(members: readonly DatastoreMember[]): HighAvailability {
  const servers = members.filter(({ leaving }) => !leaving)
  const voters = members.filter(({ role }) => role === 'voter')
  const only = voters[0]?.name ?? 'the voter'
  const no = (why: string): HighAvailability => ({ enabled: false, state: 'no', why })
  if (servers.length <= 1)
    return no('the datastore has one member; it survives the loss of a machine from three on')
  if (voters.length < 3) {
    if (servers.length === 2)
      return no(
        withSilent(`2 servers: losing ${only}, the only voter, stops writes; add a third`, servers, voters),
      )
    return no(`${only} is the only voter: ${pendingOf(servers.filter(member => !voters.includes(member)))}`)
  }
  const live = voters.filter(({ alive }) => alive)
  const spareLosses = live.length - majority(voters.length)
  const silent = voters.filter(({ alive }) => !alive)
  if (silent.length > 0) return degraded(silent, spareLosses)
  const many = spareLosses === 1 ? 'any one server' : `any ${spareLosses} servers`
  const why = withSilent(`${voters.length} voters: ${many} may be lost${domainNote(voters)}`, servers, voters)
  return { enabled: true, state: 'yes', why }
}

function degraded(silent: readonly DatastoreMember[], losses: number): HighAvailability {
  const who = silent.map(silenceOf).join(', ')
  const next = losses <= 0 ? 'losing one more voter stops writes' : `${losses} more may be lost`
  return { enabled: losses > 0, state: 'degraded', why: `${who}; ${next}` }
}

/** Servers that do not vote may be silent without any harm but to those who count on them. */
function withSilent(
  why: string,
  servers: readonly DatastoreMember[],
  voters: readonly DatastoreMember[],
): string {
  const silent = servers.filter(member => !member.alive && !voters.includes(member))
  return [why, ...silent.map(silenceOf)].join('; ')
}

function pendingOf(others: readonly DatastoreMember[]): string {
  const silent = others.filter(({ alive }) => !alive)
  return silent.length > 0
    ? silent.map(silenceOf).join(', ')
    : `${listed(others.map(({ name }) => name))} will vote once they have all of the data`
}

function silenceOf({ name, silentMs, stopped }: DatastoreMember): string {
  if (stopped) return `${name} is stopped`
  if (silentMs === null) return `${name} does not answer`
  return `${name} has not been heard of for ${durationText(silentMs)}`
}

/** When enough voters fail together that the rest is no majority. */
function domainNote(voters: readonly DatastoreMember[]): string {
  const named = voters.filter(({ failureDomain }) => failureDomain !== '')
  const fatal = [...new Set(named.map(({ failureDomain }) => failureDomain))].filter(domain => {
    const together = named.filter(({ failureDomain }) => failureDomain === domain).length
    return voters.length - together < majority(voters.length)
  })
  return fatal.length === 0 ? '' : `, but not all of the failure domain ${fatal[0]}`
}

const listed = (names: readonly string[]): string =>
  names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`

export function durationText(ms: number): string {
  const seconds = Math.round(ms / 1_000)
  if (seconds < 120) return `${seconds} s`
  const minutes = Math.round(seconds / 60)
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`
}
