/** To which nodes a CSI volume is to be attached (pure): those with pods that use it, one at a time unless it is shared. */
import { createHash } from 'node:crypto'
import type { CSIDriver, Node, PersistentVolume, VolumeAttachment } from '../../../kube/types.ts'

export interface AttachPlan {
  readonly create: readonly VolumeAttachment[]
  readonly remove: readonly VolumeAttachment[]
  /** Nodes that have to wait until another one lets go. */
  readonly waiting: readonly string[]
}

const OUT_OF_SERVICE = 'node.kubernetes.io/out-of-service'
const SHARED = ['ReadOnlyMany', 'ReadWriteMany']

export interface AttachWorld {
  /** Where pods that use the volume's claim are, in whatever state. */
  readonly nodes: readonly string[]
  readonly attachments: readonly VolumeAttachment[]
  readonly nodeOf: (name: string) => Node | undefined
}

export function planAttachments(
  volume: PersistentVolume,
  driver: CSIDriver | undefined,
  world: AttachWorld,
): AttachPlan {
  const csi = volume.spec?.csi
  const isWanted = csi !== undefined && driver?.spec.attachRequired !== false
  const nodes = isWanted ? [...new Set(world.nodes)].sort() : []
  const present = new Set(world.attachments.map(({ spec }) => spec.nodeName))
  const missing = nodes.filter(node => !present.has(node))
  const isShared = (volume.spec?.accessModes ?? []).some(mode => SHARED.includes(mode))
  const room = isShared ? missing.length : Math.max(0, 1 - present.size)
  return {
    create: missing.slice(0, room).map(node => renderAttachment(volume, node)),
    remove: world.attachments.filter(
      ({ spec, metadata }) =>
        !nodes.includes(spec.nodeName) &&
        metadata.deletionTimestamp === undefined &&
        !isInUse(volume, world.nodeOf(spec.nodeName)),
    ),
    waiting: missing.slice(room),
  }
}

/** A node that has it mounted keeps it, unless somebody vouches for its being out of service. */
function isInUse({ spec }: PersistentVolume, node: Node | undefined): boolean {
  if (node?.spec?.taints?.some(({ key }) => key === OUT_OF_SERVICE)) return false
  const name = `kubernetes.io/csi/${spec?.csi?.driver}^${spec?.csi?.volumeHandle}`
  return node?.status?.volumesInUse?.includes(name) === true
}

function renderAttachment(volume: PersistentVolume, nodeName: string): VolumeAttachment {
  const { driver = '', volumeHandle = '' } = volume.spec?.csi ?? {}
  // The kubelet finds it by this name.
  const hash = createHash('sha256').update(`${volumeHandle}${driver}${nodeName}`).digest('hex')
  return {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'VolumeAttachment',
    metadata: { name: `csi-${hash}` },
    spec: { attacher: driver, nodeName, source: { persistentVolumeName: volume.metadata.name ?? '' } },
  }
}
