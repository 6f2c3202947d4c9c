import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLog, silentLog } from '../../../../src/base/log.ts'
import { seededRandom } from '../../../../src/base/random.ts'
import { createEntry, entryTypes } from '../../../../src/runtime/raft/entry.ts'
import type { MessageBody } from '../../../../src/runtime/raft/messages.ts'
import { Raft } from '../../../../src/runtime/raft/raft.ts'
import { WriteAheadLog } from '../../../../src/runtime/store/log/write-ahead-log.ts'
import type { PeerMessage } from '../../../../src/runtime/store/peers/peer-network.ts'
import { Replica } from '../../../../src/runtime/store/replica.ts'
import type { FromRaft } from '../../../../src/runtime/store/thread-messages.ts'
import { ManualClock } from '../../../support/manual-clock.ts'
import { SimulatedDisk } from './log/simulated-disk.ts'

const configuration = { voters: [1, 2, 3], outgoing: [], learners: [] }

/** Member 1 of three, with a clock that moves only when it is told to. */
async function createMember(handedBytesMax?: number) {
  const clock = new ManualClock()
  const disk = new SimulatedDisk()
  const logged: string[] = []
  const log = createLog({ level: 'info', write: line => logged.push(JSON.parse(line).message), now: () => 0 })
  const wal = await WriteAheadLog.create(
    {
      disk,
      random: seededRandom(1),
      clock,
      log: silentLog,
      identity: { member: 1, cluster: Buffer.alloc(16) },
      onFailed: error => assert.fail(error),
      segmentBytes: 64 * 1024,
    },
    { index: 0, term: 0, configuration },
  )
  const raft = new Raft({
    id: 1,
    random: seededRandom(2),
    hardState: { term: 1, vote: 0, commit: 0 },
    log: { previousIndex: 0, previousTerm: 0, configuration, entries: [], commit: 0 },
  })
  const sent: { to: number; message: PeerMessage }[] = []
  const posted: FromRaft[] = []
  const network = {
    connectTo: () => {},
    reaches: () => true,
    send: (to: number, message: PeerMessage) => void sent.push({ to, message }),
  }
  const replica = new Replica({
    ...{ raft, wal, clock, log, network, post: message => posted.push(message) },
    ...(handedBytesMax !== undefined && { handedBytesMax }),
  })
  replica.start()
  const hear = (from: number, body: MessageBody, term = raft.term) =>
    replica.receive({ type: 'raft', message: { from, to: 1, term, ...body } }, from)
  const kinds = () =>
    sent.map(({ message }) => (message.type === 'raft' ? message.message.type : message.type))
  return { clock, disk, wal, raft, replica, sent, posted, logged, hear, kinds }
}

const heartbeat = { type: 'heartbeat', commit: 0, read: 0, electionTicks: 30, sequence: 1 } as const

test('silence of the leader starts an election', async () => {
  const { clock, hear, kinds } = await createMember()
  hear(2, heartbeat)
  for (let ms = 0; ms < 290; ms += 10) clock.advance(10)
  assert.ok(!kinds().includes('pre-vote'))
  for (let ms = 0; ms < 330; ms += 10) clock.advance(10)
  assert.ok(kinds().includes('pre-vote'))
})

test('a member that hung reads its sockets before it takes the leader for silent', async () => {
  const { clock, hear, kinds } = await createMember()
  hear(2, heartbeat)
  clock.skip(5_000)
  clock.advance(0)
  assert.ok(!kinds().includes('pre-vote'), 'not before anything was read')
  // What waited in the socket comes now.
  hear(2, heartbeat)
  clock.advance(200)
  assert.ok(!kinds().includes('pre-vote'))
})

test('also when a socket is read before the timer runs', async () => {
  const { clock, hear, kinds, raft } = await createMember()
  hear(2, heartbeat)
  clock.skip(5_000)
  hear(3, { type: 'vote-reply', granted: false })
  assert.ok(!kinds().includes('pre-vote'))
  assert.equal(raft.leader, 2)
})

test('a member that hung goes on to an election when nothing waited for it', async () => {
  const { clock, hear, kinds } = await createMember()
  hear(2, heartbeat)
  clock.skip(5_000)
  for (let ms = 0; ms < 600; ms += 10) clock.advance(10)
  assert.ok(kinds().includes('pre-vote'))
})

test('a proposal forwarded to a member that does not lead is refused at once', async () => {
  const { replica, sent } = await createMember()
  const { bytes } = createEntry(entryTypes.noOp, Buffer.alloc(0), { index: 0, term: 0 })
  bytes.writeUInt32LE(77, 24)
  bytes.writeUInt32LE(5, 32)
  replica.receive({ type: 'forward', proposals: [bytes] }, 3)
  const refusal = sent.at(-1)
  assert.equal(refusal?.to, 3)
  assert.ok(refusal?.message.type === 'forward-refusal')
  const [request] = refusal.message.requests
  assert.deepEqual([request?.proposer, request?.request], [77, 5])
})

/** Elects member 1 and has the others answer its heartbeats `delay` ms later. */
async function createLeader(delay: number) {
  const member = await createMember()
  const { clock, hear, raft, sent } = member
  while (raft.role === 'follower') clock.advance(10)
  hear(2, { type: 'pre-vote-reply', granted: true }, raft.term + 1)
  hear(2, { type: 'vote-reply', granted: true })
  for (const turn of Array.from({ length: 20 })) await turn
  assert.equal(raft.role, 'leader')
  const run = (ms: number) => {
    for (let at = 0; at < ms; at += 10) {
      clock.advance(10)
      for (const { to, message } of sent.splice(0)) {
        if (message.type !== 'raft' || message.message.type !== 'heartbeat') continue
        const { read, sequence } = message.message
        clock.after(delay, () => hear(to, { type: 'heartbeat-reply', read, sequence }))
      }
    }
  }
  return { ...member, run }
}

test('members that answer slowly raise the election timeout, and a heartbeat tells', async () => {
  const { run, raft, logged, sent, clock } = await createLeader(200)
  run(4_000)
  assert.equal(raft.electionTimeout, 220)
  assert.ok(logged.includes('other members answer slowly, the election timeout is raised'))
  assert.ok(logged.length <= 7, 'once per change')
  clock.advance(60)
  const told = sent.flatMap(({ message }) =>
    message.type === 'raft' && message.message.type === 'heartbeat' ? [message.message.electionTicks] : [],
  )
  assert.deepEqual(new Set(told), new Set([220]))
})

test('a leader whose disk does not answer hands over, and says so once', async () => {
  const { run, raft, replica, disk, logged } = await createLeader(1)
  const flushed = Promise.withResolvers<void>()
  disk.hang = flushed.promise
  replica.request({
    type: 'requests',
    entries: proposal(),
    fences: [],
    reads: [],
  })
  for (const turn of Array.from({ length: 20 })) await turn
  run(290)
  assert.equal(raft.role, 'leader')
  run(100)
  assert.equal(raft.transferring, true)
  run(400)
  assert.equal(raft.role, 'follower')
  assert.equal(raft.ticksUntilNextDeadline(), null)
  assert.deepEqual(
    logged.filter(message => message === 'the disk does not answer'),
    ['the disk does not answer'],
  )
  flushed.resolve()
  for (const turn of Array.from({ length: 20 })) await turn
  assert.equal(logged.at(-1), 'the disk answers again')
})

function proposal(): ArrayBuffer {
  const { bytes } = createEntry(entryTypes.noOp, Buffer.alloc(0), { index: 0, term: 0 })
  return new Uint8Array(bytes).buffer
}

const MAIN_BYTES_MAX = 10_000

function appendOf(index: number, bytes: number): MessageBody {
  const entry = createEntry(entryTypes.transaction, Buffer.alloc(bytes), { index, term: 1 })
  const [previousIndex, previousTerm] = [index - 1, index === 1 ? 0 : 1]
  return { type: 'append', previousIndex, previousTerm, entries: [entry], commit: index, attempt: 1 }
}

test('while the main thread takes nothing, appends wait unanswered, and heartbeats do not', async () => {
  const { hear, kinds, sent, posted, replica, raft, logged } = await createMember(MAIN_BYTES_MAX)
  const handed = () =>
    posted.reduce((sum, said) => sum + (said.type === 'progress' ? (said.committed?.byteLength ?? 0) : 0), 0)
  for (let index = 1; index <= 40; index++) {
    hear(2, appendOf(index, 1_000), 1)
    await new Promise(resolve => setImmediate(resolve))
  }
  const stoppedAt = raft.log.lastIndex
  assert.ok(stoppedAt < 15, `${stoppedAt} entries were let in`)
  assert.ok(handed() < MAIN_BYTES_MAX + 2_000)
  assert.match(logged.at(-1) ?? '', /does not keep up/)
  sent.length = 0
  hear(2, heartbeat, 1)
  assert.deepEqual(kinds(), ['heartbeat-reply'])
  for (let rounds = 0; raft.log.lastIndex < 40; rounds++) {
    assert.ok(rounds < 20, 'it gets on as the main thread does')
    replica.taken(handed())
    posted.length = 0
    await new Promise(resolve => setImmediate(resolve))
  }
  assert.ok(kinds().includes('append-reply'))
})

test('entries that nobody here waits for come with what follows them soon, and at once to whoever has asked', async () => {
  const { clock, hear, posted, replica } = await createMember()
  const counts = () =>
    posted
      .splice(0)
      .map(said => (said.type === 'progress' ? (said.committed?.byteLength ?? 0) / 140 : 0))
      .filter(entries => entries > 0)
  const commit = async (index: number) => {
    hear(2, appendOf(index, 100), 1)
    await new Promise(resolve => setImmediate(resolve))
  }
  await commit(1)
  clock.advance(20)
  posted.length = 0
  await commit(2)
  assert.deepEqual(counts(), [1], 'a lone one comes at once')
  await commit(3)
  await commit(4)
  assert.deepEqual(counts(), [])
  clock.advance(5)
  assert.deepEqual(counts(), [2])
  await commit(5)
  replica.request({ type: 'requests', entries: proposal(), fences: [], reads: [] })
  await commit(6)
  assert.deepEqual(counts(), [1, 1])
})
