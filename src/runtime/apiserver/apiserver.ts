/**
 * The door of the API server: one object that answers Kubernetes API requests from a store and a model.
 * The HTTPS listener (`http/listener.ts`) and the in-process transport both go through `handle`.
 */

import type { HealthFigures } from '../../base/health-figures.ts'
import type { Transport } from '../../client/transport.ts'
import type { ApiServerParts } from './apiserver-parts.ts'
import { createApiContext } from './context.ts'
import type { FlowMetric } from './fairness/metrics.ts'
import type { ObjectReader } from './ports.ts'
import { createRequestHandler, type RequestHandler } from './requests/handler.ts'
import type { RequestMetric } from './requests/request-metrics.ts'
import type { UserInfo } from './user.ts'

export interface ApiServer extends RequestHandler {
  /** A client transport in this process: same authorization, admission and watch semantics as HTTPS. */
  transportFor(user: UserInfo): Transport
  readonly objects: ObjectReader
  /** Of priority and fairness, as `runtime/metrics` renders them. */
  flowMetrics(): readonly FlowMetric[]
  /** Of requests, as `runtime/metrics` renders them. */
  requestMetrics(): readonly RequestMetric[]
  /** Of health checks, as `runtime/metrics` renders them. */
  healthMetrics(): ReturnType<HealthFigures['metrics']>
  /** Whether another server answers requests for the path. */
  isRemote(path: string): boolean
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
    requestMetrics: handler.requestMetrics,
    flowMetrics: () => context.fairness.metrics(),
    healthMetrics: () => context.healthFigures.metrics(),
    isRemote: path => parts.aggregation?.isRemote(path) ?? false,
    stop: handler.stop,
  }
}
