/** What a store of a new generation is made of: a database with its first changes, and a log that begins behind them. */
import { join } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import { createDirectoryDisk } from './log/disk.ts'
import { WriteAheadLog } from './log/write-ahead-log.ts'
import type { Command } from './mvcc/command.ts'
import { REQUESTS_REMEMBERED_MAX } from './mvcc/remembered-requests.ts'
import { StateMachine } from './mvcc/state-machine.ts'
import { Persister } from './persister.ts'
import { StateDatabase } from './sqlite/database.ts'
import { StateLoader } from './state-loader.ts'
import type { Operation } from './store.ts'
import type { MemberIdentity } from './thread-messages.ts'

export interface OpenState {
  readonly database: StateDatabase
  readonly state: StateMachine
  readonly identity: MemberIdentity
  readonly start: { readonly revision: number; readonly compacted: number; readonly sequence: number }
}

export function openState(path: string): OpenState {
  // The database is there: the identity is only for one that is made.
  const identity = { member: 0, cluster: '' }
  const database = new StateDatabase({ path, bootId: '', identity, resultsMax: REQUESTS_REMEMBERED_MAX })
  const state = new StateMachine()
  const loader = new StateLoader(state)
  loader.begin(database.state)
  for (const { rows, values } of database.slabs()) loader.addRows(rows, values)
  const start = loader.finish({ type: 'loaded', results: database.results() })
  return { database, state, identity: start.identity, start }
}

export const clusterBytes = (clusterId: string): Buffer => Buffer.from(clusterId.replaceAll('-', ''), 'hex')

/** Writes what it is given at once. */
export function persisterOf(
  { database, start }: Pick<OpenState, 'database' | 'start'>,
  clock: Clock,
): Persister {
  const persister: Persister = new Persister(
    {
      clock,
      post(batch) {
        database.write(batch)
        persister.written()
      },
    },
    start,
  )
  return persister
}

/** The first changes of the new generation, as entries that its log begins behind; returns the index of the last. */
export async function change(
  open: OpenState,
  operations: readonly Operation[],
  clock: Clock,
): Promise<number> {
  const { state, database } = open
  const persister = persisterOf(open, clock)
  const apply = (command: Command) =>
    persister.add(state.apply({ index: state.applied + 1, proposer: 0, request: 0, command }))
  apply({ type: 'transaction', transaction: { compares: [], operations } })
  apply({ type: 'compaction', revision: state.revision })
  await persister.drain()
  database.close()
  return state.applied
}

export interface NewLogParts {
  /** The directory of the store. */
  readonly to: string
  readonly clusterId: string
  readonly member: number
  /** What the log begins behind. */
  readonly lastIndex: number
  readonly lastTerm: number
  /** The latest term that anybody may have seen. */
  readonly term: number
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** The log of a member that is the only voter, and everything is durable. */
export async function writeLog(parts: NewLogParts): Promise<void> {
  const { member, lastIndex, lastTerm, clusterId } = parts
  const failed = Promise.withResolvers<never>()
  const wal = await WriteAheadLog.create(
    {
      disk: createDirectoryDisk(join(parts.to, 'wal')),
      random: parts.random,
      clock: parts.clock,
      log: parts.log,
      identity: { member, cluster: clusterBytes(clusterId) },
      onFailed: failed.reject,
    },
    { index: lastIndex, term: lastTerm, configuration: { voters: [member], outgoing: [], learners: [] } },
  )
  const hardState = { term: parts.term + 1, vote: 0, commit: lastIndex }
  const written = new Promise<void>(done => wal.append({ hardState, entries: [], done }))
  await Promise.race([written, failed.promise])
  await wal.close()
  await createDirectoryDisk(parts.to).flushDirectory()
}
