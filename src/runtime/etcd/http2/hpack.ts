/**
 * HPACK, header compression of HTTP/2: decodes what clients send, with their table of earlier headers; what we
 * send is encoded without one, so that the few blocks there are can be made once. Source: RFC 7541.
 */
import { Http2Error, http2Errors } from './errors.ts'
import { decodeHuffman } from './huffman.ts'

export type Headers = ReadonlyMap<string, string>

type Header = readonly [name: string, value: string]

const TABLE_BYTES_MAX = 4_096
const ENTRY_OVERHEAD_BYTES = 32
/** Blocks that are remembered with what they mean, per connection. */
const REMEMBERED_MAX = 32
/** Larger ones are decoded each time. */
const REMEMBERED_BYTES_MAX = 1_024
/** No length in a block needs more than so many bytes behind its prefix. */
const INTEGER_BYTES_MAX = 4

const staticTable: readonly Header[] = [
  ...[':authority=', ':method=GET', ':method=POST', ':path=/', ':path=/index.html', ':scheme=http'],
  ...[':scheme=https', ':status=200', ':status=204', ':status=206', ':status=304', ':status=400'],
  ...[':status=404', ':status=500', 'accept-charset=', 'accept-encoding=gzip, deflate', 'accept-language='],
  ...['accept-ranges=', 'accept=', 'access-control-allow-origin=', 'age=', 'allow=', 'authorization='],
  ...['cache-control=', 'content-disposition=', 'content-encoding=', 'content-language=', 'content-length='],
  ...['content-location=', 'content-range=', 'content-type=', 'cookie=', 'date=', 'etag=', 'expect='],
  ...['expires=', 'from=', 'host=', 'if-match=', 'if-modified-since=', 'if-none-match=', 'if-range='],
  ...['if-unmodified-since=', 'last-modified=', 'link=', 'location=', 'max-forwards=', 'proxy-authenticate='],
  ...['proxy-authorization=', 'range=', 'referer=', 'refresh=', 'retry-after=', 'server=', 'set-cookie='],
  ...[
    'strict-transport-security=',
    'transfer-encoding=',
    'user-agent=',
    'vary=',
    'via=',
    'www-authenticate=',
  ],
].map(text => [text.slice(0, text.indexOf('=', 1)), text.slice(text.indexOf('=', 1) + 1)] as const)

export class HeaderDecoder {
  readonly #bytesMax: number
  /** Newest first. */
  readonly #table: Header[] = []
  #tableBytes = 0
  #tableBytesMax = TABLE_BYTES_MAX
  /** What a block means, as long as the table stays what it is. Clients send the same ones over and over. */
  readonly #remembered = new Map<string, Headers>()
  #block: Buffer = Buffer.alloc(0)
  #at = 0

  /** A block of headers of more than `bytesMax` ends the connection. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** Of a header that occurs several times the last one counts. */
  decode(block: Buffer): Headers {
    const text = block.length > REMEMBERED_BYTES_MAX ? null : block.toString('latin1')
    const known = text === null ? undefined : this.#remembered.get(text)
    if (known !== undefined) return known
    this.#block = block
    this.#at = 0
    const headers = new Map<string, string>()
    let [bytes, changed] = [0, false]
    while (this.#at < block.length) {
      const first = block[this.#at] ?? 0
      changed ||= first < 0x80 && first >= 0x20
      const header = this.#next(first)
      if (header === null) continue
      bytes += sizeOf(header)
      if (bytes > this.#bytesMax) throw new Http2Error(http2Errors.enhanceYourCalm, 'too many headers')
      headers.set(...header)
    }
    if (changed || this.#remembered.size >= REMEMBERED_MAX) this.#remembered.clear()
    if (!changed && text !== null) this.#remembered.set(text, headers)
    return headers
  }

  /** Null for what is no header but says how large the table is to be. */
  #next(first: number): Header | null {
    if (first >= 0x80) return this.#entry(this.#integer(7))
    if (first >= 0x40) {
      const header = this.#literal(6)
      this.#keep(header)
      return header
    }
    if (first >= 0x20) {
      this.#resize(this.#integer(5))
      return null
    }
    return this.#literal(4)
  }

  #literal(prefixBits: number): Header {
    const index = this.#integer(prefixBits)
    const name = index === 0 ? this.#string() : this.#entry(index)[0]
    return [name, this.#string()]
  }

  #entry(index: number): Header {
    const entry =
      index <= staticTable.length ? staticTable[index - 1] : this.#table[index - staticTable.length - 1]
    if (entry === undefined) throw compressionError(`there is no header ${index}`)
    return entry
  }

  #keep(header: Header): void {
    this.#table.unshift(header)
    this.#tableBytes += sizeOf(header)
    this.#evict()
  }

  #resize(bytes: number): void {
    if (bytes > TABLE_BYTES_MAX) throw compressionError('the table of headers is too large')
    this.#tableBytesMax = bytes
    this.#evict()
  }

  #evict(): void {
    while (this.#tableBytes > this.#tableBytesMax) {
      const oldest = this.#table.pop()
      if (oldest !== undefined) this.#tableBytes -= sizeOf(oldest)
    }
  }

  #string(): string {
    const huffman = ((this.#block[this.#at] ?? 0) & 0x80) !== 0
    const end = this.#integer(7) + this.#at
    if (end > this.#block.length) throw compressionError('a header is cut off')
    const bytes = this.#block.subarray(this.#at, end)
    this.#at = end
    return huffman ? decodeHuffman(bytes) : bytes.toString('latin1')
  }

  #integer(prefixBits: number): number {
    const full = (1 << prefixBits) - 1
    let value = this.#byte() & full
    if (value < full) return value
    for (let index = 0; index < INTEGER_BYTES_MAX; index++) {
      const byte = this.#byte()
      value += (byte & 0x7f) * 2 ** (7 * index)
      if (byte < 0x80) return value
    }
    throw compressionError('a number is too long')
  }

  #byte(): number {
    const byte = this.#block[this.#at++]
    if (byte === undefined) throw compressionError('a header is cut off')
    return byte
  }
}

/** A block that leaves the client's table as it is. Names and values have less than 16 KiB. */
export function encodeHeaders(headers: Readonly<Record<string, string>>): Buffer {
  const parts: Buffer[] = []
  for (const [name, value] of Object.entries(headers)) {
    const known = staticTable.findIndex(entry => entry[0] === name && entry[1] === value)
    if (known >= 0) parts.push(Buffer.of(0x80 | (known + 1)))
    else parts.push(Buffer.of(0), encodeString(name), encodeString(value))
  }
  return Buffer.concat(parts)
}

function encodeString(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1')
  const rest = bytes.length - 0x7f
  if (rest < 0) return Buffer.concat([Buffer.of(bytes.length), bytes])
  const length = rest < 0x80 ? [rest] : [(rest & 0x7f) | 0x80, rest >> 7]
  return Buffer.concat([Buffer.of(0x7f, ...length), bytes])
}

const sizeOf = ([name, value]: Header): number => name.length + value.length + ENTRY_OVERHEAD_BYTES

function compressionError(message: string): Http2Error {
  return new Http2Error(http2Errors.compression, message)
}
