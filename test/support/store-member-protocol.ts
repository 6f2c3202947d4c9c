/** What a test and a member of the datastore in a process of its own say to each other. */

import type { LogLevel } from '../../src/base/log.ts'
import type { PeerAddress, PeerCredentials } from '../../src/runtime/store/peers/peer-network.ts'
import type { PeerLocation, RaftStore, StoreStatus } from '../../src/runtime/store/raft-store.ts'
import type { StoreEvent, WatchRequest } from '../../src/runtime/store/store.ts'

export interface OpenOptions {
  readonly directory: string
  readonly clusterId: string
  readonly memberId: number
  readonly joins: boolean
  /** Null for a member that stays alone. */
  readonly peers: {
    readonly credentials: PeerCredentials
    readonly listen: PeerAddress
    readonly known: readonly PeerLocation[]
  } | null
  /** Serves etcd's API there, too. */
  readonly etcdSocket: string | null
  readonly logLevel: LogLevel
}

/** What can be asked of a member's store by its name: everything that answers once. */
export type StoreMethod =
  | 'transact'
  | 'decide'
  | 'get'
  | 'range'
  | 'count'
  | 'barrier'
  | 'compact'
  | 'grantLease'
  | 'keepLeaseAlive'
  | 'lease'
  | 'leases'
  | 'revokeLease'
  | 'status'
  | 'check'
  | 'defragment'
  | 'setPeers'
  | 'changeMembership'
  | 'transferLeadership'
  | 'close'

export type Answer<M extends StoreMethod> = Awaited<ReturnType<RaftStore[M]>>

export interface LoadRequest {
  readonly writers: number
  readonly milliseconds: number
  readonly valueBytes: number
}

export interface LoadOutcome {
  readonly puts: number
  readonly failed: number
  readonly putsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** The longest time without an acknowledgement. */
  readonly longestGapMs: number
}

/** An error as it crosses the process boundary. */
export interface SaidError {
  /** Of the table in base/errors.ts; empty when it is none of those. */
  readonly code: string
  readonly message: string
  readonly why: string
  readonly hint: string
}

export type ToMember =
  | { readonly type: 'open'; readonly options: OpenOptions }
  | {
      readonly type: 'call'
      readonly id: number
      readonly method: StoreMethod
      readonly args: readonly unknown[]
    }
  /** The main thread does nothing else for so long, as over a long computation; the other threads go on. */
  | { readonly type: 'spin'; readonly milliseconds: number }
  | { readonly type: 'load'; readonly id: number; readonly load: LoadRequest }
  | { readonly type: 'watch'; readonly id: number; readonly request: WatchRequest }
  | { readonly type: 'unwatch'; readonly id: number }

export type FromMember =
  | { readonly type: 'opened'; readonly status: StoreStatus }
  | { readonly type: 'open-failed'; readonly error: SaidError }
  /** The store cannot go on; the process ends. */
  | { readonly type: 'fatal'; readonly error: SaidError }
  | { readonly type: 'answer'; readonly id: number; readonly result: unknown }
  | { readonly type: 'error'; readonly id: number; readonly error: SaidError }
  | {
      readonly type: 'events'
      readonly id: number
      readonly events: readonly StoreEvent[]
      readonly revision: number
    }
  | { readonly type: 'watch-closed'; readonly id: number; readonly error: SaidError }
  /** At each change of who leads or of who belongs to the cluster. */
  | { readonly type: 'status'; readonly status: StoreStatus }
