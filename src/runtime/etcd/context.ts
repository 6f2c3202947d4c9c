/** What every service of the endpoint works with, and the header that every answer begins with. */

import type { Clock } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import type { WireWriter } from '../../base/wire-writer.ts'
import type { Configuration } from '../raft/messages.ts'
import type { RaftStore } from '../store/raft-store.ts'
import type { Revision, Store } from '../store/store.ts'
import { newMessage } from './grpc/call.ts'

/** What the endpoint tells about the member behind it. */
export interface MemberStatus {
  readonly memberId: number
  readonly leaderMemberId: number
  /** A UUID. */
  readonly clusterId: string
  readonly term: number
  readonly commit: number
  readonly applied: number
  readonly membership: Pick<Configuration, 'voters' | 'learners'>
  /** Of the database and its own log on disk. */
  readonly databaseBytes: number
}

export interface Member {
  readonly id: number
  readonly name: string
  readonly peerAddresses: readonly string[]
  readonly clientAddresses: readonly string[]
  readonly learner: boolean
}

/** What the endpoint serves. */
export type EtcdStore = Store & Pick<RaftStore, 'defragment' | 'transferLeadership'>

export interface EtcdContext {
  readonly store: EtcdStore
  readonly status: () => MemberStatus
  readonly members: () => readonly Member[]
  readonly clock: Clock
  readonly log: Log
  readonly identity: Identity
}

export interface Identity {
  readonly cluster: bigint
  readonly member: bigint
}

/** etcd's ids have 64 bits: the first half of the cluster's UUID serves. */
export function identityOf({ clusterId, memberId }: MemberStatus): Identity {
  return { cluster: BigInt(`0x${clusterId.replaceAll('-', '').slice(0, 16)}`), member: BigInt(memberId) }
}

const HEADER_FIELD = 1

export function writeHeader(writer: WireWriter, { identity, store }: EtcdContext, revision?: Revision): void {
  writer.message(HEADER_FIELD, header => {
    header.uint64(1, identity.cluster)
    header.uint64(2, identity.member)
    header.int64(3, revision ?? store.revision)
    header.int64(4, store.leadership.term)
  })
}

/** An answer that begins with its header. */
export function newAnswer(context: EtcdContext, revision?: Revision, capacity?: number): WireWriter {
  const writer = newMessage(capacity)
  writeHeader(writer, context, revision)
  return writer
}
