/** What a node tells about its datastore over the admin socket: the answers to `mk8s datastore …`, as JSON. */

export interface DatastoreDetails {
  readonly clusterId: string
  /** In hexadecimal. */
  readonly memberId: string
  /** Member that leads, in hexadecimal; null when none is known. */
  readonly leader: string | null
  readonly term: number
  readonly lastIndex: number
  readonly commitIndex: number
  readonly appliedIndex: number
  readonly revision: number
  readonly compactedRevision: number
  readonly keys: number
  readonly leases: number
  readonly logBytes: number
  readonly databaseBytes: number
  readonly timing: DatastoreTiming
  /** Where etcd's clients reach it; null when the endpoint is off. */
  readonly etcdEndpoint: string | null
  readonly members: readonly DatastoreMemberDetails[]
}

/** What a copy of the database for a backup is made of, by whoever asks, on the node's own disk. */
export interface DatastoreCopy {
  /** Of the database. */
  readonly path: string
  /** The entry that the copy holds at least: all that was acknowledged before somebody asked. */
  readonly index: number
  readonly nodeName: string
}

/** Measured lately, and the timers that follow from it; milliseconds. */
export interface DatastoreTiming {
  readonly flushMedianMs: number
  readonly flushWorstMs: number
  /** 0 on a member that does not lead, or leads alone. */
  readonly roundTripMs: number
  readonly heartbeatMs: number
  readonly electionMs: number
}

export interface DatastoreMemberDetails {
  /** In hexadecimal. */
  readonly id: string
  /** Empty when it has no record. */
  readonly name: string
  readonly address: string
  /** What it is meant to be; null when it has no record. */
  readonly role: 'voter' | 'standby' | 'spare' | 'leaving' | null
  readonly leader: boolean
  /** Its part in Raft as this member's log has it. */
  readonly raft: 'voter' | 'learner' | 'none'
  /** Entries that it has yet to make durable; null where that is not known: only a leader knows it of others. */
  readonly lag: number | null
  /** Since it was last heard of; null where that is not known. */
  readonly silentMs: number | null
}

export interface DatastoreCheck {
  readonly segments: number
  readonly logBytes: number
  readonly databaseBytes: number
  readonly durationMs: number
  /** Sentences; empty when all is well. */
  readonly findings: readonly string[]
}

export interface DatastoreCompaction {
  /** History at and below it is forgotten, except what is the latest. */
  readonly revision: number
}

/** Sizes of the database in bytes. */
export interface DatastoreDefragmentation {
  readonly beforeBytes: number
  readonly afterBytes: number
  readonly durationMs: number
}
