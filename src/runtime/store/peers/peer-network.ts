/** What members say to each other, and over what. */
import type { MemberId, Message } from '../../raft/messages.ts'

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

/** What members say to each other: the core's messages, and what only the leader can do. */
export type PeerMessage =
  | { readonly type: 'raft'; readonly message: Message }
  | { readonly type: 'forward'; readonly proposals: readonly Buffer[] }
  /** Whoever was believed to lead takes none of these now. */
  | { readonly type: 'forward-refusal'; readonly requests: readonly ProposerRequest[] }
  /** Not for the replica: the leader's main thread counts leases. */
  | {
      readonly type: 'keep-lease'
      readonly question: number
      readonly lease: number
      /** Else only what is left of its time is asked. */
      readonly renew: boolean
    }
  | { readonly type: 'lease-kept'; readonly question: number; readonly outcome: LeaseOutcome }

export interface ProposerRequest {
  readonly proposer: number
  readonly request: number
}

/** Sends without waiting; what cannot be sent is lost. */
export interface PeerNetwork {
  /** Who else is a member: links to all of them should stand before they are needed. */
  connectTo(members: readonly MemberId[]): void
  /** The link stands, as far as known here. */
  reaches(member: MemberId): boolean
  send(to: MemberId, message: PeerMessage): void
}

/** `ttlMs`: what is left of its time, which is all of it once it was renewed. */
export type LeaseOutcome =
  | { readonly kind: 'kept'; readonly ttlMs: number }
  | { readonly kind: 'no-lease' }
  | { readonly kind: 'no-leader' }
