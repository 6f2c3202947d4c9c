/**
 * CBOR as Kubernetes speaks it (KEP-4222): what JSON can say, marked as CBOR by tag 55799. Strings are written as byte
 * strings and read from either kind; keys that stand twice are refused, and so is what JSON has no value for.
 */
import { isUtf8 } from 'node:buffer'
import { type DecodeOptions, decode, type EncodeOptions, encode, Token, Tokenizer, Type } from 'cborg'
import { messageOf } from '../../base/errors.ts'
import { formatTime } from '../time.ts'

/** Bytes that are no CBOR, or CBOR that no object is made of. */
export class CborError extends Error {
  override readonly name = 'CborError'
}

/** The head of tag 55799, with which every document begins. */
export const SELF_DESCRIBED = Buffer.of(0xd9, 0xd9, 0xf7)

const NESTING_MAX = 64
const EPOCH = 1
const BIGNUMS = new Set([2, 3])
/** Tags by which a sender says how bytes look as a text. */
const CONVERSIONS = new Map<number, BufferEncoding>([
  [21, 'base64url'],
  [22, 'base64'],
  [23, 'hex'],
])
const INT64_MIN = -(2n ** 63n)
const INT64_MAX = 2n ** 63n - 1n

const encodeOptions: EncodeOptions = {
  ignoreUndefinedProperties: true,
  // Keys stay in their order.
  mapSorter: () => 0,
  typeEncoders: { string: (text: string) => new Token(Type.bytes, Buffer.from(text, 'utf8')) },
}

/** A value without the tag: a part of a document. */
export function encodeCborItem(value: unknown): Buffer {
  const bytes = encode(value, encodeOptions)
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

export const encodeCbor = (value: unknown): Buffer => Buffer.concat([SELF_DESCRIBED, encodeCborItem(value)])

/** The head of an array or a map that is written piece by piece. */
export function cborHead(of: 'array' | 'map', count: number): Buffer {
  const major = of === 'array' ? 0x80 : 0xa0
  if (count < 24) return Buffer.of(major | count)
  const head = Buffer.of(major | 26, 0, 0, 0, 0)
  head.writeUInt32BE(count, 1)
  return head
}

/** The value of a document; throws CborError. */
export function decodeCbor(bytes: Buffer): unknown {
  const options: DecodeOptions = {
    rejectDuplicateMapKeys: true,
    retainStringBytes: true,
    allowUndefined: false,
  }
  try {
    return decode(bytes, { ...options, tokenizer: new BoundedTokens(bytes, options) })
  } catch (error) {
    if (error instanceof CborError) throw error
    throw new CborError(messageOf(error).replace(/^CBOR decode error: /, 'cbor: '))
  }
}

/** What is still open: an array or a map of so many items, endless until its break. */
interface Open {
  left: number
  count: number
  readonly isMap: boolean
}

/** Tokens of one document: within the limit of depth, tags resolved, and every string a text. */
class BoundedTokens {
  readonly #tokens: Tokenizer
  readonly #open: Open[] = []

  constructor(bytes: Buffer, options: DecodeOptions) {
    const view = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#tokens = new Tokenizer(view, { allowNaN: false, allowInfinity: false, ...options })
  }

  done(): boolean {
    return this.#tokens.done()
  }

  pos(): number {
    return this.#tokens.pos()
  }

  next(): Token {
    const { token, tag } = this.#untagged()
    if (token.type === Type.break) {
      this.#close()
      return token
    }
    this.#count()
    if (token.type === Type.array) this.#enter(token.value as number, false)
    else if (token.type === Type.map) this.#enter(token.value as number, true)
    return plain(token, tag)
  }

  /** A tag says how to read what follows; those that are not known say nothing. */
  #untagged(): { token: Token; tag: number } {
    let tag = -1
    for (let nesting = 0; ; nesting++) {
      if (this.#tokens.done()) throw new CborError('unexpected EOF')
      const token = this.#tokens.next()
      if (token.type !== Type.tag) {
        if (tag !== -1 && token.type === Type.break) throw new CborError('cbor: unexpected "break" code')
        return { token, tag }
      }
      tag = Number(token.value)
      if (BIGNUMS.has(tag)) throw new CborError('cbor: bignums are not allowed')
      if (nesting >= NESTING_MAX) throw tooDeep()
    }
  }

  #enter(length: number, isMap: boolean): void {
    if (length === 0) return
    if (this.#open.length >= NESTING_MAX) throw tooDeep()
    this.#open.push({ left: isMap ? length * 2 : length, count: 0, isMap })
  }

  #count(): void {
    while (this.#open.at(-1)?.left === 0) this.#open.pop()
    const top = this.#open.at(-1)
    if (top === undefined) return
    top.left -= 1
    top.count += 1
  }

  #close(): void {
    while (this.#open.at(-1)?.left === 0) this.#open.pop()
    const top = this.#open.pop()
    const isEnd = top !== undefined && top.left === Number.POSITIVE_INFINITY
    if (!isEnd || (top.isMap && top.count % 2 === 1)) throw new CborError('cbor: unexpected "break" code')
  }
}

const tooDeep = () => new CborError(`cbor: exceeded max nested level ${NESTING_MAX}`)

/** The token with a value that JSON has. */
function plain(token: Token, tag: number): Token {
  const { type, value, encodedLength } = token
  if (type === Type.bytes) return new Token(Type.string, textOf(value, tag), encodedLength)
  if (type === Type.string) {
    const bytes = token.byteValue
    if (bytes !== undefined && !isUtf8(bytes)) throw new CborError('cbor: invalid UTF-8 string')
    return token
  }
  if (typeof value !== 'number' && typeof value !== 'bigint') return token
  if (tag === EPOCH) return new Token(Type.string, formatTime(Number(value) * 1000), encodedLength)
  if (typeof value === 'number') return token
  if (value < INT64_MIN || value > INT64_MAX) {
    throw new CborError(`cbor: cannot unmarshal ${value} into Go value of type int64`)
  }
  return new Token(type, Number(value), encodedLength)
}

/** Bytes under a tag of expected conversion are shown in that form. */
function textOf(value: Uint8Array, tag: number): string {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  const form = CONVERSIONS.get(tag)
  if (form !== undefined) return bytes.toString(form)
  if (!isUtf8(bytes)) throw new CborError('cbor: a byte string is not valid UTF-8')
  return bytes.toString('utf8')
}
