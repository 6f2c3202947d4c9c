/** What a CSI driver is told of a volume (pure), and what its CSIDriver object asks for. */
import { createHash } from 'node:crypto'
import type { CSIDriver, PersistentVolume, Pod, Volume } from '../../../kube/types.ts'
import { VolumeError } from '../volumes/volume-error.ts'
import type { CsiVolume } from './csi-mounts.ts'

type Attributes = Readonly<Record<string, string>>

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex')

/** The name that both the controller and the kubelet give to an attachment. */
export const attachmentName = (handle: string, driver: string, node: string): string =>
  `csi-${hashOf(`${handle}${driver}${node}`)}`

/** Drivers that say nothing are to be attached. */
export const needsAttachment = (driver: CSIDriver | null): boolean => driver?.spec.attachRequired !== false

export interface CsiContext {
  readonly pod: Pod
  readonly driver: CSIDriver | null
  readonly publishContext: Attributes
}

export function persistentSource(
  volume: PersistentVolume,
  readOnly: boolean,
  context: CsiContext,
): CsiVolume {
  const csi = volume.spec?.csi
  if (!csi) throw new VolumeError('not a volume of a CSI driver')
  if (csi.nodeStageSecretRef || csi.nodePublishSecretRef) {
    throw new VolumeError(
      `driver ${csi.driver} asks for Secrets, which this node does not hand to drivers yet`,
    )
  }
  return {
    driver: csi.driver,
    handle: csi.volumeHandle,
    fsType: csi.fsType ?? '',
    mountFlags: volume.spec?.mountOptions ?? [],
    accessModes: volume.spec?.accessModes ?? [],
    readOnly: readOnly || csi.readOnly === true,
    context: { ...csi.volumeAttributes, ...podInfo(context, false) },
    publishContext: context.publishContext,
    isInline: false,
  }
}

export function inlineSource(volume: Volume, context: CsiContext): CsiVolume {
  const { csi } = volume
  if (!csi) throw new VolumeError('not a volume of a CSI driver')
  const modes = context.driver?.spec.volumeLifecycleModes ?? ['Persistent']
  if (!modes.includes('Ephemeral')) {
    const supported = JSON.stringify(modes)
    throw new VolumeError(
      `volume mode "Ephemeral" not supported by driver ${csi.driver} (only supports ${supported})`,
    )
  }
  if (csi.nodePublishSecretRef) {
    throw new VolumeError(
      `driver ${csi.driver} asks for a Secret, which this node does not hand to drivers yet`,
    )
  }
  return {
    driver: csi.driver,
    handle: `csi-${hashOf(`${context.pod.metadata.uid}${volume.name}`)}`,
    fsType: csi.fsType ?? '',
    mountFlags: [],
    accessModes: ['ReadWriteOnce'],
    readOnly: csi.readOnly === true,
    context: { ...csi.volumeAttributes, ...podInfo(context, true) },
    publishContext: {},
    isInline: true,
  }
}

function podInfo({ pod, driver }: CsiContext, isInline: boolean): Attributes {
  if (driver?.spec.podInfoOnMount !== true) return {}
  const { name = '', namespace = '', uid = '' } = pod.metadata
  return {
    'csi.storage.k8s.io/pod.name': name,
    'csi.storage.k8s.io/pod.namespace': namespace,
    'csi.storage.k8s.io/pod.uid': uid,
    'csi.storage.k8s.io/serviceAccount.name': pod.spec?.serviceAccountName ?? '',
    'csi.storage.k8s.io/ephemeral': String(isInline),
  }
}

/** Whether what lies in the volume is to be given to the pod's group. */
export function takesGroup(driver: CSIDriver | null, { fsType, accessModes }: CsiVolume): boolean {
  switch (driver?.spec.fsGroupPolicy) {
    case 'None':
      return false
    case 'File':
      return true
    default:
      return fsType !== '' && accessModes.includes('ReadWriteOnce')
  }
}
