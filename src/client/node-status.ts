/** What a node says about itself over the admin socket: the answer to `mk8s status`, as JSON. */

import type { BackupScheduleStatus } from './backup-schedule-status.ts'
export interface ComponentHealth {
  readonly name: string
  readonly ok: boolean
  /** What is wrong, in words a user can act on; empty when ok. */
  readonly reason: string
}

export interface DatastoreMember {
  /** In hexadecimal. */
  readonly id: string
  /** Of its Node. */
  readonly name: string
  /** `address:port` of the member's Raft listener. */
  readonly address: string
  readonly role: 'voter' | 'standby' | 'spare'
  readonly leader: boolean
  /** Whether the member has been heard of lately; always true for the one that answers. */
  readonly alive: boolean
  /** It was stopped in order; `alive` while it still answers. */
  readonly stopped: boolean
  /** Milliseconds since the leader heard of it; null when nobody knows. */
  readonly silentMs: number | null
  /** Entries that the leader has and it lacks; null when nobody knows. */
  readonly lag: number | null
  /** Empty: it fails by itself. */
  readonly failureDomain: string
  /** Of mk8s; null when it did not say. */
  readonly version: string | null
  /** It is on its way out of the cluster. */
  readonly leaving: boolean
}

/** `degraded`: it was, and would be again with those that are silent. */
export type HighAvailabilityState = 'yes' | 'no' | 'degraded'

export interface DatastoreStatus {
  /** The part that this member plays now. */
  readonly role: 'leader' | 'follower' | 'candidate'
  /** Address of the leader, or null while there is none. */
  readonly leader: string | null
  readonly term: number
  /** The latest revision applied here. */
  readonly revision: number
  readonly members: readonly DatastoreMember[]
  /** Whether writes are possible: a leader, and a majority of the voters alive. */
  readonly healthy: boolean
  readonly highAvailability: {
    /** Any one server may be lost now. */
    readonly enabled: boolean
    readonly state: HighAvailabilityState
    readonly why: string
  }
}

export interface AddonStatus {
  readonly name: string
  readonly repository: string
  readonly description: string
  readonly version: string
  readonly enabled: boolean
}

/** Something that does not work, and what to do about it. */
export interface Problem {
  /** `node/n1`, `pod/kube-system/dns-1`, `component/kubelet`. */
  readonly object: string
  /** One word, as Kubernetes has it: `CrashLoopBackOff`, `Unschedulable`. */
  readonly reason: string
  readonly message: string
  /** A command or a sentence. */
  readonly next: string
}

export interface NodeStatus {
  /** Version of mk8s, without a leading v. */
  readonly version: string
  /** `v1.36.x+mk8s.<version>`. */
  readonly kubernetesVersion: string
  readonly clusterId: string
  readonly processId: number
  readonly startedAt: string
  readonly uptimeSeconds: number
  /** True once the API server serves, writes are possible, every component is well and the node's Ready condition is True. */
  readonly ready: boolean
  readonly node: {
    readonly name: string
    readonly address: string
    readonly ready: boolean
    readonly reason: string
  }
  /** Null on a worker, which holds no data. */
  readonly datastore: DatastoreStatus | null
  readonly components: readonly ComponentHealth[]
  readonly addons: readonly AddonStatus[]
  readonly runtime: { readonly name: string; readonly why: string }
  /** Components, nodes and pods that are not well; empty in the answers in between while one waits. */
  readonly problems: readonly Problem[]
  /** Of the cluster; empty on a worker, while the node waits for its cluster, and in the answers in between. */
  readonly backups: readonly BackupScheduleStatus[]
}

/** What is wrong with a node that is not ready, one reason per line; empty when all is well. */
export function reasonsNotReady(status: NodeStatus): readonly string[] {
  const components = status.components.filter(part => !part.ok).map(part => `${part.name}: ${part.reason}`)
  const node = status.node.ready ? [] : [`node ${status.node.name}: ${status.node.reason || 'not Ready yet'}`]
  const datastore =
    status.datastore === null || status.datastore.healthy
      ? []
      : [`datastore: ${status.datastore.highAvailability.why}`]
  return [...components, ...datastore, ...node]
}
