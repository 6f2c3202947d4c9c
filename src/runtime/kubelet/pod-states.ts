/** In which state pods are as far as their node is concerned (pure). */
import type { Pod, PodStatus } from '../../kube/types.ts'
import type { OrphanIdentity } from './orphans.ts'

export const isOver = (status: PodStatus | undefined): boolean =>
  ['Succeeded', 'Failed'].includes(status?.phase ?? '')

export const isAlive = ({ metadata, status }: Pod): boolean =>
  metadata.deletionTimestamp === undefined && !isOver(status)

/** One that is being deleted has its devices until it is gone. */
export const hasNotEnded = ({ status }: Pod): boolean => !isOver(status)

/** As much of a pod as is known of it: enough to end it. */
export function orphanOf({ name, namespace, uid }: OrphanIdentity): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, uid, deletionGracePeriodSeconds: 5 },
    spec: { containers: [] },
  }
}
