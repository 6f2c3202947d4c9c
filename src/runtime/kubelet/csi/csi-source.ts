/** What a CSI driver is told of a volume (pure), and what its CSIDriver object asks for. */
import { createHash } from 'node:crypto'
import type { CSIDriver, PersistentVolume, Pod, Volume } from '../../../kube/types.ts'
import { VolumeError } from '../volumes/volume-error.ts'
import type { CsiVolume, SecretRef, TokenWish } from './csi-volume.ts'

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

/** What the pod and its driver's object add to a volume of either sort. */
function common(context: CsiContext, isInline: boolean) {
  const { pod, driver, publishContext } = context
  return {
    podContext: podInfo(context, isInline),
    publishContext,
    tokens: tokenWish(pod, driver),
    isRepublished: driver?.spec.requiresRepublish === true,
    group: pod.spec?.securityContext?.fsGroup,
    isInline,
  }
}

export function persistentSource(
  volume: PersistentVolume,
  readOnly: boolean,
  context: CsiContext,
): CsiVolume {
  const csi = volume.spec?.csi
  if (!csi) throw new VolumeError('not a volume of a CSI driver')
  return {
    driver: csi.driver,
    handle: csi.volumeHandle,
    name: volume.metadata.name ?? '',
    isBlock: volume.spec?.volumeMode === 'Block',
    fsType: csi.fsType ?? '',
    mountFlags: volume.spec?.mountOptions ?? [],
    accessModes: volume.spec?.accessModes ?? [],
    readOnly: readOnly || csi.readOnly === true,
    context: csi.volumeAttributes ?? {},
    secrets: {
      stage: secretRef(csi.nodeStageSecretRef),
      publish: secretRef(csi.nodePublishSecretRef),
      expand: secretRef(csi.nodeExpandSecretRef),
    },
    ...common(context, false),
  }
}

const secretRef = (
  ref: { readonly namespace?: string; readonly name?: string } | undefined,
  namespace = '',
): SecretRef | undefined =>
  ref?.name ? { namespace: ref.namespace ?? namespace, name: ref.name } : undefined

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
  const { uid, namespace } = context.pod.metadata
  return {
    driver: csi.driver,
    handle: `csi-${hashOf(`${uid}${volume.name}`)}`,
    name: '',
    isBlock: false,
    fsType: csi.fsType ?? '',
    mountFlags: [],
    accessModes: ['ReadWriteOnce'],
    readOnly: csi.readOnly === true,
    context: csi.volumeAttributes ?? {},
    secrets: { publish: secretRef(csi.nodePublishSecretRef, namespace) },
    ...common(context, true),
  }
}

function tokenWish({ metadata, spec }: Pod, driver: CSIDriver | null): TokenWish | null {
  const requests = driver?.spec.tokenRequests ?? []
  if (requests.length === 0) return null
  return {
    namespace: metadata.namespace ?? '',
    account: spec?.serviceAccountName || 'default',
    podName: metadata.name ?? '',
    podUid: metadata.uid ?? '',
    audiences: requests,
    inSecrets: driver?.spec.serviceAccountTokenInSecrets === true,
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

const ALONE = ['ReadWriteOnce', 'ReadWriteOncePod']

/** Whether what lies in the volume is to be given to the pod's group. */
export function takesGroup(driver: CSIDriver | null, { fsType, accessModes }: CsiVolume): boolean {
  switch (driver?.spec.fsGroupPolicy) {
    case 'None':
      return false
    case 'File':
      return true
    default:
      return fsType !== '' && accessModes.some(mode => ALONE.includes(mode))
  }
}
