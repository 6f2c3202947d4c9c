/** Which heartbeats of a leader wait for an append, and which do not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Message } from '../../../../src/runtime/raft/messages.ts'
import { CommitNotices } from '../../../../src/runtime/store/commit-notices.ts'
import { ManualClock } from '../../../support/manual-clock.ts'

const envelope = { from: 1, to: 2, term: 1 }
const HOLD_MS = 2

function heartbeat(commit: number, read = 0): Message {
  return { ...envelope, type: 'heartbeat', commit, read, electionTicks: 30, sequence: commit }
}

function append(commit: number): Message {
  return { ...envelope, type: 'append', previousIndex: 1, previousTerm: 1, entries: [], commit, attempt: 1 }
}

/** A first heartbeat has left. */
function create() {
  const clock = new ManualClock()
  const sent: string[] = []
  const told = (message: Message) => ('commit' in message ? message.commit : '')
  const notices = new CommitNotices(clock, message => sent.push(`${message.type} ${told(message)}`))
  notices.send(heartbeat(1))
  sent.length = 0
  return { clock, notices, sent }
}

test('a heartbeat that only tells of a commit is left out when an append follows that says it, too', () => {
  const { clock, notices, sent } = create()
  notices.send(heartbeat(5))
  notices.send(append(5))
  clock.advance(HOLD_MS)
  assert.deepEqual(sent, ['append 5'])
})

test('a heartbeat leaves after a moment without an append, and before one that says less', () => {
  const { clock, notices, sent } = create()
  notices.send(heartbeat(5))
  assert.deepEqual(sent, [])
  clock.advance(HOLD_MS)
  assert.deepEqual(sent, ['heartbeat 5'])
  notices.send(heartbeat(7))
  notices.send(append(6))
  assert.deepEqual(sent, ['heartbeat 5', 'heartbeat 7', 'append 6'])
})

test('a heartbeat that confirms a read, is due, or tells somebody who waits for it, leaves at once', () => {
  const { clock, notices, sent } = create()
  notices.send(heartbeat(2, 1))
  assert.deepEqual(sent, ['heartbeat 2'])
  clock.advance(50)
  notices.send(heartbeat(3, 1))
  assert.deepEqual(sent, ['heartbeat 2', 'heartbeat 3'])
  notices.send(heartbeat(4, 1))
  notices.awaits(2)
  notices.send(heartbeat(5, 1))
  assert.deepEqual(sent, ['heartbeat 2', 'heartbeat 3', 'heartbeat 4', 'heartbeat 5'])
})
