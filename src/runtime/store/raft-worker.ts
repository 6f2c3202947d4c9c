/** The raft thread: opens the write-ahead log, starts the core on it and carries messages to and fro. */
import { join } from 'node:path'
import { parentPort } from 'node:worker_threads'
import { must } from '../../base/assert.ts'
import { systemClock } from '../../base/clock.ts'
import { systemRandom } from '../../base/random.ts'
import { createEntry, entryTypes } from '../raft/entry.ts'
import { encodeConfiguration } from '../raft/membership.ts'
import { Raft } from '../raft/raft.ts'
import { createDirectoryDisk } from './log/disk.ts'
import { corrupt, type RecoveredLog, recoverLog } from './log/recovery.ts'
import { WriteAheadLog, type WriteAheadLogParts } from './log/write-ahead-log.ts'
import { Replica } from './replica.ts'
import { reportFailure, threadLog } from './thread-failure.ts'
import type { FromRaft, ToRaft } from './thread-messages.ts'

const port = must(parentPort, 'the port to the main thread')
const post = (message: FromRaft, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer)
const log = threadLog(line => post(line))
const fail = (error: unknown) => reportFailure(error, post)

let opened: { readonly wal: WriteAheadLog; readonly replica: Replica } | null = null

port.on('message', (message: ToRaft) => {
  handle(message).catch(fail)
})

async function handle(message: ToRaft): Promise<void> {
  if (message.type === 'open') return open(message)
  const { wal, replica } = must(opened, 'an open log')
  if (message.type === 'requests') replica.request(message)
  else if (message.type === 'drop') replica.drop(message.index)
  else {
    replica.stop()
    await wal.close()
    post({ type: 'closed' })
    port.close()
  }
}

async function open({ directory, applied, identity }: Extract<ToRaft, { type: 'open' }>): Promise<void> {
  const disk = createDirectoryDisk(join(directory, 'wal'))
  const cluster = Buffer.from(identity.cluster.replaceAll('-', ''), 'hex')
  const parts: WriteAheadLogParts = {
    disk,
    random: systemRandom,
    log,
    identity: { member: identity.member, cluster },
    onFailed: fail,
  }
  const recovered = await recoverLog(disk, applied, log)
  const { wal, raft } =
    recovered === null || recovered.position.index + recovered.entries.length === 0
      ? await bootstrap(parts, recovered, { applied, member: identity.member })
      : resume(parts, recovered, { applied, member: identity.member })
  const replica = new Replica({ raft, wal, clock: systemClock, post })
  opened = { wal, replica }
  post({ type: 'opened', identity, lastIndex: raft.log.lastIndex })
  replica.start()
}

/** A new cluster of one: its membership is the first entry of the log. */
async function bootstrap(
  parts: WriteAheadLogParts,
  recovered: RecoveredLog | null,
  { applied, member }: { applied: number; member: number },
) {
  if (applied > 0) throw corrupt('the log is missing', `the database holds entries up to ${applied}`)
  const nobody = { voters: [], outgoing: [], learners: [] }
  const position = { index: 0, term: 0, configuration: nobody }
  const wal = recovered ? WriteAheadLog.resume(parts, recovered) : await WriteAheadLog.create(parts, position)
  const payload = encodeConfiguration({ ...nobody, voters: [member] })
  const entry = createEntry(entryTypes.membership, payload, { index: 1, term: 1 })
  const hardState = { term: 1, vote: 0, commit: 1 }
  await new Promise<void>(done => wal.append({ hardState, entries: [entry], done }))
  const start = { previousIndex: 0, previousTerm: 0, configuration: nobody, entries: [entry], commit: 1 }
  return { wal, raft: new Raft({ id: member, random: parts.random, hardState, log: start }) }
}

function resume(
  parts: WriteAheadLogParts,
  recovered: RecoveredLog,
  { applied, member }: { applied: number; member: number },
) {
  const { position, entries, hardState, segments } = recovered
  const last = position.index + entries.length
  if (
    segments.some(({ header }) => header.member !== member || !header.cluster.equals(parts.identity.cluster))
  ) {
    throw corrupt('the log belongs to another member', 'its identity differs from that of the database')
  }
  if (position.index > applied) {
    throw corrupt(
      'the log begins too late',
      `it begins behind ${position.index}, the database ends at ${applied}`,
    )
  }
  if (position.index < applied) {
    throw corrupt('the log ends too early', `it ends at entry ${last}, the database at ${applied}`)
  }
  const start = {
    previousIndex: position.index,
    previousTerm: position.term,
    configuration: position.configuration,
    entries,
    commit: Math.min(hardState.commit, last),
  }
  const wal = WriteAheadLog.resume(parts, recovered)
  return { wal, raft: new Raft({ id: member, random: parts.random, hardState, log: start }) }
}
