/**
 * What CSI volumes need while a pod has them: those that have grown are made use of in their new size, and drivers
 * that ask for it are told again. A node may not watch claims, so they are looked at now and then.
 */
import type { Clock } from '../../../base/clock.ts'
import { messageOf } from '../../../base/errors.ts'
import type { KubeClient } from '../../../client/kube-client.ts'
import { PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES } from '../../../client/resources.ts'
import { formatTime } from '../../../kube/time.ts'
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '../../../kube/types.ts'
import type { CsiMounts } from '../csi/csi-mounts.ts'
import type { CsiVolume } from '../csi/csi-volume.ts'
import { hasRpcCode } from '../runtime/cri/rpc.ts'
import type { ClaimedPlace, ClaimedPlaces } from './claim-volumes.ts'
import { asFailed, asGrowing, asGrown, growthOf } from './plan-growth.ts'
import { VolumeError } from './volume-error.ts'

/** As often as upstream's kubelet looks at a pod that nothing happens to. */
export const UPKEEP_MS = 60_000
const INFEASIBLE = ['InvalidArgument', 'OutOfRange', 'NotFound', 'FailedPrecondition'] as const

export interface VolumeUpkeepParts {
  readonly client: KubeClient
  readonly csi: Pick<CsiMounts, 'expands' | 'expand' | 'republish'>
  readonly clock: Clock
  readonly nodeName: string
  /** The pod's, below `pods/`. */
  readonly directory: string
  readonly onEvent: (type: 'Normal' | 'Warning', reason: string, message: string) => void
}

type Mounted = ClaimedPlace & { readonly csi: CsiVolume }

export class VolumeUpkeep {
  readonly #parts: VolumeUpkeepParts
  #lastMs: number | null = null
  #running: Promise<void> | null = null

  constructor(parts: VolumeUpkeepParts) {
    this.#parts = parts
  }

  /**
   * After every set-up of the volumes. The first time a growth is waited for, and what fails is thrown; later ones go
   * on beside the pod. Returns in how long to come again; Infinity for never.
   */
  async after(pod: Pod, places: ClaimedPlaces): Promise<number> {
    const { clock, csi } = this.#parts
    const mounted = [...places.values()].filter(isMounted)
    const growing = mounted.filter(place => place.claimName !== undefined && csi.expands(place.csi))
    const renewed = mounted.filter(place => place.csi.isRepublished)
    if (growing.length + renewed.length === 0) return Number.POSITIVE_INFINITY
    const now = clock.monotonic()
    if (this.#lastMs === null) {
      for (const place of growing) await this.#grow(pod, place)
      this.#lastMs = now
      return UPKEEP_MS
    }
    const dueMs = this.#lastMs + UPKEEP_MS - now
    if (dueMs > 0) return dueMs
    this.#lastMs = now
    this.#running ??= this.#renewAll(pod, growing, renewed).finally(() => {
      this.#running = null
    })
    return UPKEEP_MS
  }

  async #renewAll(pod: Pod, growing: readonly Mounted[], renewed: readonly Mounted[]): Promise<void> {
    const { csi, directory, onEvent } = this.#parts
    for (const place of growing) {
      await this.#grow(pod, place).catch(error => onEvent('Warning', 'VolumeResizeFailed', messageOf(error)))
    }
    for (const { csi: volume, volumeName } of renewed) {
      await csi.republish(volume, directory, volumeName).catch(error => {
        const message = `MountVolume.SetUp failed for volume "${volumeName}" : ${messageOf(error)}`
        onEvent('Warning', 'FailedMount', message)
      })
    }
  }

  async #grow(pod: Pod, { csi: wanted, volumeName, claimName = '' }: Mounted): Promise<void> {
    const { client, csi, directory, nodeName, onEvent } = this.#parts
    const { namespace = '' } = pod.metadata
    const claim = await client.get<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS, {
      ...{ namespace, name: claimName },
    })
    if (claim.spec?.volumeName !== volumeName) return
    const volume = await client.get<PersistentVolume>(PERSISTENT_VOLUMES, { name: volumeName })
    const bytes = growthOf(volume, claim)
    if (bytes === null) return
    const growing = await this.#write(asGrowing(claim))
    try {
      if (!(await csi.expand(wanted, directory, volumeName, bytes))) return
    } catch (error) {
      await this.#write(failure(growing, error, this.#parts.clock.now()))
      const why = `MountVolume.NodeExpandVolume failed for volume "${volumeName}" : ${messageOf(error)}`
      throw new VolumeError(why)
    }
    await this.#write(asGrown(growing, volume.spec?.capacity?.['storage'] ?? '0'))
    const message = `MountVolume.NodeExpandVolume succeeded for volume "${volumeName}" ${nodeName}`
    onEvent('Normal', 'FileSystemResizeSuccessful', message)
  }

  #write(claim: PersistentVolumeClaim): Promise<PersistentVolumeClaim> {
    return this.#parts.client.update(PERSISTENT_VOLUME_CLAIMS, claim, { subresource: 'status' })
  }
}

const isMounted = (place: ClaimedPlace): place is Mounted => place.csi !== undefined

function failure(claim: PersistentVolumeClaim, error: unknown, nowMs: number): PersistentVolumeClaim {
  return asFailed(claim, {
    message: messageOf(error),
    isInfeasible: INFEASIBLE.some(code => hasRpcCode(error, code)),
    time: formatTime(nowMs),
  })
}
