/** The connection to one peer for one purpose, made anew whenever it is gone. */

import { type TLSSocket, connect as tlsConnect } from 'node:tls'
import type { Timer } from '../../../base/clock.ts'
import type { MemberId } from '../../raft/messages.ts'
import { commonVersion, encodeHello, namesIn, type Purpose } from './hello.ts'
import type { PeerLinksParts } from './links-parts.ts'
import type { PeerMessage } from './peer-network.ts'
import { encodeMessage } from './wire.ts'

/** Bytes that wait for one peer; what comes on top is lost. An append of full size fits several times. */
export const QUEUE_BYTES_MAX = 16 * 1024 * 1024
const DIAL_DELAY_MIN_MS = 20
const DIAL_DELAY_MAX_MS = 1_000
const HANDSHAKE_TIMEOUT_MS = 2_000
/**
 * A peer that reads says so; when it has not for so long, the connection is made anew. TCP alone would go on for
 * minutes after a host is gone, and wait ever longer before it tries again after a partition.
 */
const SILENCE_MAX_MS = 2_000

export class OutgoingLink {
  readonly #to: MemberId
  readonly #purpose: Purpose
  /** Shared with the other links: the credentials in it may change. */
  readonly #parts: PeerLinksParts
  #socket: TLSSocket | null = null
  #ready = false
  #closed = false
  /** Failures in a row, and which address has its turn: the one that worked stays. */
  #attempts = 0
  #turn = 0
  #timer: Timer | null = null
  /** When something was sent that the peer has not shown to have read; null for never. */
  #unreadSince: number | null = null
  /** What is sent before a connection for snapshots stands leaves when it does. */
  #first: PeerMessage | null = null

  constructor(to: MemberId, purpose: Purpose, parts: PeerLinksParts) {
    this.#to = to
    this.#purpose = purpose
    this.#parts = parts
    this.#dial()
  }

  get ready(): boolean {
    return this.#ready
  }

  get queuedBytes(): number {
    return this.#socket?.writableLength ?? 0
  }

  send(message: PeerMessage): void {
    const socket = this.#socket
    if (!this.#ready || socket === null) {
      if (this.#purpose === 'snapshots') this.#first = message
      return
    }
    const now = this.#parts.clock.monotonic()
    if (this.#unreadSince !== null && now - this.#unreadSince > SILENCE_MAX_MS) {
      this.#parts.log.info('a peer reads nothing, its link is made anew', { member: this.#to })
      socket.destroy()
      return
    }
    if (socket.writableLength > this.#queueMax) return
    this.#unreadSince ??= now
    socket.write(encodeMessage(message))
  }

  /** The same piece again does not queue up behind itself. */
  get #queueMax(): number {
    return this.#purpose === 'snapshots' ? 0 : QUEUE_BYTES_MAX
  }

  /** The peer has just shown that it lives: no use in waiting any longer. */
  wake(): void {
    if (this.#closed || this.#socket !== null || this.#timer === null) return
    this.#timer.cancel()
    this.#attempts = 0
    this.#dial()
  }

  close(): void {
    this.finish()
    this.#socket?.destroy()
  }

  /** What was sent still leaves: the last message tells a member that it is none any more. */
  finish(): void {
    this.#closed = true
    this.#timer?.cancel()
    this.#socket?.end()
  }

  #dial(): void {
    this.#timer = null
    const addresses = this.#parts.addressesOf(this.#to)
    const address = addresses[this.#turn % Math.max(1, addresses.length)]
    if (address === undefined) {
      this.#dialLater()
      return
    }
    const socket = this.#connect(address)
    this.#socket = socket
    socket.setNoDelay(true)
    socket.setTimeout(HANDSHAKE_TIMEOUT_MS, () => socket.destroy())
    socket.once('secureConnect', () => socket.write(encodeHello(this.#parts.member, this.#purpose)))
    socket.on('data', (bytes: Buffer) => this.#take(socket, bytes))
    socket.on('error', error => {
      this.#parts.log.debug('a peer cannot be reached', { member: this.#to, why: error.message })
    })
    socket.once('close', () => this.#onClose())
  }

  #connect(address: { readonly host: string; readonly port: number }): TLSSocket {
    const to = this.#to
    const { identityOf, credentials } = this.#parts
    const { key, certificate: cert, authority: ca } = credentials
    const identity = identityOf(to)
    return tlsConnect({
      ...address,
      key,
      cert,
      ca,
      minVersion: 'TLSv1.3',
      // Members are known by what their certificate says, not by where they are found.
      checkServerIdentity: (_host, { subjectaltname }) =>
        namesIn(subjectaltname).includes(identity) ? undefined : new Error(`it is not member ${to}`),
    })
  }

  /** The first byte is the version to speak; each later one says that the peer reads. */
  #take(socket: TLSSocket, bytes: Buffer): void {
    this.#unreadSince = null
    if (this.#ready) return
    try {
      commonVersion({ lowest: bytes.readUInt8(0), highest: bytes.readUInt8(0) })
    } catch {
      socket.destroy()
      return
    }
    socket.setTimeout(0)
    this.#ready = true
    this.#attempts = 0
    if (this.#purpose === 'messages') this.#parts.onOpened(this.#to)
    if (this.#first !== null) this.send(this.#first)
    this.#first = null
  }

  #onClose(): void {
    const wasReady = this.#ready
    this.#ready = false
    this.#socket = null
    this.#unreadSince = null
    if (this.#closed) return
    if (!wasReady) this.#turn++
    else if (this.#purpose === 'messages') this.#parts.onClosed(this.#to)
    this.#dialLater()
  }

  #dialLater(): void {
    const delay = Math.min(DIAL_DELAY_MAX_MS, DIAL_DELAY_MIN_MS * 2 ** Math.min(this.#attempts, 10))
    this.#attempts++
    this.#timer = this.#parts.clock.after(delay, () => this.#dial())
  }
}
