/** Cuts the bytes of a call into gRPC's messages: `compressed u8 · length u32 big-endian · message`. */
import { GrpcError, grpcCodes } from './status.ts'

export const MESSAGE_PREFIX_BYTES = 5

export class MessageReader {
  readonly #bytesMax: number
  #waiting: Buffer[] = []
  #waitingBytes = 0

  /** A message of more than `bytesMax` ends the call before its bytes are gathered. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** Whether the bytes so far end in the middle of a message. */
  get isPartial(): boolean {
    return this.#waitingBytes > 0
  }

  /** The messages that are whole now, as views. Throws a GrpcError. */
  push(chunk: Buffer): Buffer[] {
    this.#waiting.push(chunk)
    this.#waitingBytes += chunk.length
    const messages: Buffer[] = []
    for (;;) {
      const length = this.#nextLength()
      if (length === null || this.#waitingBytes < length) return messages
      const bytes = this.#gathered()
      messages.push(bytes.subarray(MESSAGE_PREFIX_BYTES, length))
      this.#waitingBytes -= length
      this.#waiting = this.#waitingBytes === 0 ? [] : [bytes.subarray(length)]
    }
  }

  /** Of the next message with its prefix; null while that is not known. */
  #nextLength(): number | null {
    if (this.#waitingBytes < MESSAGE_PREFIX_BYTES) return null
    const [first] = this.#waiting
    const bytes = first !== undefined && first.length >= MESSAGE_PREFIX_BYTES ? first : this.#gathered()
    const length = bytes.readUInt32BE(1)
    if (bytes[0] !== 0) {
      throw new GrpcError(grpcCodes.unimplemented, 'grpc: compressed messages are not supported')
    }
    if (length > this.#bytesMax) {
      const sizes = `(${length} vs. ${this.#bytesMax})`
      throw new GrpcError(grpcCodes.resourceExhausted, `grpc: received message larger than max ${sizes}`)
    }
    return MESSAGE_PREFIX_BYTES + length
  }

  #gathered(): Buffer {
    const [first] = this.#waiting
    if (this.#waiting.length === 1 && first !== undefined) return first
    const bytes = Buffer.concat(this.#waiting)
    this.#waiting = [bytes]
    return bytes
  }
}
