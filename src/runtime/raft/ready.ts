/** What goes into a core at its start and what comes out of it: the types of its contract with the driver. */
import type { Random } from '../../base/random.ts'
import type { Entry } from './entry.ts'
import type { MemberId, Message } from './messages.ts'
import type { RaftLogStart } from './raft-log.ts'

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
}

export interface ReadState {
  readonly context: number
  readonly index: number
}

export interface Ready {
  readonly number: number
  readonly hardState: HardState | null
  readonly entries: readonly Entry[]
  /** Something in this write is promised to others, so it must be flushed. */
  readonly mustFlush: boolean
  readonly messages: readonly Message[]
  readonly committed: readonly Entry[]
  readonly reads: readonly ReadState[]
}

export type ProposeOutcome =
  | { readonly kind: 'accepted'; readonly firstIndex: number; readonly term: number }
  | { readonly kind: 'not-leader'; readonly leader: MemberId }
  | { readonly kind: 'fenced'; readonly term: number }
