/**
 * Writes the protobuf wire format into one growing buffer, nested messages in place. As in proto3, a field that
 * has its default value is left out. Source: protobuf's encoding specification.
 */

const FIRST_BYTES = 512
const VARINT_BYTES_MAX = 10
const TWO_TO_32 = 2 ** 32
/** Shorter than what a one-byte length can say. */
const SHORT_TEXT = 40

export class WireWriter {
  #bytes: Buffer
  #at: number

  /** The first `reserved` bytes are the caller's to fill in. */
  constructor(reserved = 0, capacity = FIRST_BYTES) {
    this.#bytes = Buffer.allocUnsafe(Math.max(capacity, reserved))
    this.#at = reserved
  }

  get length(): number {
    return this.#at
  }

  /** Begins anew in the same memory. */
  rewind(): void {
    this.#at = 0
  }

  /** What has been written: the writer's own memory. */
  finish(): Buffer {
    return this.#bytes.subarray(0, this.#at)
  }

  int64(field: number, value: number): void {
    if (value === 0) return
    this.#tag(field, 0)
    if (value < 0) this.#bigVarint(BigInt.asUintN(64, BigInt(value)))
    else this.#varint(value)
  }

  uint64(field: number, value: bigint): void {
    if (value === 0n) return
    this.#tag(field, 0)
    this.#bigVarint(value)
  }

  bool(field: number, value: boolean): void {
    if (value) this.int64(field, 1)
  }

  bytes(field: number, value: Buffer): void {
    if (value.length > 0) this.repeatedBytes(field, value)
  }

  /** An element of a repeated field, which is there although it is empty. */
  repeatedBytes(field: number, value: Buffer): void {
    this.#tag(field, 2)
    this.#varint(value.length)
    this.raw(value)
  }

  string(field: number, value: string): void {
    if (value !== '') this.bytes(field, Buffer.from(value, 'utf8'))
  }

  /** A number that is written although it is zero. */
  setInt64(field: number, value: number): void {
    this.#tag(field, 0)
    if (value < 0) this.#bigVarint(BigInt.asUintN(64, BigInt(value)))
    else this.#varint(value)
  }

  setDouble(field: number, value: number): void {
    this.#tag(field, 1)
    this.#reserve(8)
    this.#at = this.#bytes.writeDoubleLE(value, this.#at)
  }

  /** A text that is written although it is empty. */
  setString(field: number, value: string): void {
    this.#tag(field, 2)
    const { length } = value
    this.#reserve(VARINT_BYTES_MAX + length * 3)
    const bytes = this.#bytes
    const start = this.#at + 1
    let written = 0
    // Most texts are short and plain, and then this is faster than a call out of JavaScript.
    while (written < length && length <= SHORT_TEXT) {
      const code = value.charCodeAt(written)
      if (code >= 0x80) break
      bytes[start + written++] = code
    }
    if (written === length) {
      bytes[this.#at] = length
      this.#at = start + length
      return
    }
    this.#varint(Buffer.byteLength(value))
    this.#at += bytes.write(value, this.#at)
  }

  message(field: number, write: (writer: this) => void): void {
    const begun = this.begin(field)
    write(this)
    this.end(begun)
  }

  /** Begins a message; what is returned is for `end`. */
  begin(field: number): number {
    this.#tag(field, 2)
    this.#reserve(VARINT_BYTES_MAX)
    return this.#at++
  }

  end(lengthAt: number): void {
    const length = this.#at - lengthAt - 1
    const moved = varintBytes(length) - 1
    if (moved > 0) {
      this.#reserve(moved)
      this.#bytes.copyWithin(lengthAt + 1 + moved, lengthAt + 1, this.#at)
    }
    this.#at = lengthAt
    this.#varint(length)
    this.#at = lengthAt + 1 + moved + length
  }

  /** Begins a field of so many bytes, which are written elsewhere. */
  lengthOf(field: number, bytes: number): void {
    this.#tag(field, 2)
    this.#varint(bytes)
  }

  /** Bytes that are encoded already. */
  raw(value: Buffer): void {
    this.#reserve(value.length)
    this.#at += value.copy(this.#bytes, this.#at)
  }

  #tag(field: number, wireType: number): void {
    this.#varint(field * 8 + wireType)
  }

  #varint(value: number): void {
    this.#reserve(VARINT_BYTES_MAX)
    let rest = value
    while (rest >= TWO_TO_32) {
      this.#bytes[this.#at++] = (rest % 128) | 0x80
      rest = Math.floor(rest / 128)
    }
    let low = rest >>> 0
    while (low >= 0x80) {
      this.#bytes[this.#at++] = (low & 0x7f) | 0x80
      low >>>= 7
    }
    this.#bytes[this.#at++] = low
  }

  #bigVarint(value: bigint): void {
    this.#reserve(VARINT_BYTES_MAX)
    let rest = value
    while (rest >= 0x80n) {
      this.#bytes[this.#at++] = Number(rest & 0x7fn) | 0x80
      rest >>= 7n
    }
    this.#bytes[this.#at++] = Number(rest)
  }

  #reserve(more: number): void {
    const needed = this.#at + more
    if (needed <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2))
    this.#bytes.copy(larger, 0, 0, this.#at)
    this.#bytes = larger
  }
}

function varintBytes(value: number): number {
  let bytes = 1
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 128)) bytes++
  return bytes
}
