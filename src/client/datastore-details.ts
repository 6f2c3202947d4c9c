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
  /** Where etcd's clients reach it; null when the endpoint is off. */
  readonly etcdEndpoint: string | null
  readonly members: readonly DatastoreMemberDetails[]
}

export interface DatastoreMemberDetails {
  /** In hexadecimal. */
  readonly id: string
  readonly name: string
  readonly address: string
  readonly role: 'voter' | 'standby' | 'spare'
  readonly leader: boolean
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
