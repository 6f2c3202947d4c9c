/**
 * The store thread: loads the state from SQLite, then writes it there in batches and checkpoints it; makes snapshots
 * of it for other members, and takes those that they send.
 */
import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import { type MessagePort, parentPort } from 'node:worker_threads'
import { must } from '../../base/assert.ts'
import { systemClock } from '../../base/clock.ts'
import { Mk8sError } from '../../base/errors.ts'
import { systemRandom } from '../../base/random.ts'
import { threadLog } from '../../base/thread-log.ts'
import { checkLog } from './check.ts'
import { createDirectoryDisk } from './log/disk.ts'
import { REQUESTS_REMEMBERED_MAX } from './mvcc/remembered-requests.ts'
import { removeBackupCopies } from './sqlite/backup-copy.ts'
import { StateDatabase } from './sqlite/database.ts'
import { SnapshotSink } from './sqlite/snapshot-sink.ts'
import { SnapshotSource } from './sqlite/snapshot-source.ts'
import { withSqliteErrors } from './sqlite/sqlite-files.ts'
import { reportFailure } from './thread-failure.ts'
import type { FromStore, SnapshotAnswer, SnapshotQuestion, ToStore } from './thread-messages.ts'
import { makeNicer } from './thread-priority.ts'

/** A checkpoint copies SQLite's own log into the database file; these keep that log small. */
const CHECKPOINT_BATCHES = 64
const CHECKPOINT_VALUE_BYTES = 8 * 1024 * 1024
/** How much less often than the others this thread runs when there is not enough time for all: about a third. */
const NICER = 5
/** A received snapshot that is damaged so often says that it is not by chance. */
const SPOILT_MAX = 3

const port = must(parentPort, 'the port to the main thread')
const post = (message: FromStore, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer)
const log = threadLog(line => post(line))
const fail = (error: unknown) => reportFailure(error, post)

type Opening = Extract<ToStore, { type: 'open' }>

interface Opened {
  database: StateDatabase
  readonly opening: Opening
  readonly source: SnapshotSource
  readonly sink: SnapshotSink
}

let opened: Opened | null = null
let batches = 0
let valueBytes = 0
let durable = 0
/** Received snapshots in a row that could not be used. */
let spoilt = 0

port.on('message', (message: ToStore) => {
  try {
    if (message.type === 'open') withSqliteErrors('load the database', () => open(message))
    else handle(message, must(opened, 'an open database'))
  } catch (error) {
    fail(error)
  }
})

function handle(message: Exclude<ToStore, { type: 'open' }>, store: Opened): void {
  switch (message.type) {
    case 'batch':
      store.database.write(message)
      post({ type: 'written', applied: message.applied })
      batches++
      valueBytes += message.values.byteLength
      if (batches >= CHECKPOINT_BATCHES || valueBytes >= CHECKPOINT_VALUE_BYTES) checkpoint(store)
      break
    case 'checkpoint':
      checkpoint(store)
      break
    case 'check': {
      const databaseFindings = store.database.findings()
      void checkLog(createDirectoryDisk(message.logDirectory)).then(
        log => post({ type: 'checked', log, databaseFindings }),
        fail,
      )
      break
    }
    case 'defragment':
      defragment(store)
      break
    case 'persisted':
      store.source.persisted()
      break
    case 'install':
      withSqliteErrors('take over a snapshot', () => install(store, message.index))
      break
    case 'discard':
      store.sink.discard()
      break
    case 'close':
      close(store)
  }
}

function open(opening: Opening): void {
  const database = openDatabase(opening)
  const directory = dirname(opening.path)
  removeBackupCopies(directory)
  const sink = new SnapshotSink(directory, database.state.identity)
  const source = new SnapshotSource({
    directory,
    databasePath: opening.path,
    clock: systemClock,
    random: systemRandom,
    log,
    applied: () => opened?.database.applied ?? 0,
    persist: index => post({ type: 'persist', index }),
  })
  opened = { database, opening, source, sink }
  const { received } = sink
  const { applied } = database.state
  if (received <= applied) sink.discard()
  post({ type: 'opened', state: database.state, received: received > applied ? received : 0 })
  postRows(database)
  makeNicer(NICER)
  listen(opening.snapshots, opened)
}

function openDatabase({ path, bootId, identity }: Opening): StateDatabase {
  return new StateDatabase({ path, bootId, identity, resultsMax: REQUESTS_REMEMBERED_MAX })
}

function postRows(database: StateDatabase): void {
  for (const slab of database.slabs())
    post({ type: 'rows', ...slab }, [slab.values, slab.rows.numbers.buffer])
  post({ type: 'loaded', results: database.results() })
}

/** A received snapshot takes the place of the database; it was flushed whole before. */
function install(store: Opened, index: number): void {
  const { opening, sink } = store
  store.database.close()
  sink.install(opening.path, index)
  store.database = openDatabase(opening)
  batches = 0
  valueBytes = 0
  durable = store.database.state.applied
  post({ type: 'opened', state: store.database.state, received: 0 })
  postRows(store.database)
  post({ type: 'durable', applied: durable })
}

/** Answers in any case: an incomplete checkpoint, which a reader may cause, has made nothing new durable. */
function checkpoint({ database }: Opened): void {
  batches = 0
  valueBytes = 0
  durable = database.checkpoint() ?? durable
  post({ type: 'durable', applied: durable })
}

function defragment({ database, opening }: Opened): void {
  // What SQLite has in its own log counts too.
  database.checkpoint('TRUNCATE')
  const before = statSync(opening.path).size
  database.defragment()
  post({ type: 'defragmented', before, after: statSync(opening.path).size })
}

function close({ database, opening, source, sink }: Opened): void {
  source.close()
  sink.close()
  opening.snapshots.close()
  database.close()
  post({ type: 'closed' })
  port.close()
}

// ── raft thread ──────────────────────────────────────────────────────────────────────────────────────

function listen(snapshots: MessagePort, store: Opened): void {
  const answer = (message: SnapshotAnswer, transfer: ArrayBuffer[] = []) =>
    snapshots.postMessage(message, transfer)
  snapshots.on('message', (message: SnapshotQuestion) => {
    const { question } = message
    if (message.type === 'read') {
      const { id, offset, index } = message
      store.source.read(id, offset, index).then(piece => {
        answer({ type: 'piece', question, piece }, piece ? [piece.data] : [])
      }, fail)
      return
    }
    try {
      const stored = store.sink.store({ ...message, data: new Uint8Array(message.data) })
      if (stored) answer({ type: 'stored', question, sound: true })
      if (stored && message.last) spoilt = 0
    } catch (error) {
      if (mayComeAgain(error, message)) answer({ type: 'stored', question, sound: false })
      else fail(error)
    }
  })
}

/** What was damaged on its way, or on either disk, may be whole when it is sent again. */
function mayComeAgain(error: unknown, { last }: Extract<SnapshotQuestion, { type: 'store' }>): boolean {
  if (!last || !(error instanceof Mk8sError) || error.code !== 'store/corrupt') return false
  if (++spoilt >= SPOILT_MAX) return false
  const { message, why } = error
  log.warn('a received snapshot is thrown away, and asked for again', { error: message, why, times: spoilt })
  return true
}
