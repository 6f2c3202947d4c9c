/** What the API server is built from. */
import type { Clock } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import type { Model } from '../../kube/model-types.ts'
import type { ProtobufTable } from '../../kube/protobuf/protobuf.ts'
import type { Store } from '../store/store.ts'
import type { LimitedResource } from './admission/admission-configuration.ts'
import type { Aggregation } from './aggregation/aggregation.ts'
import type { Audit } from './audit/audit.ts'
import type { OidcDocuments } from './authn/oidc.ts'
import type { AdmissionPlugin, Authorizer, KubeletConnector, VirtualHandler } from './ports.ts'
import type { ClusterSettings, Strategy } from './registry/strategy.ts'
import type { WebhookCaller } from './webhooks/caller.ts'

/** What `/version` answers. */
export interface VersionInfo {
  readonly major: string
  readonly minor: string
  readonly gitVersion: string
  readonly gitCommit?: string
  readonly gitTreeState?: string
  readonly buildDate?: string
  readonly goVersion?: string
  readonly compiler?: string
  readonly platform: string
}

export interface ApiServerParts {
  readonly store: Store
  readonly model: Model
  /** The parsed descriptions asset (type name → texts), asked for only when OpenAPI documents are. */
  readonly descriptions: () => unknown
  /** Field numbers of the kinds' protobuf form, asked for with the first request in it. */
  readonly protobuf: () => ProtobufTable
  /** By `group/resource`; the core group is empty: `/pods`, `apps/deployments`. */
  readonly strategies: ReadonlyMap<string, Strategy>
  readonly authorizer: Authorizer
  readonly admission: readonly AdmissionPlugin[]
  /** Of what a quota has to be there; absent: of nothing. */
  readonly limitedResources?: readonly LimitedResource[]
  /** Unless it is false, ResourceQuotas are heeded. */
  readonly countsQuotas?: boolean
  readonly virtualHandlers: readonly VirtualHandler[]
  readonly settings: ClusterSettings
  readonly kubelets: KubeletConnector
  /** Groups and versions that other servers serve; absent: there are none. */
  readonly aggregation?: Aggregation
  /** Who asks the webhooks that convert custom resources; absent: such conversions fail. */
  readonly webhookCaller?: WebhookCaller
  /** How others check this cluster's service-account tokens; absent: the two paths are not found. */
  readonly oidc?: OidcDocuments
  /** Absent: there is no audit log. */
  readonly audit?: Audit
  /** What `/metrics` says, in Prometheus' text format; absent: the path is not found. */
  readonly metrics?: () => string
  /** The same of `/metrics/slis`. */
  readonly sliMetrics?: () => string
  /** What `/mk8s/status` says, as `mk8s status --format json` does; absent: the path is not found. */
  readonly status?: () => Promise<unknown>
  readonly version: VersionInfo
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Names of what is not ready yet (`store`, `controllers`); empty when ready. */
  readonly isReady: () => readonly string[]
  /** All names that `isReady` may give: each has a path of its own under /readyz. */
  readonly readyChecks?: readonly string[]
  /** A request met a broken invariant; the process is to end. */
  readonly onFatal: (error: Error) => void
}
