/** Reads a query as far as an answer from the cache needs it: header, question, EDNS. Pure, and takes any bytes. */
import { CLASS_IN, FLAG, HEADER_BYTES, RCODE, TYPE } from './record-types.ts'

export interface Query {
  readonly bytes: Buffer
  readonly id: number
  readonly flags: number
  /** In lower case, with dots between the labels; bytes that could be mistaken are escaped. */
  readonly name: string
  readonly type: number
  /** The question is `bytes[12, questionEnd)`. */
  readonly questionEnd: number
  readonly edns: Edns | null
  /** What an answer depends on: question, DO and CD. */
  readonly key: string
}

export interface Edns {
  readonly payloadBytes: number
  readonly dnssecOk: boolean
  readonly version: number
}

/** `silence`: nothing that deserves an answer. `refusal`: one without records. */
export type ParsedQuery =
  | { readonly kind: 'query'; readonly query: Query }
  | {
      readonly kind: 'refusal'
      readonly bytes: Buffer
      readonly rcode: number
      readonly questionEnd: number
      readonly edns: Edns | null
    }
  | { readonly kind: 'silence' }

const LABEL_MAX = 63
const NAME_BYTES_MAX = 255
const OPT_BYTES = 11
const SILENCE: ParsedQuery = { kind: 'silence' }
const DO_BIT = 0x8000
const CHECKING_DISABLED = 0x0010

export function parseQuery(bytes: Buffer): ParsedQuery {
  if (bytes.length < HEADER_BYTES) return SILENCE
  const flags = bytes.readUInt16BE(2)
  // Answering an answer could go on for ever.
  if ((flags & FLAG.response) !== 0) return SILENCE
  const refuse = (rcode: number, questionEnd = HEADER_BYTES, edns: Edns | null = null): ParsedQuery => ({
    kind: 'refusal',
    ...{ bytes, rcode, questionEnd, edns },
  })
  if ((flags & 0x7800) !== 0) return refuse(RCODE.NOTIMP)
  if (bytes.readUInt16BE(4) !== 1) return refuse(RCODE.FORMERR)
  const nameEnd = plainNameEnd(bytes, HEADER_BYTES)
  if (nameEnd < 0 || nameEnd + 4 > bytes.length) return refuse(RCODE.FORMERR)
  const questionEnd = nameEnd + 4
  const edns = ednsOf(bytes, questionEnd)
  if (edns === 'malformed') return refuse(RCODE.FORMERR, questionEnd)
  if (edns !== null && edns.version !== 0) return refuse(RCODE.BADVERS, questionEnd, edns)
  const type = bytes.readUInt16BE(nameEnd)
  if (bytes.readUInt16BE(nameEnd + 2) !== CLASS_IN) return refuse(RCODE.REFUSED, questionEnd, edns)
  if (type === TYPE.AXFR || type === TYPE.IXFR) return refuse(RCODE.NOTIMP, questionEnd, edns)
  // Not the type: HTTPS is an A in upper case.
  const wire = lowerCase(bytes.toString('latin1', HEADER_BYTES, nameEnd))
  const variant = ((flags & CHECKING_DISABLED) !== 0 ? 1 : 0) + (edns?.dnssecOk === true ? 2 : 0)
  const name = dottedName(wire)
  const key = `${wire}${type} ${variant}`
  return {
    kind: 'query',
    query: { bytes, id: bytes.readUInt16BE(0), flags, name, type, questionEnd, edns, key },
  }
}

/** Behind a name without pointers; -1 when it is none. */
function plainNameEnd(bytes: Buffer, start: number): number {
  let at = start
  for (;;) {
    const length = bytes[at]
    if (length === undefined || length > LABEL_MAX) return -1
    at += length + 1
    if (at - start > NAME_BYTES_MAX) return -1
    if (length === 0) return at
  }
}

const lowerCase = (text: string) => (/[A-Z]/.test(text) ? text.replace(/[A-Z]/g, c => c.toLowerCase()) : text)

/** Of a question as it is on the wire. */
function dottedName(wire: string): string {
  const labels: string[] = []
  for (let at = 0; ; ) {
    const length = wire.charCodeAt(at)
    if (length === 0) return labels.join('.')
    const label = wire.slice(at + 1, at + 1 + length)
    labels.push(/[.\\]/.test(label) ? label.replace(/[.\\]/g, '\\$&') : label)
    at += length + 1
  }
}

/** Nearly always there is nothing behind the question, or just this record. */
function ednsOf(bytes: Buffer, start: number): Edns | null | 'malformed' {
  const records = bytes.readUInt16BE(6) + bytes.readUInt16BE(8)
  const additional = bytes.readUInt16BE(10)
  if (records + additional === 0) return null
  let at = start
  for (let index = 0; index < records + additional; index++) {
    const nameEnd = plainNameEnd(bytes, at)
    if (nameEnd < 0 || nameEnd + OPT_BYTES - 1 > bytes.length) return 'malformed'
    const end = nameEnd + OPT_BYTES - 1 + bytes.readUInt16BE(nameEnd + 8)
    if (end > bytes.length) return 'malformed'
    if (bytes.readUInt16BE(nameEnd) === TYPE.OPT && index >= records) {
      const payloadBytes = bytes.readUInt16BE(nameEnd + 2)
      const dnssecOk = (bytes.readUInt16BE(nameEnd + 6) & DO_BIT) !== 0
      return nameEnd === at + 1 ? { payloadBytes, dnssecOk, version: bytes[nameEnd + 5] ?? 0 } : 'malformed'
    }
    at = end
  }
  return null
}
