/** A CSI volume as a pod wants it, and the requests that this makes of its driver (pure). */
import type { DriverSkills, VolumeCapability } from './csi-driver.ts'

export interface SecretRef {
  readonly namespace: string
  readonly name: string
}

/** Tokens of the pod's service account that the driver asks for. */
export interface TokenWish {
  readonly namespace: string
  readonly account: string
  readonly podName: string
  readonly podUid: string
  readonly audiences: readonly { readonly audience: string; readonly expirationSeconds?: number }[]
  /** They travel with the Secrets instead of the attributes. */
  readonly inSecrets: boolean
}

export interface CsiVolume {
  readonly driver: string
  readonly handle: string
  /** Of the PersistentVolume; empty for a volume that is the pod's own. */
  readonly name: string
  readonly isBlock: boolean
  readonly fsType: string
  readonly mountFlags: readonly string[]
  readonly accessModes: readonly string[]
  readonly readOnly: boolean
  /** What the volume has to say to the driver. */
  readonly context: Readonly<Record<string, string>>
  /** What the pod has to say to it, beside that, when the volume is published. */
  readonly podContext: Readonly<Record<string, string>>
  /** What the controller's part of the driver said when it attached the volume. */
  readonly publishContext: Readonly<Record<string, string>>
  readonly secrets: {
    readonly stage?: SecretRef | undefined
    readonly publish?: SecretRef | undefined
    readonly expand?: SecretRef | undefined
  }
  readonly tokens: TokenWish | null
  /** The driver wants to be told again and again, to renew what it has put there. */
  readonly isRepublished: boolean
  /** The pod's, for drivers that give files to a group themselves. */
  readonly group?: number | undefined
  /** It lives as long as the pod, and is never staged. */
  readonly isInline: boolean
}

const SHARED_MODES: Readonly<Record<string, string>> = {
  ReadOnlyMany: 'MULTI_NODE_READER_ONLY',
  ReadWriteMany: 'MULTI_NODE_MULTI_WRITER',
}

export function accessModeOf(volume: Pick<CsiVolume, 'accessModes'>, { tellsWriters }: DriverSkills): string {
  const [first = 'ReadWriteOnce'] = volume.accessModes
  const shared = SHARED_MODES[first]
  if (shared !== undefined) return shared
  if (!tellsWriters) return 'SINGLE_NODE_WRITER'
  return first === 'ReadWriteOncePod' ? 'SINGLE_NODE_SINGLE_WRITER' : 'SINGLE_NODE_MULTI_WRITER'
}

export function capabilityOf(volume: CsiVolume, skills: DriverSkills): VolumeCapability {
  const accessMode = { mode: accessModeOf(volume, skills) }
  if (volume.isBlock) return { block: {}, accessMode }
  const { fsType, mountFlags, group } = volume
  const givesGroup = skills.mountsGroup && group !== undefined
  return {
    mount: { fsType, mountFlags, ...(givesGroup ? { volumeMountGroup: String(group) } : {}) },
    accessMode,
  }
}
