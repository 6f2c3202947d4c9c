/**
 * A leader tells of each commit with a heartbeat, unless an append is on its way that says it, too. While there are
 * writes, the next append follows at once: so a heartbeat that says nothing else waits for it a moment, which saves
 * half of all messages. Whoever waits for a commit of its own is told at once, and so is whoever confirms a read.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import type { MemberId, Message } from '../raft/messages.ts'

type Heartbeat = Extract<Message, { readonly type: 'heartbeat' }>

/** How long a heartbeat waits for an append. */
const HOLD_MS = 2
/** At least so often a heartbeat leaves, whatever there is to be written. */
const HEARTBEATS_APART_MS = 20
/** Who has forwarded a proposal waits for its commit about so long. */
const AWAITS_MS = 1_000

interface Peer {
  heldBack: Heartbeat | null
  heartbeatAt: number
  /** Of the last heartbeat: one with another number confirms a read. */
  read: number
  forwardedAt: number
}

export class CommitNotices {
  readonly #clock: Clock
  readonly #send: (message: Message) => void
  readonly #peers = new Map<MemberId, Peer>()
  #timer: Timer | null = null

  constructor(clock: Clock, send: (message: Message) => void) {
    this.#clock = clock
    this.#send = send
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  /** Forwarded a proposal, or asked for something else that shows only once it is applied there. */
  awaits(member: MemberId): void {
    const peer = this.#peerOf(member)
    peer.forwardedAt = this.#clock.monotonic()
    this.#release(peer)
  }

  send(message: Message): void {
    const peer = this.#peerOf(message.to)
    if (message.type === 'heartbeat') {
      if (this.#mayWait(peer, message)) this.#hold(peer, message)
      else this.#beat(peer, message)
      return
    }
    if (message.type === 'append' && message.commit >= (peer.heldBack?.commit ?? 0)) peer.heldBack = null
    else this.#release(peer)
    this.#send(message)
  }

  #mayWait(peer: Peer, { read }: Heartbeat): boolean {
    const now = this.#clock.monotonic()
    const recent = now < peer.heartbeatAt + HEARTBEATS_APART_MS
    return recent && read === peer.read && now >= peer.forwardedAt + AWAITS_MS
  }

  #hold(peer: Peer, message: Heartbeat): void {
    peer.heldBack = message
    this.#timer ??= this.#clock.after(HOLD_MS, () => {
      this.#timer = null
      for (const other of this.#peers.values()) this.#release(other)
    })
  }

  #release(peer: Peer): void {
    if (peer.heldBack !== null) this.#beat(peer, peer.heldBack)
  }

  #beat(peer: Peer, message: Heartbeat): void {
    peer.heldBack = null
    peer.heartbeatAt = this.#clock.monotonic()
    peer.read = message.read
    this.#send(message)
  }

  #peerOf(member: MemberId): Peer {
    const never = Number.NEGATIVE_INFINITY
    const peer = this.#peers.get(member) ?? {
      heldBack: null,
      heartbeatAt: never,
      read: -1,
      forwardedAt: never,
    }
    this.#peers.set(member, peer)
    return peer
  }
}
