/** What goes into a core at its start and what comes out of it: the types of its contract with the driver. */
import type { Random } from '../../base/random.ts'
import type { Entry } from './entry.ts'
import type { MemberId, Message, SnapshotChunk, SnapshotPlace } from './messages.ts'
import type { RaftLogStart } from './raft-log.ts'
import type { SafetyRules } from './rules.ts'

export type Role = 'follower' | 'pre-candidate' | 'candidate' | 'leader'

export interface HardState {
  readonly term: number
  /** Who got this member's vote in `term`; 0 for nobody. */
  readonly vote: MemberId
  readonly commit: number
}

export interface RaftParts {
  readonly id: MemberId
  readonly random: Random
  readonly hardState: HardState
  readonly log: RaftLogStart
  /** The sound ones, unless a test means to break one. */
  readonly rules?: SafetyRules
  /** Which entries each cluster version allows; those of this program, unless a test has others. */
  readonly entryVersions?: EntryVersions
  /** Bytes of entries that a leader keeps in memory for members that lag. */
  readonly keptBytes?: number
  /** Bytes of entries that one append carries at most, unless one entry alone is larger. */
  readonly appendBytes?: number
}

export interface ReadState {
  readonly context: number
  readonly index: number
}

/** A piece of a snapshot that a lagging member needs; answered with `sendSnapshotChunk`. */
export interface SnapshotRead {
  readonly to: MemberId
  /** 0 for a new snapshot, as late as can be had. One that is gone is answered with the start of another. */
  readonly id: number
  readonly offset: number
}

export interface Ready {
  readonly number: number
  /** The log begins anew behind this snapshot, which was received whole; written before `entries`. */
  readonly restore: SnapshotPlace | null
  readonly hardState: HardState | null
  readonly entries: readonly Entry[]
  /** Something in this write is promised to others, so it must be flushed. */
  readonly mustFlush: boolean
  readonly messages: readonly Message[]
  readonly committed: readonly Entry[]
  readonly reads: readonly ReadState[]
  /** Contexts of reads that nobody answers: whoever asked has to ask again. */
  readonly refusedReads: readonly number[]
  readonly snapshotReads: readonly SnapshotRead[]
  /** Pieces of an arriving snapshot to store; each is answered with `snapshotStored`. */
  readonly snapshotChunks: readonly SnapshotChunk[]
}

/** What a leader knows of another member. */
export interface PeerProgress {
  readonly member: MemberId
  /** Last index known to be durable there. */
  readonly match: number
  /** Since it was heard of; null when never in this term. */
  readonly silentTicks: number | null
  /** A snapshot is on its way to it. */
  readonly snapshot: boolean
}

export type ProposeOutcome =
  | { readonly kind: 'accepted'; readonly firstIndex: number; readonly term: number }
  | { readonly kind: 'not-leader'; readonly leader: MemberId }
  | { readonly kind: 'fenced'; readonly term: number }
  /** The cluster version does not allow such an entry yet. */
  | { readonly kind: 'too-new'; readonly needs: number }

export type ChangeOutcome =
  | ProposeOutcome
  /** The change before it is not through yet. */
  | { readonly kind: 'busy' }
  /** A member that is to vote does not have the log yet: it has to be a learner first. */
  | { readonly kind: 'not-ready'; readonly member: MemberId }
  | { readonly kind: 'invalid'; readonly why: string }

/** By type: the cluster version from which on each format may be written; the first format comes first. */
export type EntryVersions = ReadonlyMap<number, readonly number[]>
