/**
 * The raft thread: opens the write-ahead log, starts the core on it and carries messages to and fro, between the
 * main thread, the other members and the store thread.
 */

import { join } from 'node:path'
import { parentPort } from 'node:worker_threads'
import { must } from '../../base/assert.ts'
import { systemClock } from '../../base/clock.ts'
import { Mk8sError, systemCodeOf } from '../../base/errors.ts'
import { systemRandom } from '../../base/random.ts'
import { threadLog } from '../../base/thread-log.ts'
import type { MemberId } from '../raft/messages.ts'
import { createDirectoryDisk } from './log/disk.ts'
import type { WriteAheadLog } from './log/write-ahead-log.ts'
import { PeerLinks } from './peers/links.ts'
import type { PeerMessage } from './peers/peer-network.ts'
import { Replica } from './replica.ts'
import { SnapshotChannel } from './snapshot-channel.ts'
import { type StartedCore, startCore } from './start-core.ts'
import { reportFailure } from './thread-failure.ts'
import type { FromRaft, PeerEntry, ThreadPeers, ToRaft } from './thread-messages.ts'
import { makeNicer } from './thread-priority.ts'

/** The raft thread gets about three times as much of a busy processor as others. */
const NICER = -5

const port = must(parentPort, 'the port to the main thread')
const post = (message: FromRaft, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer)
const log = threadLog(line => post(line))
const fail = (error: unknown) => reportFailure(error, post)

interface Opened {
  readonly wal: WriteAheadLog
  readonly replica: Replica
  readonly links: PeerLinks | null
  readonly snapshots: SnapshotChannel
  /** Where the other members are, and what proves that they are. */
  readonly table: Map<MemberId, PeerEntry>
}

let opened: Opened | null = null
/** What was said before the log was open. */
const early: ToRaft[] = []

port.on('message', (message: ToRaft) => {
  if (message.type === 'open') open(message).catch(fail)
  else if (opened === null) early.push(message)
  else handle(message).catch(fail)
})

async function handle(message: ToRaft): Promise<void> {
  const { replica, links, table } = must(opened, 'an open log')
  switch (message.type) {
    case 'requests':
      replica.request(message)
      break
    case 'drop':
      replica.drop(message.index)
      break
    case 'taken':
      replica.taken(message.bytes)
      break
    case 'installed':
      replica.installed()
      break
    case 'cluster-version':
      replica.setClusterVersion(message.version)
      break
    case 'peers':
      setTable(table, message.table)
      break
    case 'credentials':
      links?.useCredentials(message.credentials)
      break
    case 'change': {
      const outcome = replica.changeMembership(message.target)
      post({ type: 'changed', question: message.question, outcome })
      break
    }
    case 'transfer': {
      const begun = replica.transferLeadership(message.target)
      post({ type: 'transferring', question: message.question, begun })
      break
    }
    case 'keep-lease':
      if (replica.leader !== 0) links?.send(replica.leader, message)
      break
    case 'lease-kept': {
      const { type, question, outcome } = message
      links?.send(message.to, { type, question, outcome })
      break
    }
    case 'close':
      await close(must(opened, 'an open log'))
  }
}

async function close({ wal, replica, links, snapshots }: Opened): Promise<void> {
  replica.stop()
  await links?.close()
  snapshots.close()
  await wal.close()
  post({ type: 'closed' })
  port.close()
}

async function open(message: Extract<ToRaft, { type: 'open' }>): Promise<void> {
  const started = await start(message)
  const { raft, wal, mustInstall } = started
  const { peers } = message
  const table = new Map<MemberId, PeerEntry>()
  if (peers !== null) setTable(table, peers.table)
  const links = peers === null ? null : createLinks(started, peers, table)
  const snapshots = new SnapshotChannel({ port: message.snapshots, needed: () => raft.log.firstIndex - 1 })
  const replica = new Replica({
    raft,
    wal,
    clock: systemClock,
    log,
    post,
    defer: setImmediate,
    ...(links && { network: links }),
    snapshots,
  })
  opened = { wal, replica, links, snapshots, table }
  for (const said of early.splice(0)) await handle(said)
  await links?.listen().catch((error: unknown) => Promise.reject(listenError(error, peers)))
  post({ type: 'opened', details: replica.details(), mustInstall, received: message.received })
  replica.start()
  makeNicer(NICER)
}

function start({ directory, applied, identity, received, joins }: Extract<ToRaft, { type: 'open' }>) {
  const cluster = Buffer.from(identity.cluster.replaceAll('-', ''), 'hex')
  return startCore({
    log: {
      disk: createDirectoryDisk(join(directory, 'wal')),
      random: systemRandom,
      clock: systemClock,
      log,
      identity: { member: identity.member, cluster },
      onFailed: failLog,
    },
    member: identity.member,
    applied,
    received,
    joins,
  })
}

/** The log calls back when something is durable; what goes wrong there is no failure of the disk but a bug. */
function failLog(error: Mk8sError): void {
  const isBug = error.cause instanceof Error && systemCodeOf(error.cause) === undefined
  fail(isBug && !(error.cause instanceof Mk8sError) ? error.cause : error)
}

function createLinks({ raft }: StartedCore, peers: ThreadPeers, table: ReadonlyMap<MemberId, PeerEntry>) {
  return new PeerLinks({
    member: raft.id,
    credentials: peers.credentials,
    listen: peers.listen,
    addressesOf: member => table.get(member)?.addresses ?? [],
    identityOf: member => {
      const entry = table.get(member)
      if (entry === undefined) throw new Mk8sError('refused', `member ${member} is not known here`)
      return entry.identity
    },
    clock: systemClock,
    log,
    onMessage: (from, message) => guarded(() => receive(from, message)),
    onOpened: () => guarded(() => opened?.replica.linkOpened()),
    onClosed: peer => guarded(() => opened?.replica.linkClosed(peer)),
  })
}

/** The links take an error for a damaged message; here it would be a bug. */
function guarded(act: () => void): void {
  try {
    act()
  } catch (error) {
    fail(error)
  }
}

function receive(from: MemberId, message: PeerMessage): void {
  if (message.type === 'keep-lease') post({ ...message, from })
  else if (message.type === 'lease-kept') post(message)
  else opened?.replica.receive(message, from)
}

function setTable(table: Map<MemberId, PeerEntry>, entries: readonly PeerEntry[]): void {
  table.clear()
  for (const entry of entries) table.set(entry.member, entry)
}

function listenError(error: unknown, peers: ThreadPeers | null): unknown {
  if (systemCodeOf(error) !== 'EADDRINUSE' || peers === null) return error
  const { host, port: number } = peers.listen
  return new Mk8sError('host/port-taken', `port ${number} of ${host} is in use`, {
    why: 'the datastore listens there for the other members',
  })
}
