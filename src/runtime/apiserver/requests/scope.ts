/** One request for a resource, as the verbs see it. */
import type { SubresourceInfo } from '../../../kube/model-types.ts'
import { notAcceptable } from '../../../kube/status.ts'
import type { AuthenticatedRequest } from '../apiserver.ts'
import type { ApiContext } from '../context.ts'
import { type Negotiated, negotiate } from '../negotiation/accept.ts'
import type { ServedResource } from '../storage/served-resource.ts'
import type { UserInfo } from '../user.ts'
import { includeObjectOf, type View } from '../views/view.ts'
import type { RequestInfo } from './request-info.ts'

export interface RequestScope {
  readonly context: ApiContext
  readonly info: RequestInfo
  readonly resource: ServedResource
  readonly subresource: SubresourceInfo | null
  readonly user: UserInfo
  readonly method: string
  readonly query: URLSearchParams
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | null
  readonly term: number | undefined
  /** Aborted when the client goes, the time is over or the server stops. */
  readonly signal: AbortSignal
  /** Sent as Warning headers. */
  readonly warnings: string[]
  /** What admission says of the request for the audit log. */
  readonly auditAnnotations: Map<string, string>
}

/** What responses come as. */
const SERVED_TYPES = ['application/json', 'application/yaml']
/** What bodies may come as. */
export const ACCEPTED_TYPES = [...SERVED_TYPES, 'application/vnd.kubernetes.protobuf']

/** What the client wants to see; throws 406 when nothing of it can be served. */
export function negotiated(scope: RequestScope, allowConversion = true): Negotiated {
  const found = negotiate(scope.headers['accept'], { allowConversion })
  if (found === null) throw notAcceptable(SERVED_TYPES)
  return found
}

export function viewOf(scope: RequestScope, accepted: Negotiated): View {
  const include = accepted.form === 'table' ? includeObjectOf(scope.query) : 'Metadata'
  return { form: accepted.form, include, nowMs: scope.context.clock.now() }
}

/** The parts of an incoming request that a scope needs. */
export type IncomingRequest = Omit<AuthenticatedRequest, 'path'> & {
  readonly query: URLSearchParams
  readonly headers: Readonly<Record<string, string>>
}
