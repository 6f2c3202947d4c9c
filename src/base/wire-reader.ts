/** Reads the protobuf wire format: field by field, without copying. Source: protobuf's encoding specification. */

/** A message that ends in the middle of a field, or holds something that is no protobuf. */
export class WireError extends Error {}

const VARINT_BYTES_MAX = 10

export class WireReader {
  readonly #bytes: Buffer
  #at = 0
  #wireType = 0
  /** Number of the field that `next` found. */
  field = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /** Moves to the next field; false at the end. */
  next(): boolean {
    if (this.#at >= this.#bytes.length) return false
    const key = this.#readNumber()
    this.field = Math.floor(key / 8)
    this.#wireType = key & 7
    if (this.field === 0) throw new WireError('a field has the number 0')
    return true
  }

  /** Whether the field is a number rather than bytes. */
  get isNumber(): boolean {
    return this.#wireType === 0
  }

  varint(): bigint {
    this.#expect(0)
    return this.#readVarint()
  }

  /** A signed 64-bit value; beyond 2^53 the nearest number. */
  int64(): number {
    this.#expect(0)
    return this.#readNumber()
  }

  /** A repeated number, packed into bytes or, as this one element, on its own. */
  packedInt64(): number[] {
    if (this.#wireType === 0) return [this.#readNumber()]
    const packed = new WireReader(this.bytes())
    const numbers: number[] = []
    while (packed.#at < packed.#bytes.length) numbers.push(packed.#readNumber())
    return numbers
  }

  bool(): boolean {
    return this.int64() !== 0
  }

  /** A length-delimited value: a view, not a copy. */
  bytes(): Buffer {
    this.#expect(2)
    const length = this.#readNumber()
    if (length < 0) throw new WireError('a length is negative')
    return this.#take(length)
  }

  string(): string {
    return this.bytes().toString('utf8')
  }

  double(): number {
    this.#expect(1)
    return this.#take(8).readDoubleLE()
  }

  skip(): void {
    switch (this.#wireType) {
      case 0:
        this.#readVarint()
        return
      case 1:
        this.#take(8)
        return
      case 2:
        this.bytes()
        return
      case 5:
        this.#take(4)
        return
      default:
        throw new WireError(`wire type ${this.#wireType} is not known`)
    }
  }

  #expect(wireType: number): void {
    if (this.#wireType !== wireType) {
      throw new WireError(`field ${this.field} has wire type ${this.#wireType} instead of ${wireType}`)
    }
  }

  #take(length: number): Buffer {
    const end = this.#at + length
    if (end > this.#bytes.length) throw new WireError('unexpected EOF')
    const taken = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return taken
  }

  /** Without a bigint as long as the value is small, which lengths, tags and most numbers are. */
  #readNumber(): number {
    const first = this.#bytes[this.#at]
    if (first !== undefined && first < 0x80) {
      this.#at++
      return first
    }
    const second = this.#bytes[this.#at + 1]
    if (first !== undefined && second !== undefined && second < 0x80) {
      this.#at += 2
      return (first & 0x7f) | (second << 7)
    }
    return Number(BigInt.asIntN(64, this.#readVarint()))
  }

  #readVarint(): bigint {
    let value = 0n
    for (let index = 0; index < VARINT_BYTES_MAX; index++) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw new WireError('unexpected EOF')
      value |= BigInt(byte & 0x7f) << BigInt(7 * index)
      if (byte < 0x80) return value
    }
    throw new WireError('a varint is too long')
  }
}
