/** What the scheduler knows of volumes, as the filters ask for it. */
import type {
  CSIDriver,
  CSINode,
  CSIStorageCapacity,
  PersistentVolume,
  PersistentVolumeClaim,
  StorageClass,
} from '../../kube/types.ts'

export interface VolumeView {
  claim(namespace: string, name: string): PersistentVolumeClaim | undefined
  volume(name: string): PersistentVolume | undefined
  volumes(): readonly PersistentVolume[]
  storageClass(name: string): StorageClass | undefined
  csiNode(name: string): CSINode | undefined
  csiDriver(name: string): CSIDriver | undefined
  /** How much room drivers say there is for volumes of the class. */
  capacities(storageClass: string): readonly CSIStorageCapacity[]
  /** Whether a volume is as good as given to another claim, although nothing says so yet. */
  isTaken(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean
}

/** Of a cluster without volumes. */
export const NO_VOLUMES: VolumeView = {
  claim: () => undefined,
  volume: () => undefined,
  volumes: () => [],
  storageClass: () => undefined,
  csiNode: () => undefined,
  csiDriver: () => undefined,
  capacities: () => [],
  isTaken: () => false,
}
