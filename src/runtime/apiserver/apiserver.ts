/**
 * The door of the API server: one object that answers Kubernetes API requests from a store and a model.
 * The HTTPS listener (`http/listener.ts`) and the in-process transport both go through `handle`.
 */
import type { Clock } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import type { KubeRequest, KubeResponse, Transport } from '../../client/transport.ts'
import type { Model } from '../../kube/model-types.ts'
import type { ProtobufTable } from '../../kube/protobuf/protobuf.ts'
import type { Store } from '../store/store.ts'
import type { LimitedResource } from './admission/admission-configuration.ts'
import type { Aggregation } from './aggregation/aggregation.ts'
import type { Audit, AuditTrail } from './audit/audit.ts'
import type { OidcDocuments } from './authn/oidc.ts'
import { createApiContext } from './context.ts'
import type { FlowMetric } from './fairness/metrics.ts'
import type { AdmissionPlugin, Authorizer, KubeletConnector, ObjectReader, VirtualHandler } from './ports.ts'
import type { ClusterSettings, Strategy } from './registry/strategy.ts'
import { createRequestHandler } from './requests/handler.ts'
import type { UserInfo } from './user.ts'
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

/** A request whose sender has been authenticated. */
export type AuthenticatedRequest = KubeRequest & {
  readonly user: UserInfo
  /** Where it comes from; absent for requests of this process. */
  readonly sourceAddress?: () => string | undefined
  /** What is written of it to the audit log; absent where nothing is. */
  readonly audit?: AuditTrail
}

/** One whose sender could not be authenticated. */
export type RefusedRequest = Omit<AuthenticatedRequest, 'user' | 'audit'>

export interface ApiServer {
  /** Resolves for every outcome, errors too: they are Status objects. */
  handle(request: AuthenticatedRequest): Promise<KubeResponse>
  /** A request was answered with 401; it is written to the audit log. */
  refused(request: RefusedRequest): void
  /** A client transport in this process: same authorization, admission and watch semantics as HTTPS. */
  transportFor(user: UserInfo): Transport
  readonly objects: ObjectReader
  /** Of priority and fairness, as `runtime/metrics` renders them. */
  flowMetrics(): readonly FlowMetric[]
  /** Whether another server answers requests for the path. */
  isRemote(path: string): boolean
  /** Ends all watches and refuses new requests; twice is allowed. */
  stop(): Promise<void>
}

/** A client in this process that asks again and again must not keep the listener and the timers from their turn. */
const turnOfEventLoop = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

export function createApiServer(parts: ApiServerParts): ApiServer {
  const context = createApiContext(parts)
  const handler = createRequestHandler(context)
  return {
    handle: handler.handle,
    refused: handler.refused,
    transportFor: user => ({
      async request(request) {
        await turnOfEventLoop()
        return handler.handle({ ...request, user })
      },
    }),
    objects: context.objects,
    flowMetrics: () => context.fairness.metrics(),
    isRemote: path => parts.aggregation?.isRemote(path) ?? false,
    stop: handler.stop,
  }
}
