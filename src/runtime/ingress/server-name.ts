/** The name that a TLS handshake asks for, read out of its first bytes without taking part in it (RFC 8446, 6066). Pure. */

/** Of a whole first message; longer ones are no browser's. */
export const HELLO_BYTES_MAX = 64 * 1024

const HANDSHAKE_RECORD = 22
const CLIENT_HELLO = 1
const SERVER_NAME = 0
const RECORD_HEAD = 5
/** A first message in more pieces than this is meant to cost time. */
const RECORDS_MAX = 16

/** Small letters; empty: it asks for none. */
export function parseServerName(bytes: Buffer): { readonly name: string } | 'more' | 'bad' {
  const message = handshakeOf(bytes)
  if (message === 'more' || message === 'bad') return message
  try {
    return { name: nameIn(message) }
  } catch {
    return 'bad'
  }
}

/** The first message, which may be spread over several records. */
function handshakeOf(bytes: Buffer): Buffer | 'more' | 'bad' {
  const parts: Buffer[] = []
  let gathered = 0
  for (let at = 0; ; ) {
    if (bytes.length > at && bytes[at] !== HANDSHAKE_RECORD) return 'bad'
    if (bytes.length < at + RECORD_HEAD) return bytes.length > HELLO_BYTES_MAX ? 'bad' : 'more'
    const end = at + RECORD_HEAD + bytes.readUInt16BE(at + 3)
    if (end === at + RECORD_HEAD || parts.length === RECORDS_MAX) return 'bad'
    parts.push(bytes.subarray(at + RECORD_HEAD, end))
    gathered += Math.min(bytes.length, end) - at - RECORD_HEAD
    const message = Buffer.concat(parts)
    if (message.length > 0 && message[0] !== CLIENT_HELLO) return 'bad'
    const whole = message.length < 4 ? Number.POSITIVE_INFINITY : 4 + message.readUIntBE(1, 3)
    if (whole !== Number.POSITIVE_INFINITY && whole > HELLO_BYTES_MAX) return 'bad'
    if (gathered >= whole) return message.subarray(4, whole)
    if (bytes.length < end) return 'more'
    at = end
  }
}

/** Throws where lengths do not fit. */
function nameIn(hello: Buffer): string {
  let at = 2 + 32
  at += 1 + hello.readUInt8(at)
  at += 2 + hello.readUInt16BE(at)
  at += 1 + hello.readUInt8(at)
  if (at === hello.length) return ''
  const end = at + 2 + hello.readUInt16BE(at)
  for (at += 2; at < end; ) {
    const [type, length] = [hello.readUInt16BE(at), hello.readUInt16BE(at + 2)]
    at += 4
    if (type === SERVER_NAME) {
      const size = hello.readUInt16BE(at + 3)
      if (hello.readUInt8(at + 2) !== 0 || at + 5 + size > hello.length) throw new Error('no host name')
      return hello.toString('latin1', at + 5, at + 5 + size).toLowerCase()
    }
    at += length
  }
  return ''
}
