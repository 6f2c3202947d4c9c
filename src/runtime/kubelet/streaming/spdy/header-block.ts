/**
 * Name and value blocks of SPDY/3: compressed with one zlib stream for each direction and a dictionary that the
 * protocol fixes. What we send are stored blocks, which every inflater reads and which need no state.
 */
import { constants, createInflate, type Inflate } from 'node:zlib'

export type SpdyHeaders = ReadonlyMap<string, string>

const HEADERS_MAX = 64
const BLOCK_BYTES_MAX = 32 * 1024

const DICTIONARY_WORDS =
  'options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age ' +
  'allow authorization cache-control connection content-base content-encoding content-language content-length ' +
  'content-location content-md5 content-range content-type date etag expect expires from host if-match ' +
  'if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma ' +
  'proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade ' +
  'user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie ' +
  'keep-alive origin'

const DICTIONARY_TAIL =
  '100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505' +
  '203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized' +
  '403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable' +
  'Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT' +
  'chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,' +
  'text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.'

/** SPDY/3, section 2.6.10.1: words with their lengths, then text. */
export const SPDY_DICTIONARY = Buffer.concat([
  ...DICTIONARY_WORDS.split(' ').map(word => lengthPrefixed(word.replace('_', ' '))),
  Buffer.from(DICTIONARY_TAIL, 'latin1'),
])

/** Header of a zlib stream that names the dictionary by its Adler-32. */
const ZLIB_HEADER = Buffer.from([0x78, 0xbb, 0xe3, 0xc6, 0xa7, 0xc2])
const SYNC_MARK = Buffer.from([0x00, 0x00, 0x00, 0xff, 0xff])

function lengthPrefixed(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1')
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

function encodePairs(headers: SpdyHeaders): Buffer {
  const count = Buffer.alloc(4)
  count.writeUInt32BE(headers.size)
  const pairs = [...headers].flatMap(([name, value]) => [
    lengthPrefixed(name.toLowerCase()),
    lengthPrefixed(value),
  ])
  return Buffer.concat([count, ...pairs])
}

/** Null when the bytes are no name and value block. */
export function decodePairs(block: Buffer): SpdyHeaders | null {
  let at = 0
  const number = (): number => {
    const value = at + 4 <= block.length ? block.readUInt32BE(at) : -1
    at += 4
    return value
  }
  const text = (): string | null => {
    const length = number()
    if (length < 0 || at + length > block.length) return null
    at += length
    return block.toString('latin1', at - length, at)
  }
  const headers = new Map<string, string>()
  const count = number()
  if (count < 0 || count > HEADERS_MAX) return null
  for (let index = 0; index < count; index += 1) {
    const name = text()
    const value = text()
    if (name === null || value === null) return null
    headers.set(name.toLowerCase(), value)
  }
  return headers
}

/** The sending half of one connection. */
export class HeaderEncoder {
  #isFirst = true

  encode(headers: SpdyHeaders): Buffer {
    const data = encodePairs(headers)
    const start = Buffer.alloc(5)
    start.writeUInt16LE(data.length, 1)
    start.writeUInt16LE(~data.length & 0xffff, 3)
    const head = this.#isFirst ? [ZLIB_HEADER] : []
    this.#isFirst = false
    return Buffer.concat([...head, start, data, SYNC_MARK])
  }
}

/** The receiving half: blocks must be given in their order, one after the other. */
export class HeaderDecoder {
  readonly #inflate: Inflate = createInflate({
    dictionary: SPDY_DICTIONARY,
    flush: constants.Z_SYNC_FLUSH,
    finishFlush: constants.Z_SYNC_FLUSH,
  })
  #pieces: Buffer[] = []
  #bytes = 0
  #error: Error | null = null

  constructor() {
    this.#inflate.on('data', (piece: Buffer) => {
      this.#bytes += piece.length
      if (this.#bytes <= BLOCK_BYTES_MAX) this.#pieces.push(piece)
    })
    this.#inflate.on('error', error => {
      this.#error = error
    })
  }

  /** Null when the block cannot be read; then nothing that follows can. */
  async decode(compressed: Buffer): Promise<SpdyHeaders | null> {
    if (this.#error !== null) return null
    this.#pieces = []
    this.#bytes = 0
    await new Promise<void>(resolve => {
      this.#inflate.once('error', () => resolve())
      this.#inflate.write(compressed, () => resolve())
    })
    this.#inflate.removeAllListeners('error').on('error', error => {
      this.#error = error
    })
    if (this.#error !== null || this.#bytes > BLOCK_BYTES_MAX) return null
    return decodePairs(Buffer.concat(this.#pieces))
  }

  close(): void {
    this.#inflate.destroy()
  }
}
