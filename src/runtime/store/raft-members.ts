/**
 * The engine's dealings with the other members: where they are and what proves it, who belongs to the cluster,
 * handing over, and asking the leader for what only it can do.
 */

import { type Clock, sleep } from '../../base/clock.ts'
import { Mk8sError } from '../../base/errors.ts'
import type { Membership } from '../raft/membership.ts'
import type { Configuration, MemberId } from '../raft/messages.ts'
import { isOnlyVoter, isVoter, membersOf } from '../raft/quorum.ts'
import type { ChangeOutcome } from '../raft/ready.ts'
import type { LeaseOutcome, PeerCredentials } from './peers/peer-network.ts'
import { Questions } from './questions.ts'
import type { PeerLocation, PeerOptions } from './raft-store.ts'
import { ANSWER_TIMEOUT_MS } from './request-queue.ts'
import type {
  FromRaft,
  PeerEntry,
  RaftThreadDetails,
  RaftThreadStatus,
  ThreadPeers,
  ToRaft,
} from './thread-messages.ts'

/** How long a hand-over of leadership is waited for. */
const TRANSFER_TIMEOUT_MS = 2_000
/** The leader may be gone: then another one is asked. */
const LEASE_ASK_TIMEOUT_MS = 2_000

export interface RaftMembersParts {
  readonly clock: Clock
  readonly peers: PeerOptions | undefined
  readonly self: () => MemberId
  /** To the raft thread, which must have been told to open. */
  readonly post: (message: ToRaft) => void
}

const noDetails: RaftThreadDetails = {
  configuration: { voters: [], outgoing: [], learners: [] },
  standing: 0,
  progress: [],
  timing: { flushMedianMs: 0, flushWorstMs: 0, roundTripMs: 0, heartbeatMs: 0, electionMs: 0 },
  flushes: { counts: [], sumSeconds: 0 },
}

export class RaftMembers {
  readonly #parts: RaftMembersParts
  readonly #changes: Questions<ChangeOutcome>
  readonly #transfers: Questions<boolean>
  readonly #leases: Questions<LeaseOutcome>
  readonly #listeners = new Set<() => void>()
  readonly #statusListeners = new Set<(status: RaftThreadStatus) => void>()
  #locations: readonly PeerLocation[]
  #credentials: PeerCredentials | null
  #status: RaftThreadStatus | null = null
  #details = noDetails
  #posting = false

  constructor(parts: RaftMembersParts) {
    this.#parts = parts
    this.#changes = new Questions(parts.clock)
    this.#transfers = new Questions(parts.clock)
    this.#leases = new Questions(parts.clock)
    this.#locations = parts.peers?.known ?? []
    this.#credentials = parts.peers?.credentials ?? null
  }

  get details(): RaftThreadDetails {
    return this.#details
  }

  get isOnlyVoter(): boolean {
    return isOnlyVoter(this.#configuration, this.#parts.self())
  }

  /** Until it is taken out: from then on nobody answers what it asks. */
  get isMember(): boolean {
    return membersOf(this.#configuration).includes(this.#parts.self())
  }

  get hasOtherVoters(): boolean {
    const self = this.#parts.self()
    return membersOf(this.#configuration).some(id => id !== self && isVoter(this.#configuration, id))
  }

  get #configuration(): Configuration {
    return this.#details.configuration
  }

  // ── where they are ─────────────────────────────────────────────────────────────────────────────────

  /** What the raft thread opens with; it is told of every change from now on. */
  begin(): ThreadPeers | null {
    const { peers } = this.#parts
    this.#posting = true
    if (peers === undefined || this.#credentials === null) return null
    return { credentials: this.#credentials, listen: peers.listen, table: this.#table() }
  }

  locate(locations: readonly PeerLocation[]): void {
    this.#locations = locations
    this.#tell()
  }

  useCredentials(credentials: PeerCredentials): void {
    this.#credentials = credentials
    if (this.#posting) this.#parts.post({ type: 'credentials', credentials })
  }

  #tell(): void {
    if (this.#posting && this.#parts.peers !== undefined)
      this.#parts.post({ type: 'peers', table: this.#table() })
  }

  /** Members that the log names may be listened to before anybody has said where they are. */
  #table(): PeerEntry[] {
    const { peers, self } = this.#parts
    if (peers === undefined) return []
    const addresses = new Map(this.#locations.map(({ member, addresses }) => [member, addresses]))
    const members = new Set([...addresses.keys(), ...membersOf(this.#configuration)])
    members.delete(self())
    return [...members].map(member => ({
      member,
      identity: peers.identityOf(member),
      addresses: addresses.get(member) ?? [],
    }))
  }

  // ── what the raft thread says ──────────────────────────────────────────────────────────────────────

  /** An answer; false when the message is none. */
  take(message: FromRaft): boolean {
    if (message.type === 'changed') this.#changes.answer(message.question, message.outcome)
    else if (message.type === 'transferring') this.#transfers.answer(message.question, message.begun)
    else if (message.type === 'lease-kept') this.#leases.answer(message.question, message.outcome)
    else return false
    return true
  }

  describe(details: RaftThreadDetails): void {
    const { configuration, standing } = this.#details
    this.#details = details
    const changed = JSON.stringify(details.configuration) !== JSON.stringify(configuration)
    if (changed) this.#tell()
    if (changed || details.standing !== standing) this.#tellListeners()
  }

  become(status: RaftThreadStatus): void {
    const before = this.#status
    this.#status = status
    if (before?.leaderMember !== status.leaderMember) this.#tellListeners()
    for (const listener of this.#statusListeners) listener(status)
  }

  /** Called at each change of the membership, of who leads and, where this member does, of who has caught up. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  #tellListeners(): void {
    for (const listener of [...this.#listeners]) listener()
  }

  // ── what it is asked ───────────────────────────────────────────────────────────────────────────────

  async change(target: Membership): Promise<ChangeOutcome> {
    const post = (question: number) => this.#parts.post({ type: 'change', question, target })
    const outcome = await this.#changes.ask(ANSWER_TIMEOUT_MS, post)
    if (outcome === null) throw new Mk8sError('store/outcome-unknown', 'the change was not answered in time')
    return outcome
  }

  /** Without a target, to the voter that has most. True once another member leads; false when this one goes on. */
  async handOver(target: MemberId | null): Promise<boolean> {
    if (!this.#status?.leader) return false
    const post = (question: number) => this.#parts.post({ type: 'transfer', question, target })
    if (!(await this.#transfers.ask(TRANSFER_TIMEOUT_MS, post))) return false
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const look = ({ leaderMember, leader, accepts }: RaftThreadStatus) => {
      if (leaderMember !== 0 && leaderMember !== this.#parts.self()) resolve(true)
      else if (leader && accepts) resolve(false)
    }
    this.#statusListeners.add(look)
    look(this.#status)
    const late = sleep(this.#parts.clock, TRANSFER_TIMEOUT_MS).then(() => false)
    const handedOver = await Promise.race([promise, late])
    this.#statusListeners.delete(look)
    return handedOver
  }

  /** Asks the leader; null when there is none, or no answer. */
  async askLease(lease: number, renew: boolean): Promise<LeaseOutcome | null> {
    const { leaderMember = 0 } = this.#status ?? {}
    if (leaderMember === 0 || leaderMember === this.#parts.self()) return null
    const post = (question: number) => this.#parts.post({ type: 'keep-lease', question, lease, renew })
    return await this.#leases.ask(LEASE_ASK_TIMEOUT_MS, post)
  }

  end(): void {
    this.#posting = false
    this.#changes.end()
    this.#transfers.end()
    this.#leases.end()
  }
}

export function isNewLeader(before: RaftThreadStatus | null, now: RaftThreadStatus): boolean {
  if (now.leaderMember === 0) return false
  return before?.leaderMember !== now.leaderMember || before.term !== now.term
}
