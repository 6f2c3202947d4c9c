/** What all pod workers of a kubelet share, and where a pod's things lie. */

import type { Clock } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import { type EventRecorder, type EventType, referenceTo } from '../../client/event-recorder.ts'
import type { KubeClient } from '../../client/kube-client.ts'
import type { Pod } from '../../kube/types.ts'
import type { NodeAdmission } from './admission/node-admission.ts'
import type { CpuManager } from './cpus/cpu-manager.ts'
import type { CredentialProviders } from './credential-providers.ts'
import type { CsiMounts } from './csi/csi-mounts.ts'
import type { DeviceManager } from './devices/device-manager.ts'
import type { HostFacts } from './host-facts.ts'
import type { KubeletDirectories, KubeletSettings } from './kubelet-parts.ts'
import type { ExtraNetworks } from './networks/extra-networks.ts'
import type { ObjectSource } from './object-source.ts'
import { containerPath } from './pod-containers.ts'
import type { identityOf } from './pod-identity.ts'
import type { ProbeCounts } from './probes/probe-counts.ts'
import type { PullRecords } from './pull-records.ts'
import type { ClaimManager } from './resource-claims/claim-manager.ts'
import type { Room } from './resources/allocation.ts'
import type { Runtime } from './runtime/runtime.ts'
import type { UserRanges } from './user-ranges.ts'
import type { TokenSource } from './volumes/token-source.ts'

export interface PodContext {
  readonly client: KubeClient
  readonly runtime: Runtime
  /** Who may use the images that are there. */
  readonly pullRecords: PullRecords
  /** Logins of the node itself. */
  readonly providers: Pick<CredentialProviders, 'loginsFor'>
  readonly recorder: EventRecorder
  readonly probeCounts: ProbeCounts
  readonly objects: ObjectSource
  readonly tokens: TokenSource
  readonly host: HostFacts
  readonly settings: KubeletSettings
  readonly directories: KubeletDirectories
  readonly nodeAddress: string
  readonly secondAddress?: (() => string | undefined) | undefined
  readonly nodeName: string
  readonly csi: CsiMounts
  readonly devices: DeviceManager
  readonly cpus: CpuManager
  readonly claims: ClaimManager
  readonly userRanges: UserRanges
  readonly networks: ExtraNetworks
  /** The pod in the API that has this one's status: itself, or the mirror of a static one; null while there is none. */
  readonly reportedAs: (pod: Pod) => ReturnType<typeof identityOf> | null
  readonly admission: NodeAdmission
  /** What is known of the node's labels, taints and resources is as the API has it; false when it does not answer. */
  readonly refreshNode: () => Promise<boolean>
  /** What the node has for pods, and the others that have some of it. */
  readonly room: (uid: string) => Room
  /** A pod needs less than before, so that another may get what it waits for. */
  readonly onFreed: () => void
  readonly clock: Clock
  readonly log: Log
}

export interface PodEvent {
  readonly type: EventType
  readonly reason: string
  readonly message: string
  /** The container it is about. */
  readonly container?: string
}

export function recordPodEvent(recorder: EventRecorder, pod: Pod, event: PodEvent): void {
  const path = event.container === undefined ? undefined : containerPath(pod, event.container)
  recorder.recordReference(referenceTo(pod, path), event.type, event.reason, event.message)
}
