/** What sets replica sets and replication controllers apart: the form of the selector, and one field of the status. */
import { REPLICA_SETS, REPLICATION_CONTROLLERS, type ResourceRef } from '../../../client/resources.ts'
import type { LabelSelector, ReplicaSet, ReplicaSetStatus } from '../../../kube/types.ts'

export interface Flavour {
  readonly kind: string
  readonly resource: ResourceRef
  readonly serviceAccount: string
  selectorOf(set: ReplicaSet): LabelSelector | undefined
  statusOf(status: ReplicaSetStatus): ReplicaSetStatus
}

export const REPLICA_SET: Flavour = {
  kind: 'ReplicaSet',
  resource: REPLICA_SETS,
  serviceAccount: 'replicaset-controller',
  selectorOf: set => set.spec?.selector,
  statusOf: status => status,
}

/** Its selector is a plain map of labels; nobody but the fields below looks at the object as more than a replica set. */
export const REPLICATION_CONTROLLER: Flavour = {
  kind: 'ReplicationController',
  resource: REPLICATION_CONTROLLERS,
  serviceAccount: 'replication-controller',
  selectorOf(set) {
    const labels = set.spec?.selector as Readonly<Record<string, string>> | undefined
    return labels === undefined ? undefined : { matchLabels: { ...labels } }
  },
  statusOf({ terminatingReplicas: _, ...status }) {
    return status
  },
}
