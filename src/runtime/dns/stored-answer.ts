/** An answer as the cache keeps it, and what one asker gets of it: its id, its spelling, its size, its age. Pure. */
import {
  CLASS_IN,
  FLAG,
  FLAG_AUTHENTIC,
  FLAG_CHECKING_DISABLED,
  FLAG_RECURSION_AVAILABLE,
  FLAG_RECURSION_DESIRED,
  HEADER_BYTES,
  RCODE,
  TYPE,
} from './record-types.ts'
import type { Edns, Query } from './wire-query.ts'

interface StoredRecord {
  /** 0 answer, 1 authority, 2 additional. */
  readonly section: number
  readonly ttlAt: number
  readonly end: number
  readonly type: number
}

export interface StoredAnswer {
  /** A whole message without EDNS; its id says nothing. */
  readonly bytes: Buffer
  readonly questionEnd: number
  readonly records: readonly StoredRecord[]
  /** Seconds for which it may be given; 0 for none. */
  readonly ttl: number
  readonly rcode: number
  /** It consists of so many addresses of the asked name, which may stand in any order. */
  readonly addresses: number
}

/** What a UDP answer may have without EDNS, and with it at most: more would be cut into fragments. */
const PLAIN_BYTES_MAX = 512
const UDP_BYTES_MAX = 1_232
const TCP_BYTES_MAX = 65_535
const OPT_BYTES = 11
const ADDRESS_RECORD_BYTES = 16
/** `0xc00c`: the asked name. */
const TO_QUESTION = 0xc00c
const NEGATIVE_TTL_MAX = 300
const TTL_MAX = 900

/** Rejects what is no message, by throwing. EDNS, which is between two neighbours only, is taken off. */
export function storeAnswer(message: Buffer): StoredAnswer {
  if (message.length < HEADER_BYTES || message.readUInt16BE(4) !== 1)
    throw new Error('no answer to one question')
  const questionEnd = skipName(message, HEADER_BYTES) + 4
  const records: StoredRecord[] = []
  const counts = [0, 0, 0]
  let at = questionEnd
  let end = at
  let isCut = false
  for (let section = 0; section < 3; section++) {
    const wanted = message.readUInt16BE(6 + 2 * section)
    for (let index = 0; index < wanted; index++) {
      const header = skipName(message, at)
      const type = message.readUInt16BE(header)
      at = header + 10 + message.readUInt16BE(header + 8)
      if (at > message.length) throw new Error('a record ends behind the message')
      // What follows it may point to behind it.
      if (type === TYPE.OPT) isCut = true
      if (isCut) continue
      counts[section] = (counts[section] ?? 0) + 1
      records.push({ section, ttlAt: header + 4, end: at, type })
      end = at
    }
  }
  const bytes = Buffer.from(message.subarray(0, end))
  counts.forEach((count, section) => {
    bytes.writeUInt16BE(count, 6 + 2 * section)
  })
  const rcode = bytes.readUInt16BE(2) & 15
  const addresses = countAddresses(bytes, records, questionEnd)
  return { bytes, questionEnd, records, rcode, addresses, ttl: ttlOf(bytes, records, rcode) }
}

/** Behind a name, which may end in a pointer. Does not follow it, so it cannot go round in circles. */
export function skipName(bytes: Buffer, start: number): number {
  let at = start
  for (;;) {
    const length = bytes[at]
    if (length === undefined) throw new Error('a name ends behind the message')
    if (length >= 0xc0) return at + 2
    if (length > 63) throw new Error('a label of an unknown kind')
    at += length + 1
    if (length === 0) return at
  }
}

function countAddresses(bytes: Buffer, records: readonly StoredRecord[], questionEnd: number): number {
  const isPlain = records.every(
    ({ section, type, end }, index) =>
      section === 0 &&
      type === TYPE.A &&
      end === questionEnd + (index + 1) * ADDRESS_RECORD_BYTES &&
      bytes.readUInt16BE(end - ADDRESS_RECORD_BYTES) === TO_QUESTION,
  )
  return isPlain ? records.length : 0
}

/** RFC 2308: what is not there is believed for as long as the zone's SOA says. */
function ttlOf(bytes: Buffer, records: readonly StoredRecord[], rcode: number): number {
  if (rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN) return 0
  if ((bytes.readUInt16BE(2) & FLAG.truncated) !== 0) return 0
  const ttls = records.map(({ ttlAt }) => bytes.readUInt32BE(ttlAt)).map(ttl => (ttl > 0x7fffffff ? 0 : ttl))
  const isPositive = rcode === RCODE.NOERROR && records.some(({ section }) => section === 0)
  if (isPositive) return Math.min(TTL_MAX, ...ttls)
  const soa = records.find(({ section, type }) => section === 1 && type === TYPE.SOA)
  if (soa === undefined) return 0
  return Math.min(NEGATIVE_TTL_MAX, bytes.readUInt32BE(soa.end - 4), ...ttls)
}

export interface Asker {
  readonly query: Query
  readonly isTcp: boolean
  /** How long the answer has been kept; null where its times to live do not run down. */
  readonly ageSeconds: number | null
  /** Any number; moves the first address on. */
  readonly turn: number
}

export function answerFor(stored: StoredAnswer, { query, isTcp, ageSeconds, turn }: Asker): Buffer {
  const { edns } = query
  const limit = messageLimit(edns, isTcp)
  const { end, kept, isTruncated } = whatFits(stored, edns === null ? limit : limit - OPT_BYTES)
  const answer = Buffer.allocUnsafe(edns === null ? end : end + OPT_BYTES)
  answer.set(end === stored.bytes.length ? stored.bytes : stored.bytes.subarray(0, end))
  query.bytes.copy(answer, 0, 0, 2)
  query.bytes.copy(answer, HEADER_BYTES, HEADER_BYTES, stored.questionEnd)
  answer.writeUInt16BE(flagsFor(stored, query, isTruncated), 2)
  if (end < stored.bytes.length) writeCounts(answer, kept)
  if (ageSeconds !== null && ageSeconds > 0) ageRecords(answer, kept, ageSeconds)
  if (stored.addresses > 1 && !isTruncated) turnAddresses(answer, stored, turn)
  if (edns !== null) writeOpt(answer, end, { edns, rcode: stored.rcode })
  return answer
}

/** One without records. The question is repeated as far as it could be read. */
export function refusal(parts: {
  readonly bytes: Buffer
  readonly rcode: number
  readonly questionEnd: number
  readonly edns: Edns | null
}): Buffer {
  const { bytes, rcode, questionEnd, edns } = parts
  const answer = Buffer.alloc(questionEnd + (edns === null ? 0 : OPT_BYTES))
  bytes.copy(answer, 0, 0, questionEnd)
  answer.fill(0, 4, HEADER_BYTES)
  const kept = bytes.readUInt16BE(2) & (0x7800 | FLAG_RECURSION_DESIRED | FLAG_CHECKING_DISABLED)
  answer.writeUInt16BE(FLAG.response | kept | FLAG_RECURSION_AVAILABLE | (rcode & 15), 2)
  answer.writeUInt16BE(questionEnd > HEADER_BYTES ? 1 : 0, 4)
  if (edns !== null) writeOpt(answer, questionEnd, { edns, rcode })
  return answer
}

function messageLimit(edns: Edns | null, isTcp: boolean): number {
  if (isTcp) return TCP_BYTES_MAX
  if (edns === null) return PLAIN_BYTES_MAX
  return Math.min(UDP_BYTES_MAX, Math.max(PLAIN_BYTES_MAX, edns.payloadBytes))
}

/** Whole records only. That additional ones are missing makes nobody ask again. */
function whatFits(stored: StoredAnswer, limit: number) {
  const { bytes, records, questionEnd } = stored
  if (bytes.length <= limit) return { end: bytes.length, kept: records, isTruncated: false }
  const kept = records.filter(({ end }) => end <= limit)
  const isTruncated = records.some(({ section, end }) => section < 2 && end > limit)
  return { end: kept.at(-1)?.end ?? questionEnd, kept, isTruncated }
}

function flagsFor({ bytes }: StoredAnswer, query: Query, isTruncated: boolean): number {
  const own = bytes.readUInt16BE(2) & (FLAG.authoritative | FLAG.truncated | 15)
  // Whether it was checked is of use to those only who ask for that.
  const isCurious = query.edns?.dnssecOk === true || (query.flags & FLAG_AUTHENTIC) !== 0
  const authentic = isCurious ? bytes.readUInt16BE(2) & FLAG_AUTHENTIC : 0
  const asked = query.flags & (FLAG_RECURSION_DESIRED | FLAG_CHECKING_DISABLED)
  const truncated = isTruncated ? FLAG.truncated : 0
  return FLAG.response | own | authentic | asked | truncated | FLAG_RECURSION_AVAILABLE
}

function writeCounts(answer: Buffer, kept: readonly StoredRecord[]): void {
  for (let section = 0; section < 3; section++) {
    const count = kept.filter(record => record.section === section).length
    answer.writeUInt16BE(count, 6 + 2 * section)
  }
}

function ageRecords(answer: Buffer, records: readonly StoredRecord[], ageSeconds: number): void {
  for (const { ttlAt } of records) {
    answer.writeUInt32BE(Math.max(0, answer.readUInt32BE(ttlAt) - ageSeconds), ttlAt)
  }
}

/** Clients take the first one, so each address is to be the first in turn. */
function turnAddresses(answer: Buffer, { addresses, bytes, questionEnd }: StoredAnswer, turn: number): void {
  const shift = (turn % addresses) * ADDRESS_RECORD_BYTES
  const end = questionEnd + addresses * ADDRESS_RECORD_BYTES
  for (let index = 0; index < addresses; index++) {
    const from = questionEnd + ((shift + index * ADDRESS_RECORD_BYTES) % (end - questionEnd))
    const to = questionEnd + index * ADDRESS_RECORD_BYTES
    bytes.copy(answer, to + 12, from + 12, from + ADDRESS_RECORD_BYTES)
  }
}

function writeOpt(
  answer: Buffer,
  at: number,
  { edns, rcode }: { readonly edns: Edns; readonly rcode: number },
): void {
  answer[at] = 0
  answer.writeUInt16BE(TYPE.OPT, at + 1)
  answer.writeUInt16BE(UDP_BYTES_MAX, at + 3)
  answer[at + 5] = rcode >> 4
  answer[at + 6] = 0
  answer.writeUInt16BE(edns.dnssecOk ? 0x8000 : 0, at + 7)
  answer.writeUInt16BE(0, at + 9)
  answer.writeUInt16BE(answer.readUInt16BE(10) + 1, 10)
}

/** Whether an answer belongs to this question, spelled in whatever way. */
export function repeatsQuestion(answer: Buffer, question: Buffer): boolean {
  const end = HEADER_BYTES + question.length
  if (answer.length < end || answer.readUInt16BE(4) !== 1) return false
  const lower = (bytes: Buffer) => bytes.toString('latin1', 0, bytes.length - 4).toLowerCase()
  const repeated = answer.subarray(HEADER_BYTES, end)
  if (lower(repeated) !== lower(question)) return false
  return (
    repeated.readUInt32BE(repeated.length - 4) === question.readUInt32BE(question.length - 4) &&
    repeated.readUInt16BE(repeated.length - 2) === CLASS_IN
  )
}
