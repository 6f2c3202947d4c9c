/** What every controller gets, and what it looks like from outside. */
import type { Clock } from '../../../base/clock.ts'
import type { Log } from '../../../base/log.ts'
import type { Random } from '../../../base/random.ts'
import type { EventRecorder } from '../../../client/event-recorder.ts'
import type { InformerSet } from '../../../client/informer-set.ts'
import type { KubeClient } from '../../../client/kube-client.ts'
import type { Model } from '../../../kube/model-types.ts'
import type { PemPair } from '../../pki/pki.ts'
import type { CustomInformers } from './custom-resources.ts'

export interface ControllerSettings {
  /** One of each family that the cluster has. */
  readonly podCidrs: readonly string[]
  /** PEM of the authority that pods check the API server with. */
  readonly clusterCaPem: string
  /** The one that signs for CertificateSigningRequests; absent: they stay as they are. */
  readonly clusterAuthority?: PemPair
  /** Called when that has become another; returns an unsubscribe. */
  readonly onClusterCa?: (listener: () => void) => () => void
  /** A node that is silent for so long is unknown. */
  readonly nodeMonitorGraceMs: number
  /** The same for a node that has never posted its status. */
  readonly nodeStartupGraceMs: number
  /** Terminated pods beyond this number are deleted, oldest first. */
  readonly terminatedPodsMax: number
}

export const DEFAULT_SETTINGS = {
  nodeMonitorGraceMs: 9_000,
  nodeStartupGraceMs: 60_000,
  terminatedPodsMax: 12_500,
} as const

export interface ControllerContext {
  readonly informers: InformerSet
  /** Instances of custom resources, whose kinds come and go. */
  readonly custom: CustomInformers
  /** A client as the service account of this name in kube-system; its writes carry the term. */
  readonly client: (serviceAccount: string) => KubeClient
  /** A client as the API server itself, which may do everything; its writes carry the term, too. */
  readonly serverClient: KubeClient
  /** Records events as this component, with the same identity. */
  readonly events: (options: { readonly component: string; readonly serviceAccount: string }) => EventRecorder
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly settings: ControllerSettings
  readonly model: Model
}

export interface Controller {
  readonly name: string
  /** Called once the informers are synced. */
  start(): void
  stop(): Promise<void>
}
