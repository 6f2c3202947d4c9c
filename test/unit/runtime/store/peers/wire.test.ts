import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createEntry, entryTypes } from '../../../../../src/runtime/raft/entry.ts'
import type { MessageBody } from '../../../../../src/runtime/raft/messages.ts'
import type { PeerMessage } from '../../../../../src/runtime/store/peers/peer-network.ts'
import { encodeMessage, MessageReader } from '../../../../../src/runtime/store/peers/wire.ts'

const entry = (index: number) =>
  createEntry(entryTypes.transaction, Buffer.from(`entry ${index}`), { index, term: 2 ** 40 })
const configuration = { voters: [1, 2, 3], outgoing: [1], learners: [2 ** 52] }

const bodies: readonly MessageBody[] = [
  { type: 'pre-vote', lastIndex: 7, lastTerm: 3 },
  { type: 'pre-vote-reply', granted: true },
  { type: 'vote', lastIndex: 7, lastTerm: 3, transfer: true },
  { type: 'vote-reply', granted: false },
  { type: 'append', previousIndex: 6, previousTerm: 3, commit: 5, attempt: 2, entries: [entry(7), entry(8)] },
  { type: 'append', previousIndex: 6, previousTerm: 3, commit: 5, attempt: 3, entries: [] },
  { type: 'append-reply', index: 8, rejected: false },
  { type: 'append-reply', index: 4, rejected: true, indexTerm: 2, previousIndex: 6, attempt: 3 },
  { type: 'heartbeat', commit: 5, read: 9, electionTicks: 45, sequence: 77 },
  { type: 'heartbeat-reply', read: 9, sequence: 77 },
  { type: 'read-index', context: 11 },
  { type: 'read-index-refusal', context: 11 },
  { type: 'read-index-reply', context: 11, index: 8 },
  {
    type: 'snapshot',
    chunk: {
      snapshot: { id: 2 ** 47, index: 100, term: 4, configuration },
      offset: 65536,
      data: Buffer.from('piece'),
      last: true,
    },
  },
  { type: 'snapshot-reply', id: 2 ** 47, next: 65541 },
  { type: 'timeout-now' },
]
const messages: readonly PeerMessage[] = [
  { type: 'forward', proposals: [entry(1).bytes, entry(2).bytes] },
  {
    type: 'forward-refusal',
    requests: [
      { proposer: 2 ** 47, request: 3 },
      { proposer: 5, request: 6 },
    ],
  },
  ...bodies.map(body => ({ type: 'raft', message: { from: 1, to: 2, term: 2 ** 41, ...body } }) as const),
]

test('every message comes back as it went, wherever the stream is cut', () => {
  const stream = Buffer.concat(messages.map(encodeMessage))
  for (const size of [1, 7, 100, stream.length]) {
    const reader = new MessageReader()
    const read: PeerMessage[] = []
    for (let at = 0; at < stream.length; at += size) read.push(...reader.take(stream.subarray(at, at + size)))
    assert.deepEqual(read, messages)
  }
})

test('a flipped bit anywhere is noticed, or waited out', () => {
  for (const message of messages) {
    const bytes = encodeMessage(message)
    for (let at = 0; at < bytes.length; at++) {
      const damaged = Buffer.from(bytes)
      damaged.writeUInt8((damaged.readUInt8(at) ^ 1) & 0xff, at)
      const read: PeerMessage[] = []
      try {
        read.push(...new MessageReader().take(damaged))
      } catch {
        continue
      }
      assert.deepEqual(read, [], `byte ${at}`)
    }
  }
})

test('a message of senseless length is refused before it is waited for', () => {
  const bytes = encodeMessage({ type: 'forward', proposals: [] })
  bytes.writeUInt32LE(2 ** 31, 0)
  assert.throws(() => [...new MessageReader().take(bytes)], /cannot be read/)
})
