/** Volumes that pods have by claims: asked from the API, and turned into places on this machine. */
import { isNotFound, type KubeClient } from '../../../client/kube-client.ts'
import {
  CSI_DRIVERS,
  PERSISTENT_VOLUME_CLAIMS,
  PERSISTENT_VOLUMES,
  VOLUME_ATTACHMENTS,
} from '../../../client/resources.ts'
import type {
  CSIDriver,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  Volume,
  VolumeAttachment,
} from '../../../kube/types.ts'
import {
  claimsOf,
  HOSTPATH_PROVISIONER,
  isFullyBound,
  isOwnedBy,
  PROVISIONED_BY,
  type UsedClaim,
} from '../../../kube/volumes/claims.ts'
import {
  attachmentName,
  inlineSource,
  needsAttachment,
  persistentSource,
  takesGroup,
} from '../csi/csi-source.ts'
import type { CsiVolume } from '../csi/csi-volume.ts'
import { FS_TYPE_DEFAULT } from './block-device.ts'
import { AttachLimitError, VolumeError } from './volume-error.ts'

/** Where a claim's volume lies on this machine. */
export interface ClaimedPlace {
  readonly volumeName: string
  readonly path: string
  /**
   * `local` must be there; `directory` is made for whoever comes first; `host-path` is checked by its type;
   * `device` is a block device that is there.
   */
  readonly sort: 'local' | 'directory' | 'host-path' | 'csi' | 'device'
  /** The claim that it is had by; absent for a volume of the pod's own. */
  readonly claimName?: string
  readonly type: string
  /** The pod, or the volume's own access modes, want it so. */
  readonly readOnly: boolean
  /** What lies in it is given to the pod's group. */
  readonly takesGroup: boolean
  /** How a `local` one is mounted that turns out to be a block device. */
  readonly mounting?: { readonly fsType: string; readonly options: readonly string[] }
  /** Mounted by a driver, below the pod's own directory; `path` is empty then. */
  readonly csi?: CsiVolume
}

/** The code of gRPC with which drivers say that they can attach no more. */
const RESOURCE_EXHAUSTED = 8

/** By the names that the volumes have in the pod. */
export type ClaimedPlaces = ReadonlyMap<string, ClaimedPlace>

export class ClaimVolumes {
  readonly #client: KubeClient
  readonly #nodeName: string
  #places: ClaimedPlaces | null = null

  constructor(client: KubeClient, nodeName: string) {
    this.#client = client
    this.#nodeName = nodeName
  }

  /** As far as they are known. */
  get places(): ClaimedPlaces {
    return this.#places ?? new Map()
  }

  /** Asked once in a pod's life here: a bound claim keeps its volume. */
  async placesOf(pod: Pod): Promise<ClaimedPlaces> {
    if (this.#places !== null) return this.#places
    const places = new Map<string, ClaimedPlace>()
    for (const used of claimsOf(pod)) places.set(used.volume.name, await this.#placeOf(pod, used))
    for (const volume of pod.spec?.volumes ?? []) {
      if (volume.csi) places.set(volume.name, await this.#inlineOf(pod, volume))
    }
    this.#places = places
    return places
  }

  async #placeOf(pod: Pod, used: UsedClaim): Promise<ClaimedPlace> {
    const namespace = pod.metadata.namespace ?? ''
    const about = `error processing PVC ${namespace}/${used.name}`
    const claim = await this.#read<PersistentVolumeClaim>(
      () => this.#client.get(PERSISTENT_VOLUME_CLAIMS, { namespace, name: used.name }),
      `${about}: failed to fetch PVC from API server: persistentvolumeclaims "${used.name}" not found`,
    )
    if (used.isEphemeral && !isOwnedBy(claim, pod)) {
      const why = `PVC was not created for pod ${pod.metadata.name}`
      throw new VolumeError(`${about}: ${why}`)
    }
    if (claim.metadata.deletionTimestamp !== undefined)
      throw new VolumeError(`${about}: PVC is being deleted`)
    if (!isFullyBound(claim)) throw new VolumeError(`${about}: PVC is not bound`)
    const name = claim.spec?.volumeName ?? ''
    const volume = await this.#read<PersistentVolume>(
      () => this.#client.get(PERSISTENT_VOLUMES, { name }),
      `${about}: failed to fetch PV "${name}" from API server: persistentvolumes "${name}" not found`,
    )
    if (volume.spec?.claimRef?.uid !== claim.metadata.uid) {
      throw new VolumeError(`${about}: PV "${name}" is bound to another claim`)
    }
    const place = volume.spec?.csi ? await this.#csiOf(pod, volume, used) : placeOf(volume, used)
    return { ...place, claimName: used.name }
  }

  async #inlineOf(pod: Pod, volume: Volume): Promise<ClaimedPlace> {
    const driver = await this.#driver(volume.csi?.driver ?? '')
    const csi = inlineSource(volume, { pod, driver, publishContext: {} })
    return placeOfDriver(volume.name, csi, driver)
  }

  async #csiOf(pod: Pod, volume: PersistentVolume, used: UsedClaim): Promise<ClaimedPlace> {
    const name = volume.metadata.name ?? ''
    const driver = await this.#driver(volume.spec?.csi?.driver ?? '')
    const publishContext = needsAttachment(driver) ? await this.#attachment(volume, used) : {}
    const csi = persistentSource(volume, used.readOnly, { pod, driver, publishContext })
    return placeOfDriver(name, csi, driver)
  }

  async #driver(name: string): Promise<CSIDriver | null> {
    try {
      return await this.#client.get<CSIDriver>(CSI_DRIVERS, { name })
    } catch (error) {
      if (isNotFound(error)) return null
      throw error
    }
  }

  /** What the driver's controller said when it attached the volume to this node. */
  async #attachment(
    { metadata, spec }: PersistentVolume,
    { volume: { name: volumeName } }: UsedClaim,
  ): Promise<Readonly<Record<string, string>>> {
    const { driver = '', volumeHandle = '' } = spec?.csi ?? {}
    const waits = `volume "${metadata.name}" is not attached yet by the external-attacher of driver ${driver}`
    const name = attachmentName(volumeHandle, driver, this.#nodeName)
    const found = await this.#read<VolumeAttachment>(
      () => this.#client.get(VOLUME_ATTACHMENTS, { name }),
      waits,
    )
    if (found.status?.attached === true) return found.status.attachmentMetadata ?? {}
    const { errorCode, message = waits } = found.status?.attachError ?? {}
    if (errorCode === RESOURCE_EXHAUSTED) throw new AttachLimitError(message, { driver, volumeName })
    throw new VolumeError(message)
  }

  async #read<T>(ask: () => Promise<T>, whenMissing: string): Promise<T> {
    try {
      return await ask()
    } catch (error) {
      if (isNotFound(error)) throw new VolumeError(whenMissing)
      throw error
    }
  }
}

function placeOfDriver(volumeName: string, csi: CsiVolume, driver: CSIDriver | null): ClaimedPlace {
  const { readOnly } = csi
  return { volumeName, path: '', sort: 'csi', type: '', readOnly, takesGroup: takesGroup(driver, csi), csi }
}

/** Throws for what this node has no driver for. */
export function placeOf({ metadata, spec }: PersistentVolume, used: UsedClaim): ClaimedPlace {
  const volumeName = metadata.name ?? ''
  const modes = spec?.accessModes ?? []
  const readOnly = used.readOnly || (modes.length > 0 && modes.every(mode => mode === 'ReadOnlyMany'))
  if (spec?.volumeMode === 'Block') {
    const path = spec.local?.path ?? spec.hostPath?.path
    if (path !== undefined) return { volumeName, path, sort: 'device', type: '', readOnly, takesGroup: false }
  }
  if (spec?.hostPath) {
    const isOurs = metadata.annotations?.[PROVISIONED_BY] === HOSTPATH_PROVISIONER
    const { path, type = '' } = spec.hostPath
    return { volumeName, path, sort: isOurs ? 'directory' : 'host-path', type, readOnly, takesGroup: isOurs }
  }
  if (spec?.local) {
    const { path, fsType = FS_TYPE_DEFAULT } = spec.local
    const mounting = { fsType: fsType || FS_TYPE_DEFAULT, options: spec.mountOptions ?? [] }
    return { volumeName, path, sort: 'local', type: '', readOnly, takesGroup: true, mounting }
  }
  throw new VolumeError(
    `no volume plugin matched: volume "${volumeName}" is of a kind that this node cannot mount`,
  )
}
