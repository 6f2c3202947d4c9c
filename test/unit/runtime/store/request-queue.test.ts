/** What becomes of requests while leaders change, hand over, or are not there. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { requestAt, splitEntries } from '../../../../src/runtime/raft/entry.ts'
import { RequestQueue } from '../../../../src/runtime/store/request-queue.ts'
import type { RaftRequests } from '../../../../src/runtime/store/thread-messages.ts'
import { ManualClock } from '../../../support/manual-clock.ts'

const command = { type: 'compaction', revision: 1 } as const
const requestsIn = ({ entries }: RaftRequests) =>
  (splitEntries(Buffer.from(entries)) ?? []).map(entry => requestAt(entry, 0))
const turn = () => new Promise<void>(resolve => setImmediate(() => setImmediate(resolve)))

function createQueue(led: { isLed: boolean; mayLose: boolean }) {
  const clock = new ManualClock()
  const posted: RaftRequests[] = []
  const queue = new RequestQueue({
    clock,
    proposer: 7,
    post: requests => posted.push(requests),
    isLed: () => led.isLed,
    mayLose: () => led.mayLose,
  })
  const asked = () => posted.splice(0).flatMap(requestsIn)
  return { clock, queue, posted, asked }
}

const outcome = (promise: Promise<unknown>) =>
  promise.then(
    () => 'done',
    (error: { code?: string }) => error.code,
  )

const refusal = (request: number) => ({ kind: 'proposal', request, reason: 'no-leader', term: 1 }) as const

test('a write that nobody took did not happen; one that left may have', async () => {
  const { clock, queue } = createQueue({ isLed: false, mayLose: false })
  const [stayed, left] = [outcome(queue.propose(command, {})), outcome(queue.propose(command, {}))]
  await turn()
  queue.refused(refusal(1))
  for (let second = 0; second < 12; second++) clock.advance(1_000)
  assert.equal(await stayed, 'store/no-leader')
  assert.equal(await left, 'store/outcome-unknown')
  assert.equal(queue.commandOf(1), null)
  assert.notEqual(queue.commandOf(2), null)
})

test('what a leader does not take while it hands over is asked again soon', async () => {
  const { clock, queue, asked } = createQueue({ isLed: true, mayLose: false })
  const done = outcome(queue.propose(command, {}))
  await turn()
  assert.deepEqual(asked(), [1])
  queue.refused(refusal(1))
  clock.advance(100)
  await turn()
  assert.deepEqual(asked(), [1])
  queue.applied(1, { kind: 'compacted' })
  assert.equal(await done, 'done')
})

test('what another member does not answer is asked again, but not what a local leader has', async () => {
  const led = { isLed: true, mayLose: true }
  const { clock, queue, asked, posted } = createQueue(led)
  const done = [outcome(queue.propose(command, {})), outcome(queue.readIndex())]
  await turn()
  const reads = posted.splice(0).flatMap(sent => sent.reads)
  clock.advance(1_000)
  await turn()
  const [again] = posted.splice(0)
  assert.deepEqual([again && requestsIn(again), again?.reads], [[1], reads])
  led.mayLose = false
  clock.advance(3_000)
  await turn()
  assert.deepEqual(asked(), [])
  queue.applied(1, { kind: 'compacted' })
  for (const read of reads) queue.readAnswered(read, 5)
  assert.deepEqual(await Promise.all(done), ['done', 'done'])
})

test('an answer to a read of an earlier life of the process answers none of the present one', async () => {
  const namesOf = async (proposer: number) => {
    const posted: RaftRequests[] = []
    const queue = new RequestQueue({
      clock: new ManualClock(),
      proposer,
      post: requests => posted.push(requests),
    })
    void queue.readIndex().catch(() => {})
    await turn()
    return posted.flatMap(({ reads }) => reads)
  }
  const [earlier, present] = [await namesOf(2 ** 47 + 7), await namesOf(2 ** 47 + 8)]
  assert.equal(present.length, 1)
  assert.ok(present.every(read => Number.isSafeInteger(read) && !earlier.includes(read)))
})

test('a fenced write that a snapshot brought has happened, whatever term comes next', async () => {
  const { queue } = createQueue({ isLed: true, mayLose: true })
  const [before, after] = [queue.propose(command, { term: 4 }), outcome(queue.propose(command, { term: 4 }))]
  await turn()
  const remembered = { index: 33, proposer: 7, request: 1, revision: 20, succeeded: true }
  queue.installed({
    resultOf: (proposer, request) => (proposer === 7 && request === 1 ? remembered : null),
  })
  queue.termApplied(5)
  assert.deepEqual(await before, { kind: 'duplicate', remembered })
  assert.equal(await after, 'store/fenced')
})
