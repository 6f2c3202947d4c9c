/** One connection that a peer made: its hello first, then its messages. */

import type { TLSSocket } from 'node:tls'
import type { Timer } from '../../../base/clock.ts'
import { messageOf } from '../../../base/errors.ts'
import type { MemberId } from '../../raft/messages.ts'
import { commonVersion, type Hello, hasIdentity, takeHello } from './hello.ts'
import type { PeerLinksParts } from './links-parts.ts'
import { MessageReader } from './wire.ts'

/** Within this after something arrived, the peer is told that it did. */
const ALIVE_DELAY_MS = 100
const ALIVE = Buffer.of(0)
/** Without a hello for so long, the connection ends. */
const HELLO_TIMEOUT_MS = 3_000

type IncomingLinkParts = Pick<PeerLinksParts, 'member' | 'clock' | 'log' | 'identityOf' | 'onMessage'> & {
  /** What was said cannot be understood, or not be believed; `member` is 0 while nothing is proven. */
  readonly onRefused: (member: MemberId, why: string) => void
}

export class IncomingLink {
  readonly socket: TLSSocket
  readonly #parts: IncomingLinkParts
  readonly #onHello: (hello: Hello) => void
  readonly #reader = new MessageReader()
  #beginning = Buffer.alloc(0)
  #alive: Timer | null = null
  /** Null until that is proven. */
  hello: Hello | null = null

  /** `onHello`: it has proven who it is. */
  constructor(socket: TLSSocket, parts: IncomingLinkParts, onHello: (hello: Hello) => void) {
    this.socket = socket
    this.#parts = parts
    this.#onHello = onHello
    socket.setNoDelay(true)
    socket.setTimeout(HELLO_TIMEOUT_MS, () => socket.destroy())
    socket.on('data', (bytes: Buffer) => this.#take(bytes))
    socket.on('error', () => socket.destroy())
    socket.on('close', () => this.#alive?.cancel())
  }

  #take(bytes: Buffer): void {
    try {
      const rest = this.hello === null ? this.#takeHello(bytes) : bytes
      if (rest === null || this.hello === null) return
      this.#sayAlive()
      for (const message of this.#reader.take(rest)) this.#deliver(this.hello.member, message)
    } catch (error) {
      this.#parts.onRefused(this.hello?.member ?? 0, messageOf(error))
      this.socket.destroy()
    }
  }

  #deliver(from: MemberId, message: Parameters<PeerLinksParts['onMessage']>[1]): void {
    const sender = message.type === 'raft' ? message.message.from : from
    if (sender !== from) throw new Error(`a message of member ${sender}`)
    if (message.type === 'raft' && message.message.to !== this.#parts.member)
      throw new Error(`a message to member ${message.message.to}`)
    this.#parts.onMessage(from, message)
  }

  #takeHello(bytes: Buffer): Buffer | null {
    this.#beginning = Buffer.concat([this.#beginning, bytes])
    const taken = takeHello(this.#beginning)
    if (taken === null) return null
    const { hello, rest } = taken
    const version = commonVersion(hello)
    const { member } = hello
    if (!hasIdentity(this.socket, this.#parts.identityOf(member)))
      throw new Error(`it is not member ${member}`)
    this.hello = hello
    this.socket.setTimeout(0)
    this.#onHello(hello)
    this.socket.write(Buffer.of(version))
    return rest
  }

  #sayAlive(): void {
    this.#alive ??= this.#parts.clock.after(ALIVE_DELAY_MS, () => {
      this.#alive = null
      if (this.socket.writableLength === 0) this.socket.write(ALIVE)
    })
  }
}
