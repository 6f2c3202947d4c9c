/** The store thread: loads the state from SQLite, then writes it there in batches and checkpoints it. */
import { parentPort } from 'node:worker_threads'
import { must } from '../../base/assert.ts'
import { checkLog } from './check.ts'
import { createDirectoryDisk } from './log/disk.ts'
import { REQUESTS_REMEMBERED_MAX } from './mvcc/remembered-requests.ts'
import { StateDatabase } from './sqlite/database.ts'
import { withSqliteErrors } from './sqlite/sqlite-files.ts'
import { reportFailure } from './thread-failure.ts'
import type { FromStore, ToStore } from './thread-messages.ts'

/** A checkpoint copies SQLite's own log into the database file; these keep that log small. */
const CHECKPOINT_BATCHES = 64
const CHECKPOINT_VALUE_BYTES = 8 * 1024 * 1024

const port = must(parentPort, 'the port to the main thread')
const post = (message: FromStore, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer)

let database: StateDatabase | null = null
let batches = 0
let valueBytes = 0
let durable = 0

port.on('message', (message: ToStore) => {
  try {
    handle(message)
  } catch (error) {
    reportFailure(error, post)
  }
})

function handle(message: ToStore): void {
  if (message.type === 'open') {
    withSqliteErrors('load the database', () => load(message))
    return
  }
  const opened = must(database, 'an open database')
  if (message.type === 'batch') {
    opened.write(message)
    post({ type: 'written', applied: message.applied })
    batches++
    valueBytes += message.values.byteLength
    if (batches >= CHECKPOINT_BATCHES || valueBytes >= CHECKPOINT_VALUE_BYTES) checkpoint(opened)
  } else if (message.type === 'checkpoint') {
    checkpoint(opened)
  } else if (message.type === 'check') {
    const databaseFindings = opened.findings()
    void checkLog(createDirectoryDisk(message.logDirectory)).then(log =>
      post({ type: 'checked', log, databaseFindings }),
    )
  } else {
    opened.close()
    post({ type: 'closed' })
    port.close()
  }
}

function load({ path, bootId, identity }: Extract<ToStore, { type: 'open' }>): void {
  database = new StateDatabase({ path, bootId, identity, resultsMax: REQUESTS_REMEMBERED_MAX })
  post({ type: 'opened', state: database.state, received: 0 })
  for (const slab of database.slabs()) post({ type: 'rows', ...slab }, [slab.values])
  post({ type: 'loaded', results: database.results() })
}

/** Answers in any case: an incomplete checkpoint, which a reader may cause, has made nothing new durable. */
function checkpoint(opened: StateDatabase): void {
  batches = 0
  valueBytes = 0
  durable = opened.checkpoint() ?? durable
  post({ type: 'durable', applied: durable })
}
