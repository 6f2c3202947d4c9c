/**
 * Links between members: mutual TLS with the peer authority, one connection in each direction. Messages leave
 * without waiting; when a link is down or its queue is full they are lost, which the core can live with, so that a
 * slow or dead peer never slows the others.
 */
import { createServer, type Server, type TLSSocket, connect as tlsConnect } from 'node:tls'
import type { Clock, Timer } from '../../../base/clock.ts'
import { messageOf } from '../../../base/errors.ts'
import type { Log } from '../../../base/log.ts'
import type { MemberId } from '../../raft/messages.ts'
import type { PeerMessage, PeerNetwork } from '../replica.ts'
import { encodeMessage, MessageReader, WIRE_VERSION } from './wire.ts'

/** Bytes that wait for one peer; what comes on top is lost. An append of full size fits several times. */
export const QUEUE_BYTES_MAX = 16 * 1024 * 1024
const DIAL_DELAY_MIN_MS = 20
const DIAL_DELAY_MAX_MS = 1_000
const HANDSHAKE_TIMEOUT_MS = 3_000
/** `magic · lowest version u8 · highest version u8 · reserved u16 · member u64`; answered by `version u8`. */
const MAGIC = Buffer.from('MK8SPEER', 'latin1')
const HELLO_BYTES = 20

export interface PeerAddress {
  readonly host: string
  readonly port: number
}

/** PEM texts: this member's key and certificate, and the authority that signs every member's. */
export interface PeerCredentials {
  readonly key: string
  readonly certificate: string
  readonly authority: string
}

export interface PeerLinksParts {
  readonly member: MemberId
  readonly credentials: PeerCredentials
  readonly listen: PeerAddress
  /** Where a member may be found; tried in turn. Empty when nobody knows. */
  readonly addressesOf: (member: MemberId) => readonly PeerAddress[]
  /** The URI that a member's certificate must carry: names the cluster and the member. */
  readonly identityOf: (member: MemberId) => string
  readonly clock: Clock
  readonly log: Log
  readonly onMessage: (from: MemberId, message: PeerMessage) => void
  /** The link to a member stands. */
  readonly onOpened: (peer: MemberId) => void
  /** The link from a member is closed: it may be dead. */
  readonly onClosed: (peer: MemberId) => void
}

export class PeerLinks implements PeerNetwork {
  /** Shared with every link, so that the next connection uses the credentials of now. */
  readonly #parts: { credentials: PeerCredentials } & Omit<PeerLinksParts, 'credentials'>
  readonly #server: Server
  readonly #outgoing = new Map<MemberId, OutgoingLink>()
  readonly #incoming = new Set<TLSSocket>()

  constructor(parts: PeerLinksParts) {
    this.#parts = { ...parts }
    const { key, certificate: cert, authority: ca } = parts.credentials
    const options = {
      key,
      cert,
      ca,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.3',
    } as const
    this.#server = createServer({ ...options, handshakeTimeout: HANDSHAKE_TIMEOUT_MS }, socket =>
      this.#accept(socket),
    )
    this.#server.on('tlsClientError', error => parts.log.debug('a peer was refused', { why: error.message }))
  }

  /** Resolves with the port. */
  listen(): Promise<number> {
    const { host, port } = this.#parts.listen
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(port, host, () => {
        const address = this.#server.address()
        resolve(typeof address === 'object' && address !== null ? address.port : port)
      })
    })
  }

  /** New connections, in both directions, use these from now on. */
  useCredentials(credentials: PeerCredentials): void {
    this.#parts.credentials = credentials
    const { key, certificate: cert, authority: ca } = credentials
    this.#server.setSecureContext({ key, cert, ca, minVersion: 'TLSv1.3' })
  }

  /** A member that is none any more is not dialled again. */
  connectTo(members: readonly MemberId[]): void {
    for (const id of members) this.#linkTo(id)
    for (const [id, link] of this.#outgoing) {
      if (members.includes(id)) continue
      link.finish()
      this.#outgoing.delete(id)
    }
  }

  reaches(member: MemberId): boolean {
    return this.#outgoing.get(member)?.ready ?? false
  }

  send(to: MemberId, message: PeerMessage): void {
    this.#linkTo(to).send(message)
  }

  #linkTo(id: MemberId): OutgoingLink {
    const link = this.#outgoing.get(id) ?? new OutgoingLink(id, this.#parts)
    this.#outgoing.set(id, link)
    return link
  }

  async close(): Promise<void> {
    for (const link of this.#outgoing.values()) link.close()
    for (const socket of this.#incoming) socket.destroy()
    await new Promise<void>(resolve => this.#server.close(() => resolve()))
  }

  #accept(socket: TLSSocket): void {
    this.#incoming.add(socket)
    const incoming = new IncomingLink(socket, this.#parts)
    socket.setNoDelay(true)
    socket.on('data', (bytes: Buffer) => incoming.take(bytes))
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      this.#incoming.delete(socket)
      if (incoming.from !== 0) this.#parts.onClosed(incoming.from)
    })
  }
}

/** One connection that a peer made: its hello first, then its messages. */
class IncomingLink {
  readonly #socket: TLSSocket
  readonly #parts: PeerLinksParts
  readonly #reader = new MessageReader()
  #hello = Buffer.alloc(0)
  /** Who it is; 0 until that is proven. */
  from: MemberId = 0

  constructor(socket: TLSSocket, parts: PeerLinksParts) {
    this.#socket = socket
    this.#parts = parts
  }

  take(bytes: Buffer): void {
    try {
      const rest = this.from === 0 ? this.#takeHello(bytes) : bytes
      if (rest === null) return
      for (const message of this.#reader.take(rest)) {
        const sender = message.type === 'raft' ? message.message.from : this.from
        if (sender !== this.from) throw new Error(`a message of member ${sender}`)
        this.#parts.onMessage(this.from, message)
      }
    } catch (error) {
      this.#parts.log.warn('closed the link of a peer', { member: this.from, why: messageOf(error) })
      this.#socket.destroy()
    }
  }

  #takeHello(bytes: Buffer): Buffer | null {
    this.#hello = Buffer.concat([this.#hello, bytes])
    if (this.#hello.length < HELLO_BYTES) return null
    if (!this.#hello.subarray(0, MAGIC.length).equals(MAGIC))
      throw new Error('it is no member of any cluster')
    const [lowest, highest] = [this.#hello.readUInt8(8), this.#hello.readUInt8(9)]
    if (lowest > WIRE_VERSION || highest < WIRE_VERSION)
      throw new Error(`it speaks versions ${lowest} to ${highest}`)
    const from = Number(this.#hello.readBigUInt64LE(12))
    if (!hasIdentity(this.#socket, this.#parts.identityOf(from))) throw new Error(`it is not member ${from}`)
    this.from = from
    this.#socket.write(Buffer.of(WIRE_VERSION))
    return this.#hello.subarray(HELLO_BYTES)
  }
}

/** The connection to one peer, made anew whenever it is gone. */
class OutgoingLink {
  readonly #to: MemberId
  readonly #parts: PeerLinksParts
  #socket: TLSSocket | null = null
  #ready = false
  #closed = false
  #attempts = 0
  #timer: Timer | null = null

  constructor(to: MemberId, parts: PeerLinksParts) {
    this.#to = to
    this.#parts = parts
    this.#dial()
  }

  get ready(): boolean {
    return this.#ready
  }

  send(message: PeerMessage): void {
    if (!this.#ready || this.#socket === null || this.#socket.writableLength > QUEUE_BYTES_MAX) return
    this.#socket.write(encodeMessage(message))
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
    const addresses = this.#parts.addressesOf(this.#to)
    const address = addresses[this.#attempts % Math.max(1, addresses.length)]
    if (address === undefined) {
      this.#dialLater()
      return
    }
    const { key, certificate: cert, authority: ca } = this.#parts.credentials
    const identity = this.#parts.identityOf(this.#to)
    const socket = tlsConnect({
      ...address,
      key,
      cert,
      ca,
      minVersion: 'TLSv1.3',
      // Members are known by what their certificate says, not by where they are found.
      checkServerIdentity: (_host, { subjectaltname }) =>
        namesIn(subjectaltname).includes(identity) ? undefined : new Error(`it is not member ${this.#to}`),
    })
    this.#socket = socket
    socket.setNoDelay(true)
    socket.setTimeout(HANDSHAKE_TIMEOUT_MS, () => socket.destroy())
    socket.once('secureConnect', () => socket.write(this.#hello()))
    socket.once('data', () => {
      socket.setTimeout(0)
      this.#ready = true
      this.#attempts = 0
      this.#parts.onOpened(this.#to)
    })
    socket.on('error', error => {
      this.#parts.log.debug('a peer cannot be reached', { member: this.#to, why: error.message })
    })
    socket.once('close', () => this.#onClose())
  }

  #onClose(): void {
    const wasReady = this.#ready
    this.#ready = false
    this.#socket = null
    if (this.#closed) return
    if (wasReady) this.#parts.onClosed(this.#to)
    this.#dialLater()
  }

  #dialLater(): void {
    const delay = Math.min(DIAL_DELAY_MAX_MS, DIAL_DELAY_MIN_MS * 2 ** Math.min(this.#attempts, 10))
    this.#attempts++
    this.#timer = this.#parts.clock.after(delay, () => this.#dial())
  }

  #hello(): Buffer {
    const hello = Buffer.alloc(HELLO_BYTES)
    MAGIC.copy(hello)
    hello.writeUInt8(WIRE_VERSION, 8)
    hello.writeUInt8(WIRE_VERSION, 9)
    hello.writeBigUInt64LE(BigInt(this.#parts.member), 12)
    return hello
  }
}

function hasIdentity(socket: TLSSocket, identity: string): boolean {
  return namesIn(socket.getPeerCertificate().subjectaltname).includes(identity)
}

/** The URIs of a certificate; quoted ones, which could hide another behind a comma, are none of ours. */
function namesIn(subjectaltname: string | undefined): string[] {
  const names = (subjectaltname ?? '').split(', ')
  return names.flatMap(name => (name.startsWith('URI:') ? [name.slice('URI:'.length)] : []))
}
