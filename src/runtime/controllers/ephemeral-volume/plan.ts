/** The claims that a pod's ephemeral volumes need (pure): made from their templates, owned by the pod. */
import type { PersistentVolumeClaim, Pod, Volume } from '../../../kube/types.ts'
import { ephemeralClaimName, isOwnedBy } from '../../../kube/volumes/claims.ts'
import { controllerReference } from '../shared/owners.ts'

export interface EphemeralPlan {
  readonly create: readonly PersistentVolumeClaim[]
  /** Claims of the name that are not the pod's. */
  readonly foreign: readonly PersistentVolumeClaim[]
}

const NOTHING: EphemeralPlan = { create: [], foreign: [] }

export function planEphemeralClaims(
  pod: Pod,
  claimOf: (name: string) => PersistentVolumeClaim | undefined,
): EphemeralPlan {
  if (pod.metadata.deletionTimestamp !== undefined) return NOTHING
  const create: PersistentVolumeClaim[] = []
  const foreign: PersistentVolumeClaim[] = []
  for (const volume of pod.spec?.volumes ?? []) {
    if (!volume.ephemeral) continue
    const known = claimOf(ephemeralClaimName(pod, volume))
    if (known === undefined) create.push(renderClaim(pod, volume))
    else if (!isOwnedBy(known, pod)) foreign.push(known)
  }
  return { create, foreign }
}

function renderClaim(pod: Pod, volume: Volume): PersistentVolumeClaim {
  const template = volume.ephemeral?.volumeClaimTemplate
  const { annotations, labels } = template?.metadata ?? {}
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: {
      name: ephemeralClaimName(pod, volume),
      namespace: pod.metadata.namespace ?? '',
      ownerReferences: [controllerReference(pod)],
      ...(annotations === undefined ? {} : { annotations }),
      ...(labels === undefined ? {} : { labels }),
    },
    spec: { ...template?.spec },
  }
}
