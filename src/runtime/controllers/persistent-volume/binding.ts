/** Both sides of a binding as they are to be written (pure). What is right already comes back as the same object. */
import type { PersistentVolume, PersistentVolumeClaim } from '../../../kube/types.ts'
import { BIND_COMPLETED, BOUND_BY_CONTROLLER, isBoundTo } from '../../../kube/volumes/claims.ts'

const YES = 'yes'

export function volumeFor(volume: PersistentVolume, claim: PersistentVolumeClaim): PersistentVolume {
  const { name = '', namespace = '', uid = '', resourceVersion = '' } = claim.metadata
  const reference = volume.spec?.claimRef
  if (reference?.uid === uid && isBoundTo(volume, claim)) return volume
  const claimRef = {
    ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim' },
    ...{ name, namespace, uid, resourceVersion },
  }
  const annotations: Record<string, string> = { ...volume.metadata.annotations }
  if (!isBoundTo(volume, claim)) annotations[BOUND_BY_CONTROLLER] = YES
  return {
    ...volume,
    metadata: { ...volume.metadata, annotations },
    spec: { ...volume.spec, claimRef },
  }
}

export function claimFor(claim: PersistentVolumeClaim, volume: PersistentVolume): PersistentVolumeClaim {
  const name = volume.metadata.name ?? ''
  const isCompleted = claim.metadata.annotations?.[BIND_COMPLETED] !== undefined
  const isNamed = claim.spec?.volumeName === name
  if (isCompleted && isNamed) return claim
  const annotations: Record<string, string> = { ...claim.metadata.annotations, [BIND_COMPLETED]: YES }
  if (!isNamed) annotations[BOUND_BY_CONTROLLER] = YES
  return {
    ...claim,
    metadata: { ...claim.metadata, annotations },
    spec: { ...claim.spec, volumeName: name },
  }
}

/** What the claim has is said when it becomes bound; growing is another controller's affair. */
export function boundClaim(claim: PersistentVolumeClaim, volume: PersistentVolume): PersistentVolumeClaim {
  const { status } = claim
  if (status?.phase === 'Bound') return claim
  const attributes = volume.spec?.volumeAttributesClassName
  return {
    ...claim,
    status: {
      ...status,
      phase: 'Bound',
      accessModes: volume.spec?.accessModes ?? [],
      capacity: { ...volume.spec?.capacity },
      ...(attributes ? { currentVolumeAttributesClassName: attributes } : {}),
    },
  }
}

/** Pending or Lost: it has nothing. */
export function unboundClaim(claim: PersistentVolumeClaim, phase: 'Pending' | 'Lost'): PersistentVolumeClaim {
  const { accessModes, capacity, ...rest } = claim.status ?? {}
  if (rest.phase === phase && accessModes === undefined && capacity === undefined) return claim
  return { ...claim, status: { ...rest, phase } }
}

export function volumeInPhase(
  volume: PersistentVolume,
  next: { readonly phase: string; readonly message?: string | undefined; readonly time: string },
): PersistentVolume {
  const { message: before, ...rest } = volume.status ?? {}
  if (rest.phase === next.phase && (before ?? '') === (next.message ?? '')) return volume
  const time = rest.phase === next.phase ? rest.lastPhaseTransitionTime : next.time
  return {
    ...volume,
    status: {
      ...rest,
      phase: next.phase,
      ...(time === undefined ? {} : { lastPhaseTransitionTime: time }),
      ...(next.message ? { message: next.message } : {}),
    },
  }
}
