/**
 * Links between members: mutual TLS with the peer authority, one connection in each direction, and another one while
 * a snapshot is sent. Messages leave without waiting; when a link is down or its queue is full they are lost, which
 * the core can live with, so that a slow or dead peer never slows the others.
 */

import type { Socket } from 'node:net'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import type { Timer } from '../../../base/clock.ts'
import type { MemberId } from '../../raft/messages.ts'
import type { Hello, Purpose } from './hello.ts'
import { IncomingLink } from './incoming-link.ts'
import type { PeerLinksParts } from './links-parts.ts'
import { OutgoingLink } from './outgoing-link.ts'
import type { PeerCredentials, PeerMessage, PeerNetwork } from './peer-network.ts'

const HANDSHAKE_TIMEOUT_MS = 3_000
/** Connections from hosts that are gone are noticed some time after so much silence. */
const KEEP_ALIVE_MS = 60_000
/** Peers that are refused are told of so often at most; in between, only to whoever looks for it. */
const TELL_AGAIN_MS = 60_000
/** A connection for snapshots is closed when none was sent for so long. */
const SNAPSHOTS_IDLE_MS = 30_000

export class PeerLinks implements PeerNetwork {
  /** Shared with every link, so that the next connection uses the credentials of now. */
  readonly #parts: { credentials: PeerCredentials } & Omit<PeerLinksParts, 'credentials'>
  readonly #server: Server
  readonly #outgoing = new Map<MemberId, OutgoingLink>()
  readonly #snapshots = new Map<MemberId, { readonly link: OutgoingLink; idle: Timer }>()
  /** Every connection that was accepted, from before its handshake on: the listener ends when all of them have. */
  readonly #sockets = new Set<Socket>()
  /** The connection for messages that each member made last. */
  readonly #incoming = new Map<MemberId, IncomingLink>()
  /** When it was last told that a member (0: nobody proven) was refused; it may dial many times a second. */
  readonly #refusedAt = new Map<MemberId, number>()

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
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
    } as const
    this.#server = createServer({ ...options, handshakeTimeout: HANDSHAKE_TIMEOUT_MS }, socket =>
      this.#accept(socket),
    )
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
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
      this.#closeSnapshots(id)
    }
  }

  reaches(member: MemberId): boolean {
    return this.#outgoing.get(member)?.ready ?? false
  }

  /** Bytes that wait for a member because it reads too slowly. */
  queuedBytes(member: MemberId): number {
    return this.#outgoing.get(member)?.queuedBytes ?? 0
  }

  send(to: MemberId, message: PeerMessage): void {
    if (message.type === 'raft' && message.message.type === 'snapshot') this.#snapshotsTo(to).send(message)
    else this.#linkTo(to).send(message)
  }

  #linkTo(id: MemberId): OutgoingLink {
    const link = this.#outgoing.get(id) ?? this.#createLink(id, 'messages')
    this.#outgoing.set(id, link)
    return link
  }

  #snapshotsTo(id: MemberId): OutgoingLink {
    const known = this.#snapshots.get(id)
    known?.idle.cancel()
    const link = known?.link ?? this.#createLink(id, 'snapshots')
    const idle = this.#parts.clock.after(SNAPSHOTS_IDLE_MS, () => this.#closeSnapshots(id))
    this.#snapshots.set(id, { link, idle })
    return link
  }

  #createLink(to: MemberId, purpose: Purpose): OutgoingLink {
    return new OutgoingLink(to, purpose, this.#parts)
  }

  #closeSnapshots(id: MemberId): void {
    const known = this.#snapshots.get(id)
    known?.idle.cancel()
    known?.link.close()
    this.#snapshots.delete(id)
  }

  async close(): Promise<void> {
    const closed = new Promise<void>(resolve => this.#server.close(() => resolve()))
    for (const link of this.#outgoing.values()) link.close()
    for (const id of [...this.#snapshots.keys()]) this.#closeSnapshots(id)
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  #accept(socket: TLSSocket): void {
    const parts = { ...this.#parts, onRefused: (member: MemberId, why: string) => this.#refused(member, why) }
    const link = new IncomingLink(socket, parts, hello => this.#replace(link, hello))
    socket.on('close', () => {
      const member = link.hello?.member ?? 0
      if (this.#incoming.get(member) !== link) return
      this.#incoming.delete(member)
      this.#parts.onClosed(member)
    })
  }

  #refused(member: MemberId, why: string): void {
    const { clock, log } = this.#parts
    const now = clock.monotonic()
    const isNews = now - (this.#refusedAt.get(member) ?? Number.NEGATIVE_INFINITY) >= TELL_AGAIN_MS
    if (isNews) this.#refusedAt.set(member, now)
    log[isNews ? 'warn' : 'debug']('closed the link of a peer', { member, why })
  }

  /** A member that dials again has given up its earlier connection, whose end says nothing about it any more. */
  #replace(link: IncomingLink, { member, purpose }: Hello): void {
    if (purpose !== 'messages') return
    const earlier = this.#incoming.get(member)
    this.#incoming.set(member, link)
    earlier?.socket.destroy()
    this.#outgoing.get(member)?.wake()
  }
}
