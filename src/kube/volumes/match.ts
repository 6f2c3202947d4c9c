/** Which volume suits a claim (pure): the smallest of those that are large enough and otherwise as wanted. */
import { selects } from '../labels.ts'
import { compareQuantities, parseQuantity } from '../quantity.ts'
import type { PersistentVolume, PersistentVolumeClaim } from '../types.ts'
import { classOf, isBoundTo } from './claims.ts'

export interface MatchOptions {
  /** Volumes that somebody else is about to take. */
  readonly isTaken?: (volume: PersistentVolume) => boolean
  /** Whether the volume can be reached from where it is needed; absent: from anywhere. */
  readonly isReachable?: (volume: PersistentVolume) => boolean
  /** Only volumes that were set aside for the claim by name. */
  readonly onlyReserved?: boolean
}

/** A volume that was set aside for the claim comes first, and alone if it cannot be reached. */
export function findVolume(
  claim: PersistentVolumeClaim,
  volumes: readonly PersistentVolume[],
  options: MatchOptions = {},
): PersistentVolume | null {
  const { isReachable = () => true } = options
  let best: PersistentVolume | null = null
  for (const volume of volumes) {
    if (options.isTaken?.(volume) || !couldServe(claim, volume)) continue
    if (isBoundTo(volume, claim)) return isReachable(volume) ? volume : null
    if (options.onlyReserved || !isFree(volume) || !isChosen(claim, volume) || !isReachable(volume)) continue
    if (best === null || sizeOf(volume) < sizeOf(best)) best = volume
  }
  return best
}

/** What holds for volumes that were set aside, too. */
function couldServe(claim: PersistentVolumeClaim, volume: PersistentVolume): boolean {
  if (volume.metadata.deletionTimestamp !== undefined) return false
  if (volume.spec?.claimRef && !isBoundTo(volume, claim)) return false
  if (sizeOf(volume) < requestOf(claim) || modeOf(volume) !== modeOf(claim)) return false
  return attributesOf(volume) === attributesOf(claim)
}

const isFree = ({ spec, status }: PersistentVolume): boolean =>
  !spec?.claimRef && status?.phase === 'Available'

function isChosen(claim: PersistentVolumeClaim, volume: PersistentVolume): boolean {
  if (classOf(volume) !== classOf(claim)) return false
  const { selector } = claim.spec ?? {}
  if (selector !== undefined && !selects(selector, volume.metadata.labels)) return false
  return hasModes(claim, volume)
}

function hasModes(claim: PersistentVolumeClaim, volume: PersistentVolume): boolean {
  const offered = volume.spec?.accessModes ?? []
  return (claim.spec?.accessModes ?? []).every(mode => offered.includes(mode))
}

/** Why a volume that the claim names itself does not suit it; null when it does. */
export function mismatchOf(volume: PersistentVolume, claim: PersistentVolumeClaim): string | null {
  if (sizeOf(volume) < requestOf(claim)) return 'requested PV is too small'
  if (classOf(volume) !== classOf(claim)) return 'storageClassName does not match'
  if (modeOf(volume) !== modeOf(claim)) return 'incompatible volumeMode'
  if (!hasModes(claim, volume)) return 'incompatible accessMode'
  return attributesOf(volume) === attributesOf(claim) ? null : 'volumeAttributesClassName does not match'
}

export const requestedStorage = ({ spec }: PersistentVolumeClaim): string =>
  spec?.resources?.requests?.['storage'] ?? '0'

const sizeOf = ({ spec }: PersistentVolume): bigint => parseQuantity(spec?.capacity?.['storage'] ?? '0').nano
const requestOf = (claim: PersistentVolumeClaim): bigint => parseQuantity(requestedStorage(claim)).nano
const modeOf = ({ spec }: PersistentVolume | PersistentVolumeClaim): string =>
  spec?.volumeMode ?? 'Filesystem'
const attributesOf = ({ spec }: PersistentVolume | PersistentVolumeClaim): string =>
  spec?.volumeAttributesClassName ?? ''

export function isLarger(a: string, b: string): boolean {
  return compareQuantities(parseQuantity(a), parseQuantity(b)) > 0
}
