/** Every message between members, as one union. `term` is the sender's, except in a pre-vote: the one it wants. */
import type { Entry } from './entry.ts'

/** Identifies a member; below 2^53, never reused, 0 means nobody. */
export type MemberId = number

interface Envelope {
  readonly from: MemberId
  readonly to: MemberId
  readonly term: number
}

export type MessageBody =
  | { readonly type: 'pre-vote'; readonly lastIndex: number; readonly lastTerm: number }
  | { readonly type: 'pre-vote-reply'; readonly granted: boolean }
  | { readonly type: 'vote'; readonly lastIndex: number; readonly lastTerm: number }
  | { readonly type: 'vote-reply'; readonly granted: boolean }
  | {
      readonly type: 'append'
      readonly previousIndex: number
      readonly previousTerm: number
      readonly entries: readonly Entry[]
      readonly commit: number
    }
  /** `index` is the last one that matches; when rejected, the last one that may match. */
  | { readonly type: 'append-reply'; readonly index: number; readonly rejected: boolean }
  | { readonly type: 'heartbeat'; readonly commit: number; readonly read: number }
  | { readonly type: 'heartbeat-reply'; readonly read: number }
  | { readonly type: 'read-index'; readonly context: number }
  | { readonly type: 'read-index-reply'; readonly context: number; readonly index: number }

export type Message = Envelope & MessageBody
