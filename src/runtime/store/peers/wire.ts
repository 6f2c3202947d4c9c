/**
 * What members say to each other, as bytes: `length u32 · CRC-32 u32 · kind u8 · reserved u24 · numbers (u64 each) ·
 * rest`, little-endian; length and checksum are of all that follows them. Entries travel as the very bytes that are
 * in the log. Numbers and rest depend on the kind: see the table.
 */

import { crc32 } from 'node:zlib'
import { Mk8sError } from '../../../base/errors.ts'
import { type Entry, readNumber, splitEntries, writeNumber } from '../../raft/entry.ts'
import { decodeConfiguration, encodeConfiguration } from '../../raft/membership.ts'
import type { Message, MessageBody } from '../../raft/messages.ts'
import type { LeaseOutcome, PeerMessage, ProposerRequest } from './peer-network.ts'

/** The latest version of this format, and the earliest that is still spoken; peers with none in common do not talk. */
export const WIRE_VERSION = 1
export const WIRE_VERSION_MIN = 1
/** An append of full size and the largest transaction behind it fit well. */
export const MESSAGE_BYTES_MAX = 8 * 1024 * 1024
const PREFIX_BYTES = 8
const KIND_BYTES = 4

const kinds: readonly PeerKind[] = [
  'forward',
  'pre-vote',
  'pre-vote-reply',
  'vote',
  'vote-reply',
  'append',
  'append-reply',
  'append-refusal',
  'heartbeat',
  'heartbeat-reply',
  'read-index',
  'read-index-reply',
  'snapshot',
  'snapshot-reply',
  'timeout-now',
  'read-index-refusal',
  'forward-refusal',
  'keep-lease',
  'lease-kept',
]
type RaftKind = 'append-refusal' | Message['type']
type PeerKind = RaftKind | Exclude<PeerMessage['type'], 'raft'>

const leaseOutcomes = ['kept', 'no-lease', 'no-leader'] as const

/** A message taken apart: its numbers, and the buffers behind them. */
interface Parts {
  readonly kind: PeerKind
  readonly numbers: readonly number[]
  readonly rest: readonly Buffer[]
}

export function encodeMessage(message: PeerMessage): Buffer {
  const { kind, numbers, rest } = takeApart(message)
  const restBytes = rest.reduce((total, part) => total + part.length, 0)
  const bytes = Buffer.allocUnsafe(PREFIX_BYTES + KIND_BYTES + 8 * numbers.length + restBytes)
  bytes.writeUInt32LE(kinds.indexOf(kind), PREFIX_BYTES)
  let offset = PREFIX_BYTES + KIND_BYTES
  for (const number of numbers) {
    writeNumber(bytes, offset, number)
    offset += 8
  }
  for (const part of rest) offset += part.copy(bytes, offset)
  bytes.writeUInt32LE(bytes.length - PREFIX_BYTES, 0)
  bytes.writeUInt32LE(crc32(bytes.subarray(PREFIX_BYTES)), 4)
  return bytes
}

function takeApart(message: PeerMessage): Parts {
  if (message.type === 'forward') return { kind: 'forward', numbers: [], rest: message.proposals }
  if (message.type === 'forward-refusal') {
    const numbers = message.requests.flatMap(({ proposer, request }) => [proposer, request])
    return { kind: message.type, numbers, rest: [] }
  }
  if (message.type === 'keep-lease') {
    const { type: kind, question, lease, renew } = message
    return { kind, numbers: [question, lease, renew ? 1 : 0], rest: [] }
  }
  if (message.type === 'lease-kept') {
    const { type: kind, question, outcome } = message
    const ttlMs = outcome.kind === 'kept' ? outcome.ttlMs : 0
    return { kind, numbers: [question, leaseOutcomes.indexOf(outcome.kind), ttlMs], rest: [] }
  }
  const { from, to, term } = message.message
  const { kind, numbers, rest } = takeBodyApart(message.message)
  return { kind, numbers: [from, to, term, ...numbers], rest }
}

function takeBodyApart(body: MessageBody): Parts {
  const kind = body.type
  const plain = (...numbers: number[]): Parts => ({ kind, numbers, rest: [] })
  switch (body.type) {
    case 'pre-vote':
      return plain(body.lastIndex, body.lastTerm)
    case 'vote':
      return plain(body.lastIndex, body.lastTerm, body.transfer ? 1 : 0)
    case 'pre-vote-reply':
    case 'vote-reply':
      return plain(body.granted ? 1 : 0)
    case 'append': {
      const rest = body.entries.map(entry => entry.bytes)
      return { kind, numbers: [body.previousIndex, body.previousTerm, body.commit, body.attempt], rest }
    }
    case 'append-reply':
      if (!body.rejected) return plain(body.index)
      return {
        ...plain(body.index, body.indexTerm, body.previousIndex, body.attempt),
        kind: 'append-refusal',
      }
    case 'heartbeat':
      return plain(body.commit, body.read, body.electionTicks, body.sequence)
    case 'heartbeat-reply':
      return plain(body.read, body.sequence)
    case 'read-index':
    case 'read-index-refusal':
      return plain(body.context)
    case 'read-index-reply':
      return plain(body.context, body.index)
    case 'snapshot': {
      const { snapshot, offset, data, last } = body.chunk
      const members = encodeConfiguration(snapshot.configuration)
      const numbers = [snapshot.id, snapshot.index, snapshot.term, offset, last ? 1 : 0, members.length]
      return { kind, numbers, rest: [members, data] }
    }
    case 'snapshot-reply':
      return plain(body.id, body.next)
    case 'timeout-now':
      return plain()
  }
}

/** Cuts a stream of bytes into messages. Throws when they make no sense; the link has to be closed then. */
export class MessageReader {
  /** What arrived of a message that is not whole. */
  #waiting: Buffer[] = []
  #waitingBytes = 0
  /** Until there are so many, there is nothing to be done. */
  #neededBytes = PREFIX_BYTES

  take(bytes: Buffer): PeerMessage[] {
    this.#waiting.push(bytes)
    this.#waitingBytes += bytes.length
    if (this.#waitingBytes < this.#neededBytes) return []
    const all = this.#waiting.length === 1 ? bytes : Buffer.concat(this.#waiting, this.#waitingBytes)
    const messages: PeerMessage[] = []
    let offset = 0
    for (;;) {
      const end = offset + wholeBytes(all, offset)
      this.#neededBytes = end - offset
      if (all.length < end) break
      const message = all.subarray(offset + PREFIX_BYTES, end)
      if (crc32(message) !== all.readUInt32LE(offset + 4)) throw malformed('its checksum does not fit')
      messages.push(decodeMessage(message))
      offset = end
    }
    this.#waiting = offset === all.length ? [] : [all.subarray(offset)]
    this.#waitingBytes = all.length - offset
    return messages
  }
}

/** As far as known, of the message that begins at `offset`. */
function wholeBytes(bytes: Buffer, offset: number): number {
  if (bytes.length - offset < PREFIX_BYTES) return PREFIX_BYTES
  const length = bytes.readUInt32LE(offset)
  if (length > MESSAGE_BYTES_MAX || length < KIND_BYTES)
    throw malformed(`it says that it has ${length} bytes`)
  return PREFIX_BYTES + length
}

function decodeMessage(bytes: Buffer): PeerMessage {
  const kind = kinds[bytes.readUInt32LE(0)]
  if (kind === undefined) throw malformed(`it has the unknown kind ${bytes.readUInt32LE(0)}`)
  if (kind === 'forward') return { type: 'forward', proposals: wholeEntries(bytes.subarray(KIND_BYTES)) }
  let offset = KIND_BYTES
  const number = (): number => {
    offset += 8
    if (offset > bytes.length) throw malformed('it is too short')
    return readNumber(bytes, offset - 8)
  }
  if (kind === 'forward-refusal')
    return { type: kind, requests: readRequests(number, (bytes.length - offset) / 16) }
  if (kind === 'keep-lease') {
    const [question, lease] = [number(), number()]
    // Earlier versions of mk8s say no more, and mean to keep it.
    return { type: kind, question, lease, renew: offset === bytes.length || number() === 1 }
  }
  if (kind === 'lease-kept') return { type: kind, question: number(), outcome: readOutcome(number) }
  const envelope = { from: number(), to: number(), term: number() }
  const body = readBody(kind, number, () => bytes.subarray(offset))
  return { type: 'raft', message: { ...envelope, ...body } }
}

function readRequests(number: () => number, count: number): ProposerRequest[] {
  return Array.from({ length: count }, () => ({ proposer: number(), request: number() }))
}

function readOutcome(number: () => number): LeaseOutcome {
  const kind = leaseOutcomes[number()]
  const ttlMs = number()
  if (kind === undefined) throw malformed('it has an unknown outcome')
  return kind === 'kept' ? { kind, ttlMs } : { kind }
}

function readBody(kind: RaftKind, number: () => number, rest: () => Buffer): MessageBody {
  switch (kind) {
    case 'pre-vote':
      return { type: kind, lastIndex: number(), lastTerm: number() }
    case 'vote':
      return { type: kind, lastIndex: number(), lastTerm: number(), transfer: number() === 1 }
    case 'pre-vote-reply':
    case 'vote-reply':
      return { type: kind, granted: number() === 1 }
    case 'append': {
      const place = {
        previousIndex: number(),
        previousTerm: number(),
        commit: number(),
        attempt: number(),
      }
      return { type: kind, ...place, entries: wholeEntries(rest()).map(entryOf) }
    }
    case 'append-reply':
      return { type: kind, index: number(), rejected: false }
    case 'append-refusal': {
      const place = { index: number(), indexTerm: number(), previousIndex: number(), attempt: number() }
      return { type: 'append-reply', rejected: true, ...place }
    }
    case 'heartbeat':
      return { type: kind, commit: number(), read: number(), electionTicks: number(), sequence: number() }
    case 'heartbeat-reply':
      return { type: kind, read: number(), sequence: number() }
    case 'read-index':
    case 'read-index-refusal':
      return { type: kind, context: number() }
    case 'read-index-reply':
      return { type: kind, context: number(), index: number() }
    case 'snapshot':
      return readSnapshot(number, rest)
    case 'snapshot-reply':
      return { type: kind, id: number(), next: number() }
    case 'timeout-now':
      return { type: kind }
  }
}

function readSnapshot(number: () => number, rest: () => Buffer): MessageBody {
  const place = { id: number(), index: number(), term: number() }
  const [offset, last, membersBytes] = [number(), number() === 1, number()]
  const configuration = decodeConfiguration(rest().subarray(0, membersBytes))
  const data = rest().subarray(membersBytes)
  return { type: 'snapshot', chunk: { snapshot: { ...place, configuration }, offset, data, last } }
}

function wholeEntries(bytes: Buffer): Buffer[] {
  const entries = splitEntries(bytes)
  if (entries === null) throw malformed('an entry is cut off')
  return entries
}

function entryOf(bytes: Buffer): Entry {
  return { type: bytes.readUInt8(0), index: readNumber(bytes, 8), term: readNumber(bytes, 16), bytes }
}

function malformed(why: string): Mk8sError {
  return new Mk8sError('store/corrupt', 'a message of another member cannot be read', { why })
}
