/** Volumes that pods have by claims: asked from the API, and turned into places on this machine. */
import { isNotFound, type KubeClient } from '../../../client/kube-client.ts'
import { PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES } from '../../../client/resources.ts'
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '../../../kube/types.ts'
import {
  claimsOf,
  HOSTPATH_PROVISIONER,
  isFullyBound,
  isOwnedBy,
  PROVISIONED_BY,
  type UsedClaim,
} from '../../../kube/volumes/claims.ts'
import { VolumeError } from './render-volume.ts'

/** Where a claim's volume lies on this machine. */
export interface ClaimedPlace {
  readonly volumeName: string
  readonly path: string
  /** `local` must be there; `directory` is made for whoever comes first; `host-path` is checked by its type. */
  readonly sort: 'local' | 'directory' | 'host-path'
  readonly type: string
  /** The pod, or the volume's own access modes, want it so. */
  readonly readOnly: boolean
}

/** By the names that the volumes have in the pod. */
export type ClaimedPlaces = ReadonlyMap<string, ClaimedPlace>

export class ClaimVolumes {
  readonly #client: KubeClient
  #places: ClaimedPlaces | null = null

  constructor(client: KubeClient) {
    this.#client = client
  }

  /** Asked once in a pod's life here: a bound claim keeps its volume. */
  async placesOf(pod: Pod): Promise<ClaimedPlaces> {
    if (this.#places !== null) return this.#places
    const places = new Map<string, ClaimedPlace>()
    for (const used of claimsOf(pod)) places.set(used.volume.name, await this.#placeOf(pod, used))
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
    return placeOf(volume, used)
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

/** Throws for what this node has no driver for. */
export function placeOf({ metadata, spec }: PersistentVolume, used: UsedClaim): ClaimedPlace {
  const volumeName = metadata.name ?? ''
  const modes = spec?.accessModes ?? []
  const readOnly = used.readOnly || (modes.length > 0 && modes.every(mode => mode === 'ReadOnlyMany'))
  if (spec?.volumeMode === 'Block') {
    throw new VolumeError(`volume "${volumeName}" has volumeMode Block, which this node cannot provide`)
  }
  if (spec?.hostPath) {
    const isOurs = metadata.annotations?.[PROVISIONED_BY] === HOSTPATH_PROVISIONER
    const { path, type = '' } = spec.hostPath
    return { volumeName, path, sort: isOurs ? 'directory' : 'host-path', type, readOnly }
  }
  if (spec?.local) return { volumeName, path: spec.local.path, sort: 'local', type: '', readOnly }
  throw new VolumeError(
    `no volume plugin matched: volume "${volumeName}" is of a kind that this node cannot mount`,
  )
}
