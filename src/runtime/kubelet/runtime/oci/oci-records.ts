/** What the oci runtime remembers on disk of each sandbox and each container. */
import type { ProcessIdentity } from '../../../../host/processes.ts'
import type { ContainerConfig, ProcessUser, SandboxConfig } from '../runtime.ts'
import type { CniAttachment } from './cni.ts'

export interface SandboxRecord {
  readonly id: string
  readonly config: SandboxConfig
  /** `making`: the daemon that made it has not come to the end of it. */
  state: 'making' | 'ready' | 'not-ready'
  readonly createdAt: number
  /** A sandbox does not outlive the boot it was made in. */
  readonly bootId: string
  /** What the network plugins were told, and answered; null with the host's network and once it is undone. */
  network: CniAttachment | null
  /** Program that runs its containers. */
  readonly program: string
  /** Holds the process namespace that its containers share. */
  pauseId: string | null
}

export interface ContainerRecord {
  readonly id: string
  readonly sandboxId: string
  readonly podUid: string
  readonly config: ContainerConfig
  readonly imageId: string
  /** Directories of the image's layers, which have to stay while it is there. */
  readonly layers: readonly string[]
  /** The same of images that it has as volumes. */
  readonly volumeLayers?: readonly string[]
  readonly cgroup: string
  readonly stopSignal: string
  user?: ProcessUser
  readonly path: string
  /** Where its root is mounted, for one with a user namespace; all others have it in their directory. */
  readonly root?: string | undefined
  readonly program: string
  readonly logPath: string
  readonly createdAt: number
  /** It was begun to be started, so that the program may know it. */
  begun: boolean
  startedAt: number
  finishedAt: number
  exitCode: number
  reason: string
  message: string
  conmon: ProcessIdentity | null
  init: ProcessIdentity | null
}
