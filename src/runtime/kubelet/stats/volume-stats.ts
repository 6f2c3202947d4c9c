/** What each volume of a pod has and uses, as `/stats/summary` tells it: from drivers, or from the file system. */

import { statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { Pod } from '../../../kube/types.ts'
import type { VolumeStats as DriverStats } from '../csi/csi-driver.ts'
import type { CsiMounts } from '../csi/csi-mounts.ts'
import { identityOf } from '../pod-identity.ts'
import type { ClaimedPlace, ClaimedPlaces } from '../volumes/claim-volumes.ts'
import type { HostpathUsage } from '../volumes/hostpath-usage.ts'
import type { LocalUse } from './local-storage.ts'

export interface VolumeStats {
  readonly name: string
  readonly pvcRef?: { readonly name: string; readonly namespace: string }
  readonly availableBytes?: number
  readonly capacityBytes?: number
  readonly usedBytes?: number
  readonly inodesFree?: number
  readonly inodes?: number
  readonly inodesUsed?: number
  readonly volumeHealthStats?: { readonly abnormal: boolean }
}

export interface VolumeStatsParts {
  readonly csi: Pick<CsiMounts, 'statsOf'>
  /** `<data-dir>/pods`. */
  readonly pods: string
  readonly placesOf: (pod: Pod) => ClaimedPlaces
  readonly hostpaths: Pick<HostpathUsage, 'useOf'>
}

/** Volumes of which nobody says anything are left out. */
export async function volumeStatsOf(
  pod: Pod,
  local: LocalUse,
  parts: VolumeStatsParts,
): Promise<VolumeStats[]> {
  const directory = join(parts.pods, identityOf(pod).uid)
  const places = parts.placesOf(pod)
  const isDriven = [...places.values()].some(({ csi }) => csi !== undefined)
  const told = isDriven ? await parts.csi.statsOf(directory) : new Map<string, DriverStats>()
  const stats: VolumeStats[] = []
  for (const { name } of pod.spec?.volumes ?? []) {
    const used = local.emptyDirs.get(name)
    const place = places.get(name)
    if (used !== undefined) {
      const path = join(directory, 'volumes/kubernetes.io~empty-dir', name)
      stats.push({ name, ...(await fileSystem(path, used)) })
    } else if (place !== undefined) {
      const found = await statsOfPlace(place, told, parts.hostpaths)
      if (found !== null) stats.push({ name, ...claimOf(place, pod), ...found })
    }
  }
  return stats
}

const claimOf = ({ claimName }: ClaimedPlace, pod: Pod) =>
  claimName === undefined ? {} : { pvcRef: { name: claimName, namespace: identityOf(pod).namespace } }

async function statsOfPlace(
  place: ClaimedPlace,
  told: ReadonlyMap<string, DriverStats>,
  hostpaths: VolumeStatsParts['hostpaths'],
): Promise<Omit<VolumeStats, 'name'> | null> {
  const driver = told.get(place.volumeName)
  if (driver !== undefined) return renderDriverStats(driver)
  if (place.sort === 'local') return fileSystem(place.path)
  if (place.sort !== 'directory') return null
  // Its share of the disk is what the claim asks for, as far as the disk has it.
  const { usedBytes, sizeBytes } = await hostpaths.useOf(place)
  const disk = await fileSystem(place.path, usedBytes)
  const left = Math.max(0, sizeBytes - usedBytes)
  return { ...disk, capacityBytes: sizeBytes, availableBytes: Math.min(left, disk.availableBytes ?? left) }
}

/** Without a number of its own a volume uses what its file system does. */
async function fileSystem(path: string, usedBytes?: number): Promise<Omit<VolumeStats, 'name'>> {
  const found = await statfs(path).catch(() => null)
  if (found === null) return usedBytes === undefined ? {} : { usedBytes }
  const { bavail, bfree, blocks, bsize, ffree, files } = found
  return {
    availableBytes: bavail * bsize,
    capacityBytes: blocks * bsize,
    usedBytes: usedBytes ?? (blocks - bfree) * bsize,
    inodesFree: ffree,
    inodes: files,
    ...(usedBytes === undefined ? { inodesUsed: files - ffree } : {}),
  }
}

/** Drivers leave out what does not apply, which arrives as zeros. */
function renderDriverStats({ usage, volumeCondition }: DriverStats): Omit<VolumeStats, 'name'> {
  const bytes = usage.find(({ unit }) => unit === 'BYTES')
  const inodes = usage.find(({ unit }) => unit === 'INODES')
  return {
    ...(bytes === undefined
      ? {}
      : { availableBytes: bytes.available, capacityBytes: bytes.total, usedBytes: bytes.used }),
    ...(inodes === undefined
      ? {}
      : { inodesFree: inodes.available, inodes: inodes.total, inodesUsed: inodes.used }),
    ...(volumeCondition === null ? {} : { volumeHealthStats: { abnormal: volumeCondition.abnormal } }),
  }
}
