/** What becomes of one claim on a volume (pure): bound, waiting, to be provisioned, or lost. */
import type { EventType } from '../../../client/event-recorder.ts'
import type { PersistentVolume, PersistentVolumeClaim, StorageClass } from '../../../kube/types.ts'
import {
  BIND_COMPLETED,
  BOUND_BY_CONTROLLER,
  bindsNow,
  classOf,
  hasNoClass,
  isBoundTo,
  SELECTED_NODE,
  waitsForConsumer,
} from '../../../kube/volumes/claims.ts'
import { findVolume, mismatchOf } from '../../../kube/volumes/match.ts'

export interface Said {
  readonly type: EventType
  readonly reason: string
  readonly message: string
}

export interface ClaimWorld {
  readonly volumes: readonly PersistentVolume[]
  readonly classes: readonly StorageClass[]
  readonly defaultClass: StorageClass | undefined
  /** Names of pods that use the claim and have no node yet. */
  readonly waitingPods: readonly string[]
}

export type ClaimPlan =
  | { readonly kind: 'bind'; readonly volume: PersistentVolume }
  | { readonly kind: 'pending'; readonly event?: Said }
  | { readonly kind: 'lost'; readonly event: Said }
  /** Who makes the volume is told by annotations. */
  | { readonly kind: 'provision'; readonly provisioner: string; readonly event: Said }
  | { readonly kind: 'give-class'; readonly name: string }

export function planClaim(claim: PersistentVolumeClaim, world: ClaimWorld): ClaimPlan {
  const isCompleted = claim.metadata.annotations?.[BIND_COMPLETED] !== undefined
  return isCompleted ? planBound(claim, world) : planUnbound(claim, world)
}

const normal = (reason: string, message: string): Said => ({ type: 'Normal', reason, message })
const warning = (reason: string, message: string): Said => ({ type: 'Warning', reason, message })
const lost = (reason: string, message: string): ClaimPlan => ({
  kind: 'lost',
  event: warning(reason, message),
})

function planBound(claim: PersistentVolumeClaim, { volumes }: ClaimWorld): ClaimPlan {
  const name = claim.spec?.volumeName
  if (!name) {
    const why = 'Bound claim has lost reference to PersistentVolume. Data on the volume is lost!'
    return lost('ClaimLost', why)
  }
  const volume = volumes.find(({ metadata }) => metadata.name === name)
  if (volume === undefined) {
    return lost('ClaimLost', 'Bound claim has lost its PersistentVolume. Data on the volume is lost!')
  }
  const reference = volume.spec?.claimRef
  if (!reference || reference.uid === claim.metadata.uid) return { kind: 'bind', volume }
  const why = 'Two claims are bound to the same volume, this one is bound incorrectly'
  return lost('ClaimMisbound', why)
}

function planUnbound(claim: PersistentVolumeClaim, world: ClaimWorld): ClaimPlan {
  if (claim.spec?.volumeName) return planNamed(claim, claim.spec.volumeName, world)
  if (claim.metadata.deletionTimestamp !== undefined) return { kind: 'pending' }
  if (hasNoClass(claim) && world.defaultClass?.metadata.name !== undefined) {
    return { kind: 'give-class', name: world.defaultClass.metadata.name }
  }
  const found = world.classes.find(({ metadata }) => metadata.name === classOf(claim))
  const isSelected = claim.metadata.annotations?.[SELECTED_NODE] !== undefined
  const isDelayed = !isSelected && !bindsNow(claim) && waitsForConsumer(found)
  const volume = findVolume(claim, world.volumes, { onlyReserved: isDelayed })
  if (volume !== null) return { kind: 'bind', volume }
  if (isDelayed) return { kind: 'pending', event: consumerEvent(world.waitingPods) }
  if (classOf(claim) !== '') return planProvision(claim, found)
  const why = 'no persistent volumes available for this claim and no storage class is set'
  return { kind: 'pending', event: normal('FailedBinding', why) }
}

function consumerEvent(pods: readonly string[]): Said {
  if (pods.length === 0) {
    return normal('WaitForFirstConsumer', 'waiting for first consumer to be created before binding')
  }
  const noun = pods.length === 1 ? 'pod' : 'pods'
  return normal('WaitForPodScheduled', `waiting for ${noun} ${pods.join(',')} to be scheduled`)
}

/** The user asked for this very volume. */
function planNamed(claim: PersistentVolumeClaim, name: string, { volumes }: ClaimWorld): ClaimPlan {
  const volume = volumes.find(({ metadata }) => metadata.name === name)
  if (volume === undefined) return { kind: 'pending' }
  if (!volume.spec?.claimRef) {
    const mismatch = mismatchOf(volume, claim)
    if (mismatch === null) return { kind: 'bind', volume }
    const why = `Cannot bind to requested volume "${name}": ${mismatch}`
    return { kind: 'pending', event: warning('VolumeMismatch', why) }
  }
  if (isBoundTo(volume, claim)) return { kind: 'bind', volume }
  const isOurs = claim.metadata.annotations?.[BOUND_BY_CONTROLLER] !== undefined
  const why = `volume "${name}" already bound to a different claim.`
  return { kind: 'pending', ...(isOurs ? {} : { event: warning('FailedBinding', why) }) }
}

const IN_TREE = 'kubernetes.io/'

function planProvision(claim: PersistentVolumeClaim, found: StorageClass | undefined): ClaimPlan {
  if (found === undefined) {
    const why = `storageclass.storage.k8s.io "${classOf(claim)}" not found`
    return { kind: 'pending', event: warning('ProvisioningFailed', why) }
  }
  const { provisioner } = found
  if (provisioner.startsWith(IN_TREE)) {
    const why = `no volume plugin matched name: ${provisioner}`
    return { kind: 'pending', event: warning('ProvisioningFailed', why) }
  }
  const message =
    `Waiting for a volume to be created either by the external provisioner '${provisioner}' or manually by ` +
    'the system administrator. If volume creation is delayed, please verify that the provisioner is running ' +
    'and correctly registered.'
  return { kind: 'provision', provisioner, event: normal('ExternalProvisioning', message) }
}
