/** To which nodes a CSI volume is to be attached (pure): those with pods that use it, one at a time unless it is shared. */
import { createHash } from 'node:crypto'
import type { CSIDriver, Node, PersistentVolume, VolumeAttachment } from '../../../kube/types.ts'

export interface AttachPlan {
  readonly create: readonly VolumeAttachment[]
  readonly remove: readonly VolumeAttachment[]
  /** Nobody wants them any more, but their nodes have them mounted. */
  readonly held: readonly VolumeAttachment[]
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
  /** Whether nobody has wanted the attachment for as long as a silent node is given to unmount it. */
  readonly isOverdue: (attachment: VolumeAttachment) => boolean
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
  const unwanted = world.attachments.filter(
    ({ spec, metadata }) => !nodes.includes(spec.nodeName) && metadata.deletionTimestamp === undefined,
  )
  const isHeld = (attachment: VolumeAttachment): boolean => {
    const node = world.nodeOf(attachment.spec.nodeName)
    return isInUse(volume, node) && (isReady(node) || !world.isOverdue(attachment))
  }
  return {
    create: missing.slice(0, room).map(node => renderAttachment(volume, node)),
    remove: unwanted.filter(attachment => !isHeld(attachment)),
    held: unwanted.filter(isHeld),
    waiting: missing.slice(room),
  }
}

const isReady = (node: Node | undefined): boolean =>
  node?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true

/** As the kubelet calls it in `volumesInUse`. */
export function uniqueNameOf({ spec }: PersistentVolume): string {
  return `kubernetes.io/csi/${spec?.csi?.driver}^${spec?.csi?.volumeHandle}`
}

/** A node that has it mounted keeps it, unless somebody vouches for its being out of service. */
function isInUse(volume: PersistentVolume, node: Node | undefined): boolean {
  if (node?.spec?.taints?.some(({ key }) => key === OUT_OF_SERVICE)) return false
  return node?.status?.volumesInUse?.includes(uniqueNameOf(volume)) === true
}

/** What a node's status says of what is attached to it; null when that is right already. */
export function planVolumesAttached(
  node: Node,
  attachments: readonly VolumeAttachment[],
  volumeOf: (name: string) => PersistentVolume | undefined,
): readonly { readonly name: string; readonly devicePath: string }[] | null {
  const names = attachments
    .filter(({ spec, status }) => spec.nodeName === node.metadata.name && status?.attached === true)
    .map(({ spec }) => volumeOf(spec.source.persistentVolumeName ?? ''))
    .flatMap(volume => (volume?.spec?.csi ? [uniqueNameOf(volume)] : []))
    .sort()
  const said = (node.status?.volumesAttached ?? []).map(({ name }) => name)
  if (said.join() === names.join()) return null
  return names.map(name => ({ name, devicePath: '' }))
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
