/** Whether a server may be taken out of the cluster, and what to do instead when it may not. Pure. */

import { Mk8sError } from '../../base/errors.ts'
import type { Configuration } from '../raft/messages.ts'
import { type Candidate, chooseVoters } from './choose-voters.ts'
import type { MemberRecord } from './member-record.ts'

export interface RemovalFacts {
  readonly target: MemberRecord
  readonly records: readonly MemberRecord[]
  readonly configuration: Configuration
  readonly leader: number
  readonly votersWanted: number
  readonly isAlive: (id: number) => boolean
}

/** Null when nothing is lost by it. */
export function removalProblem(facts: RemovalFacts): Mk8sError | null {
  const { target, records, isAlive } = facts
  const name = target.nodeName
  const staying = records.filter(({ id, leaving }) => id !== target.id && !leaving)
  if (staying.length === 0) {
    return refusal(name, {
      why: `${name} is the only server of the cluster, and its datastore the only copy`,
      hint: `add another server first: mk8s add-node; or delete the whole cluster: mk8s uninstall on ${name}`,
    })
  }
  const silent = staying.filter(({ id }) => !isAlive(id)).map(({ nodeName }) => nodeName)
  if (silent.length === staying.length) {
    return refusal(name, {
      why: `no other server answers (${silent.join(', ')}), so the only living copy of the datastore would go`,
      hint: `start ${silent.join(' or ')} first`,
    })
  }
  const { voters } = facts.configuration
  const majorityLives = (ids: readonly number[]) => ids.filter(isAlive).length > ids.length / 2
  if (majorityLives(voters) && majorityLives(votersAfter(facts, staying))) return null
  return refusal(name, {
    why: `without it too few of the servers that vote would be alive (silent: ${silent.join(', ')})`,
    hint: `start ${silent.join(' and ')}, or take them out first: mk8s remove-node ${silent[0]} --force`,
  })
}

function votersAfter(facts: RemovalFacts, staying: readonly MemberRecord[]): readonly number[] {
  const { configuration, isAlive, leader, votersWanted } = facts
  const candidates = staying.map((record): Candidate => {
    const alive = isAlive(record.id)
    const votes = configuration.voters.includes(record.id)
    // Whoever lives gets what it still lacks while it is waited for.
    return { record, votes, liveness: alive ? 'alive' : 'silent', ready: alive, lag: 0 }
  })
  return chooseVoters(candidates, { leader, wanted: votersWanted })
}

function refusal(name: string, { why, hint }: { why: string; hint: string }): Mk8sError {
  return new Mk8sError('refused', `${name} must not leave the cluster now`, { why, hint })
}
