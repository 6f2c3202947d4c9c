/** A request on its way through the API server, and whose it is. */

import type { KubeRequest } from '../../client/transport.ts'
import type { Decision } from './ports.ts'
import type { UserInfo } from './user.ts'

/** What the parts of the server tell of a request on its way. */
export interface AuditTrail {
  /** `constraint` is the verb of constrained impersonation that allowed it. */
  impersonated(user: UserInfo, constraint?: string): void
  decided(decision: Decision): void
  /** The way to the answer met a broken invariant. */
  panicked(): void
  readonly annotations: Map<string, string>
}

/** What a request has waited for others, which says nothing about how quick this server is. */
export interface Waits {
  /** For webhooks, and for seats that others had. */
  ms: number
}

/** A request whose sender has been authenticated. */
export type AuthenticatedRequest = KubeRequest & {
  readonly user: UserInfo
  /** Where it comes from; absent for requests of this process. */
  readonly sourceAddress?: () => string | undefined
  /** What is written of it to the audit log; absent where nothing is. */
  readonly audit?: AuditTrail
  readonly waits?: Waits
}

/** One whose sender could not be authenticated. */
export type RefusedRequest = Omit<AuthenticatedRequest, 'user' | 'audit'>

/** The parts of an incoming request that a scope needs. */
export type IncomingRequest = Omit<AuthenticatedRequest, 'path'> & {
  readonly query: URLSearchParams
  readonly headers: Readonly<Record<string, string>>
}
