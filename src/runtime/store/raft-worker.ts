/** The raft thread: opens the write-ahead log, starts the core on it and carries messages to and fro. */
import { join } from 'node:path'
import { parentPort } from 'node:worker_threads'
import { must } from '../../base/assert.ts'
import { systemClock } from '../../base/clock.ts'
import { systemRandom } from '../../base/random.ts'
import { createDirectoryDisk } from './log/disk.ts'
import type { WriteAheadLog, WriteAheadLogParts } from './log/write-ahead-log.ts'
import { Replica } from './replica.ts'
import { startCore } from './start-core.ts'
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
  const { wal, raft } = await startCore({ log: parts, member: identity.member, applied })
  const replica = new Replica({ raft, wal, clock: systemClock, post })
  opened = { wal, replica }
  post({ type: 'opened', identity, lastIndex: raft.log.lastIndex })
  replica.start()
}
