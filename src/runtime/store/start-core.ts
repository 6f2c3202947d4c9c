/**
 * Starts the consensus core on what the write-ahead log holds, or on nothing; refuses a log that does not fit to
 * the state it has to go on from.
 */
import { createEntry, entryTypes } from '../raft/entry.ts'
import { encodeConfiguration } from '../raft/membership.ts'
import type { MemberId } from '../raft/messages.ts'
import { Raft } from '../raft/raft.ts'
import type { RaftParts } from '../raft/ready.ts'
import { corrupt, type RecoveredLog, recoverLog } from './log/recovery.ts'
import { WriteAheadLog, type WriteAheadLogParts } from './log/write-ahead-log.ts'

export interface StartParts {
  readonly log: WriteAheadLogParts
  readonly member: MemberId
  /** The last entry that the state holds; 0 for none. */
  readonly applied: number
  /** Index of a snapshot that was received whole but not installed; 0 for none. */
  readonly received?: number
  /** A new member of a cluster that exists: it waits to be told, instead of being a cluster of its own. */
  readonly joins?: boolean
  readonly tuning?: Pick<RaftParts, 'rules' | 'keptBytes' | 'appendBytes'>
}

export interface StartedCore {
  readonly raft: Raft
  readonly wal: WriteAheadLog
  /** The log begins behind the received snapshot: it has to be installed before anything is applied. */
  readonly mustInstall: boolean
}

const nobody = { voters: [], outgoing: [], learners: [] }

export async function startCore(parts: StartParts): Promise<StartedCore> {
  const { disk, log } = parts.log
  const recovered = await recoverLog(disk, parts.applied, log)
  if (recovered !== null && recovered.position.index + recovered.entries.length > 0) {
    return resume(parts, recovered)
  }
  if (parts.applied > 0)
    throw corrupt('the log is missing', `the database holds entries up to ${parts.applied}`)
  return parts.joins ? join(parts, recovered) : bootstrap(parts, recovered)
}

/** A new cluster of one: its membership is the first entry of the log. */
async function bootstrap(parts: StartParts, recovered: RecoveredLog | null): Promise<StartedCore> {
  const wal = await openLog(parts, recovered)
  const payload = encodeConfiguration({ ...nobody, voters: [parts.member] })
  const entry = createEntry(entryTypes.membership, payload, { index: 1, term: 1 })
  const hardState = { term: 1, vote: 0, commit: 1 }
  await new Promise<void>(done => wal.append({ hardState, entries: [entry], done }))
  const log = { previousIndex: 0, previousTerm: 0, configuration: nobody, entries: [entry], commit: 1 }
  return { wal, raft: createRaft(parts, { hardState, log }), mustInstall: false }
}

async function join(parts: StartParts, recovered: RecoveredLog | null): Promise<StartedCore> {
  const wal = await openLog(parts, recovered)
  const hardState = recovered?.hardState ?? { term: 0, vote: 0, commit: 0 }
  const log = { previousIndex: 0, previousTerm: 0, configuration: nobody, entries: [], commit: 0 }
  return { wal, raft: createRaft(parts, { hardState: { ...hardState, commit: 0 }, log }), mustInstall: false }
}

async function openLog(parts: StartParts, recovered: RecoveredLog | null): Promise<WriteAheadLog> {
  if (recovered !== null) return await WriteAheadLog.resume(parts.log, recovered)
  return WriteAheadLog.create(parts.log, { index: 0, term: 0, configuration: nobody })
}

async function resume(parts: StartParts, recovered: RecoveredLog): Promise<StartedCore> {
  const { position, entries, hardState } = recovered
  const last = position.index + entries.length
  const mustInstall = position.index > parts.applied && position.index === parts.received
  checkFit(parts, recovered, mustInstall)
  const log = {
    previousIndex: position.index,
    previousTerm: position.term,
    configuration: position.configuration,
    entries,
    commit: Math.min(hardState.commit, last),
  }
  const wal = await WriteAheadLog.resume(parts.log, recovered)
  const raft = createRaft(parts, { hardState, log })
  raft.setInstalling(mustInstall)
  return { wal, raft, mustInstall }
}

function checkFit({ log, member, applied }: StartParts, recovered: RecoveredLog, mustInstall: boolean): void {
  const { position, entries, segments } = recovered
  const { cluster } = log.identity
  if (segments.some(({ header }) => header.member !== member || !header.cluster.equals(cluster))) {
    throw corrupt('the log belongs to another member', 'its identity differs from that of the database')
  }
  if (applied === 0 && position.index > 0 && !mustInstall) {
    throw corrupt(
      'the database is missing',
      `the log goes on behind entry ${position.index}, which it should hold`,
    )
  }
  if (position.index > applied && !mustInstall) {
    const why = `it begins behind ${position.index}, the database ends at ${applied}`
    throw corrupt('the log begins too late', why)
  }
  if (position.index < applied) {
    const last = position.index + entries.length
    throw corrupt('the log ends too early', `it ends at entry ${last}, the database at ${applied}`)
  }
}

function createRaft(
  { member, log: { random }, tuning }: StartParts,
  start: Pick<RaftParts, 'hardState' | 'log'>,
): Raft {
  return new Raft({ id: member, random, ...start, ...tuning })
}
