/** The replicated store as the rest of the server sees it: what it is opened with, and what it tells of itself. */

import type { Clock } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import type { Membership } from '../raft/membership.ts'
import type { Configuration, MemberId } from '../raft/messages.ts'
import type { ChangeOutcome } from '../raft/ready.ts'
import type { LogCheck } from './check.ts'
import type { FlushHistogram } from './log/flush-times.ts'
import type { PeerAddress, PeerCredentials } from './peers/peer-network.ts'
import type { Store } from './store.ts'

export interface RaftStoreParts {
  readonly directory: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** A UUID; drawn when the store is created without one. */
  readonly clusterId?: string
  /** For a store that has yet to be created; drawn when absent. */
  readonly memberId?: MemberId
  /** Absent: a store that stays alone and listens on no port. */
  readonly peers?: PeerOptions
  /** A new member of a cluster that exists: it waits to be told, instead of being a cluster of its own. */
  readonly joins?: boolean
  /** The store cannot go on: the process should say why and end. Called at most once. */
  readonly onFatal: (error: Error) => void
}

export interface PeerOptions {
  readonly credentials: PeerCredentials
  /** Usually the node's address and port 19001. */
  readonly listen: PeerAddress
  /** The URI that a member's certificate must carry. */
  readonly identityOf: (member: MemberId) => string
  /** Where the others may be found until `setPeers` knows better. */
  readonly known: readonly PeerLocation[]
}

export interface PeerLocation {
  readonly member: MemberId
  /** Tried in turn. */
  readonly addresses: readonly PeerAddress[]
}

/** What a leader knows of another member. */
export interface MemberProgress {
  readonly member: MemberId
  /** Last index known to be durable there. */
  readonly match: number
  /** Milliseconds since it was last heard of; null when never in this term. */
  readonly silentMs: number | null
  /** A snapshot is on its way to it. */
  readonly snapshot: boolean
}

/** What the raft thread measured lately, and the timers that follow from it; milliseconds. */
export interface StoreTiming {
  readonly flushMedianMs: number
  readonly flushWorstMs: number
  readonly roundTripMs: number
  readonly heartbeatMs: number
  /** An election begins after one to two times this without a leader. */
  readonly electionMs: number
}

export interface StoreStatus {
  readonly leader: boolean
  readonly term: number
  readonly memberId: number
  /** Member that leads; 0 when none is known. */
  readonly leaderMemberId: number
  readonly clusterId: string
  readonly applied: number
  readonly commit: number
  readonly lastIndex: number
  /** Index up to which a checkpoint of this life of the process has flushed SQLite; 0 before the first. */
  readonly durable: number
  readonly logBytes: number
  readonly revision: number
  readonly compactedRevision: number
  readonly keys: number
  /** Who votes and who learns, as this member's log has it; in force as soon as it is there. */
  readonly membership: Configuration
  /** Of every other member; empty on a member that does not lead. */
  readonly progress: readonly MemberProgress[]
  readonly timing: StoreTiming
  /** Of the log, since it was opened. */
  readonly flushes: FlushHistogram
}

export interface RaftStore extends Store {
  close(): Promise<void>
  status(): StoreStatus
  /** Reads everything on disk and says what is wrong with it. */
  check(): Promise<StoreCheck>
  /** Gives the space of what was deleted back to the file system. Sizes of the database in bytes. */
  defragment(): Promise<{ readonly before: number; readonly after: number }>
  /**
   * Resolves once all that was acknowledged before the call is in the file of the database, for another process to
   * copy: the index that the copy has at least. Writes go on meanwhile. Throws `store/no-leader`, `store/overloaded`.
   */
  writtenOut(): Promise<{ readonly path: string; readonly index: number }>
  /** Where the other members are found from now on. */
  setPeers(peers: readonly PeerLocation[]): void
  /** New links to other members use these from now on: a renewed certificate. */
  useCredentials(credentials: PeerCredentials): void
  /** Begins a change, on the leader only; resolves when it is in the log. `status().membership` shows its progress. */
  changeMembership(target: Membership): Promise<ChangeOutcome>
  /** Hands over to this voter, or to the one that has most; false when this member does not lead or nobody can. */
  transferLeadership(target?: MemberId): Promise<boolean>
  /** Called at each change of the membership in force, of who leads and of who has caught up; returns an unsubscribe. */
  onMembership(listener: () => void): () => void
}

export interface StoreCheck {
  readonly log: LogCheck
  /** Sentences; empty when all is well. */
  readonly databaseFindings: readonly string[]
}
