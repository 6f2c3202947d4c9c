/**
 * The decisions on which safety rests, each small and in one place. A core runs on the sound ones; the
 * simulation puts a wrong one in to show that it would see the damage.
 */
import type { MemberId } from './messages.ts'

export interface SafetyRules {
  /** A member votes for one candidate in a term. `vote` is who got it already, 0 for nobody. */
  mayVote(vote: MemberId, candidate: MemberId): boolean
  /** Only an entry of the leader's own term is committed by counting; earlier ones come along (figure 8). */
  mayCommitByCounting(entryTerm: number | null, term: number): boolean
  /** A follower drops its own entries from the first one that differs, and no others. */
  mustTruncate(ownTerm: number, leadersTerm: number): boolean
  /** A leader answers a read only after a quorum has confirmed it since the read was asked. */
  mustConfirmReads(): boolean
  /**
   * A log that has the entry at which a snapshot ends stays as it is, with all behind it. `ownTerm` is that of the
   * entry at this place, null for none.
   */
  mustKeepLog(ownTerm: number | null, snapshotTerm: number): boolean
}

export const soundRules: SafetyRules = {
  mayVote: (vote, candidate) => vote === 0 || vote === candidate,
  mayCommitByCounting: (entryTerm, term) => entryTerm === term,
  mustTruncate: (ownTerm, leadersTerm) => ownTerm !== leadersTerm,
  mustConfirmReads: () => true,
  mustKeepLog: (ownTerm, snapshotTerm) => ownTerm === snapshotTerm,
}
