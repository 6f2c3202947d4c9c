/**
 * The way of every request: limits → what is asked → may they → the verb → response. Every failure becomes a
 * Status here, and only here.
 */

import { AssertionFailure, unreachable } from '../../../base/assert.ts'
import type { KubeResponse } from '../../../client/transport.ts'
import { parseFieldSelector, requiredField } from '../../../kube/field-selector.ts'
import {
  badRequest,
  forbiddenRequest,
  internalError,
  type StatusError,
  serviceUnavailable,
  statusErrorFrom,
  timeout,
} from '../../../kube/status.ts'
import { parseGoDuration } from '../../../kube/time.ts'
import type { Audit } from '../audit/audit.ts'
import type { AuthenticatedRequest, RefusedRequest } from '../authenticated-request.ts'
import { impersonate, wantsImpersonation, withoutImpersonation } from '../authn/impersonation.ts'
import { selectorsIn } from '../authz/selectors.ts'
import type { ApiContext } from '../context.ts'
import { createNonResourceHandler } from '../discovery/non-resource.ts'
import { negotiate } from '../negotiation/accept.ts'
import type { RequestAttributes } from '../ports.ts'
import type { UserInfo } from '../user.ts'
import { untilSent, whenItIsItsTurn } from './flow-control.ts'
import { noSuchPage } from './no-such-page.ts'
import { prettied, prettiedWhole, wantsPretty } from './pretty.ts'
import { parseRequestInfo, type RequestInfo } from './request-info.ts'
import { isReadOnly, type RequestMetric, RequestMetrics } from './request-metrics.ts'
import { errorResponse, warningHeaders } from './respond.ts'
import { createResourceRoutes } from './routes.ts'

const REQUEST_TIMEOUT_MAX_MS = 60_000
const NAME_FIELD = 'metadata.name'
const LONG_RUNNING_SUBRESOURCES = new Set(['log', 'proxy', 'exec', 'attach', 'portforward'])
const DEPRECATED: Readonly<Record<string, string>> = {
  '/v1/endpoints': 'v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice',
}

export interface RequestHandler {
  /** Resolves for every outcome, errors too: they are Status objects. */
  handle(request: AuthenticatedRequest): Promise<KubeResponse>
  /** A request was answered with 401; it is written to the audit log. */
  refused(request: RefusedRequest): void
  requestMetrics(): readonly RequestMetric[]
  /** Ends all watches and refuses new requests; twice is allowed. */
  stop(): Promise<void>
}

export function createRequestHandler(context: ApiContext): RequestHandler {
  const answer = createAnswer(context)

  const admitted = async (
    request: AuthenticatedRequest,
    info: RequestInfo,
    signal: AbortSignal,
  ): Promise<KubeResponse> => {
    const effective = await asEffectiveUser(context, request, info)
    const { user, query = new URLSearchParams() } = effective
    return await whenItIsItsTurn(
      context,
      { request, user, info, query, signal },
      () => answer(effective, info, signal),
      error => failureResponse(context, request, error),
    )
  }

  const metrics = new RequestMetrics((info, code) => isServed(context, info, code))
  const handle = async (request: AuthenticatedRequest): Promise<KubeResponse> => {
    try {
      if (context.stopping.signal.aborted) throw serviceUnavailable('the API server is stopping')
      const info = parseRequestInfo(request.method, request.path, request.query ?? new URLSearchParams())
      return await counted(context, metrics, { request, info }, counted => handleKnown(counted, info))
    } catch (error) {
      return failureResponse(context, request, error)
    }
  }

  const handleKnown = async (request: AuthenticatedRequest, info: RequestInfo): Promise<KubeResponse> => {
    try {
      if (info.verb === 'watch') return await admitted(request, info, longSignal(context, request))
      if (isLongRunning(info) || isRemoteStream(context, request)) {
        const effective = await asEffectiveUser(context, request, info)
        return await answer(effective, info, longSignal(context, request))
      }
      return await withinTime(context, request, signal => admitted(request, info, signal))
    } catch (error) {
      return failureResponse(context, request, error)
    }
  }
  const { audit } = context
  return {
    handle: audit === undefined ? handle : request => audited(context, audit, request, handle),
    requestMetrics: () => metrics.metrics(),
    refused(request: RefusedRequest) {
      const info = audit === undefined ? null : readInfo(request)
      if (info !== null) audit?.refused(request, { ...info, isLong: false, encodings: context.encodings })
    },
    async stop() {
      context.stopping.abort()
    },
  }
}

type Answer = (request: AuthenticatedRequest, info: RequestInfo, signal: AbortSignal) => Promise<KubeResponse>

/** Answers requests whose user is whom they are made as. */
function createAnswer(context: ApiContext): Answer {
  const resources = createResourceRoutes(context)
  const nonResources = createNonResourceHandler(context)
  return async (
    request: AuthenticatedRequest,
    info: RequestInfo,
    signal: AbortSignal,
  ): Promise<KubeResponse> => {
    const { user, query = new URLSearchParams(), headers = {} } = request
    await authorize(context, request, user, info, query)
    const incoming = { ...request, query, headers, signal }
    const remote = context.aggregation?.respond(incoming) ?? null
    if (remote !== null) return remote
    if (!info.isResource) {
      const { aggregation } = context
      if (aggregation === undefined) return nonResources(incoming, info)
      return aggregation.merge(incoming, one => nonResources(one, info))
    }
    const warnings = deprecationsOf(info)
    const answered = await resources(incoming, info, warnings)
    const isPretty = wantsPretty(incoming) && !isLongRunning(info)
    const response = isPretty ? await prettied(answered) : answered
    if (warnings.length === 0) return response
    return { ...response, headers: { ...response.headers, ...warningHeaders(warnings) } }
  }
}

/** What another server is asked for is known once that server has answered. */
function isServed({ resources, aggregation }: ApiContext, info: RequestInfo, code: number): boolean {
  const { group, version, resource, subresource, path } = info
  const found = resources.find(group, version, resource)
  if (found === undefined) return code < 400 && aggregation?.isRemote(path) === true
  return subresource === '' || found.info.subresources.some(({ name }) => name === subresource)
}

async function counted(
  { clock }: ApiContext,
  metrics: RequestMetrics,
  { request, info }: { readonly request: AuthenticatedRequest; readonly info: RequestInfo },
  run: (request: AuthenticatedRequest) => Promise<KubeResponse>,
): Promise<KubeResponse> {
  const isLong = isLongRunning(info)
  const kind = isReadOnly(info) ? 'readOnly' : 'mutating'
  const begun = clock.monotonic()
  const waits = { ms: 0 }
  if (!isLong) metrics.inFlight[kind] += 1
  const response = await run({ ...request, waits }).finally(() => {
    if (!isLong) metrics.inFlight[kind] -= 1
  })
  metrics.count({
    info,
    isApply: info.verb === 'patch' && (request.headers?.['content-type'] ?? '').includes('apply-patch'),
    isDryRun: request.query?.has('dryRun') ?? false,
    code: response.status,
    seconds: (clock.monotonic() - begun) / 1000,
    waitedSeconds: waits.ms / 1000,
  })
  return isLong && response.status < 400 ? lasting(response, metrics.longRunning(info)) : response
}

/** Calls `over` when the stream has ended. */
function lasting(response: KubeResponse, over: () => void): KubeResponse {
  const { body, upgraded } = response
  if (upgraded !== undefined) upgraded.once('close', over)
  else if (!(body instanceof Uint8Array)) return { ...response, body: untilSent(body, over) }
  else over()
  return response
}

function readInfo({ method, path, query }: RefusedRequest): RequestInfo | null {
  try {
    return parseRequestInfo(method, path, query ?? new URLSearchParams())
  } catch {
    return null
  }
}

/** What cannot even be read as a request is refused without being written down. */
async function audited(
  context: ApiContext,
  audit: Audit,
  request: AuthenticatedRequest,
  handle: (request: AuthenticatedRequest) => Promise<KubeResponse>,
): Promise<KubeResponse> {
  const info = readInfo(request)
  if (info === null) return await handle(request)
  const isLong = isLongRunning(info) || isRemoteStream(context, request)
  return await audit.follow(request, { ...info, isLong, encodings: context.encodings }, handle)
}

/** What every answer about a kind that is on its way out says. */
function deprecationsOf({ group, version, resource }: RequestInfo): string[] {
  const warning = DEPRECATED[`${group}/${version}/${resource}`]
  return warning === undefined ? [] : [warning]
}

const isLongRunning = (info: RequestInfo): boolean =>
  info.verb === 'watch' || (info.isResource && LONG_RUNNING_SUBRESOURCES.has(info.subresource))

const isRemoteStream = ({ aggregation }: ApiContext, { headers, path }: AuthenticatedRequest): boolean =>
  headers?.['upgrade'] !== undefined && aggregation?.isRemote(path) === true

function longSignal(context: ApiContext, request: AuthenticatedRequest): AbortSignal {
  const own = context.stopping.signal
  return request.signal === undefined ? own : AbortSignal.any([request.signal, own])
}

/** Runs a short request, which ends with 504 when its time is over. */
async function withinTime(
  context: ApiContext,
  request: AuthenticatedRequest,
  run: (signal: AbortSignal) => Promise<KubeResponse>,
): Promise<KubeResponse> {
  const abort = new AbortController()
  const onAbort = () => abort.abort()
  request.signal?.addEventListener('abort', onAbort, { once: true })
  const late = Promise.withResolvers<never>()
  const timer = context.clock.after(timeoutOf(request), () => {
    late.reject(timeout('request did not complete within the allotted timeout'))
    abort.abort()
  })
  try {
    return await Promise.race([run(abort.signal), late.promise])
  } finally {
    timer.cancel()
    request.signal?.removeEventListener('abort', onAbort)
  }
}

/** `?timeout=` shortens the time, never prolongs it; 0 is as if it were not there. */
function timeoutOf({ query }: AuthenticatedRequest): number {
  const asked = query?.get('timeout') ?? ''
  if (asked === '') return REQUEST_TIMEOUT_MAX_MS
  const wanted = parseGoDuration(asked)
  if (wanted === null) throw badRequest('invalid timeout specified in the request URL')
  return wanted === 0 ? REQUEST_TIMEOUT_MAX_MS : Math.min(wanted, REQUEST_TIMEOUT_MAX_MS)
}

/** The request as that of the user whom the Impersonate headers ask for, if the sender may. */
async function asEffectiveUser(
  context: ApiContext,
  request: AuthenticatedRequest,
  info: RequestInfo,
): Promise<AuthenticatedRequest> {
  const { headers = {}, query = new URLSearchParams() } = request
  if (!wantsImpersonation(headers)) return request
  const asked = attributesOf(request.user, info, query)
  const outcome = await impersonate(asked, headers, one => context.authorizer.authorize(one))
  switch (outcome.kind) {
    case 'user':
      request.audit?.impersonated(outcome.user, outcome.constraint)
      return { ...request, user: outcome.user, headers: withoutImpersonation(headers) }
    case 'forbidden':
      throw forbiddenRequest(outcome.attributes, outcome.reason)
    case 'invalid':
      throw badRequest(outcome.message)
    default:
      return unreachable(outcome)
  }
}

async function authorize(
  context: ApiContext,
  { audit }: AuthenticatedRequest,
  user: UserInfo,
  info: RequestInfo,
  query: URLSearchParams,
): Promise<void> {
  const attributes = attributesOf(user, info, query)
  const decision = await context.authorizer.authorize(attributes)
  audit?.decided(decision)
  if (decision.allowed) return
  if (decision.error !== undefined) throw internalError(new Error(decision.error))
  throw forbiddenRequest(attributes, decision.reason)
}

function attributesOf(user: UserInfo, info: RequestInfo, query: URLSearchParams): RequestAttributes {
  return {
    user,
    verb: info.verb,
    isResource: info.isResource,
    path: info.path,
    group: info.group,
    version: info.version,
    resource: info.resource,
    subresource: info.subresource,
    namespace: info.namespace,
    name: info.name === '' ? selected(info, query, NAME_FIELD) : info.name,
    ...(NARROWED.has(info.verb) && info.isResource ? selectorsOfQuery(query) : {}),
  }
}

const NARROWED: ReadonlySet<string> = new Set(['list', 'watch', 'deletecollection'])

const selectorsOfQuery = (query: URLSearchParams) =>
  selectorsIn(query.get('fieldSelector') ?? '', query.get('labelSelector') ?? '')

/** A list or watch of the one object that the field selector names counts as a request for that name. */
function selected(info: RequestInfo, query: URLSearchParams, field: string): string {
  if (!info.isResource || info.verb === 'create') return ''
  const selector = query.get('fieldSelector') ?? ''
  if (!selector.includes(field)) return ''
  return requiredField(parseFieldSelector(selector), field) ?? ''
}

function failureResponse(context: ApiContext, request: AuthenticatedRequest, error: unknown): KubeResponse {
  // A broken invariant is a bug: what is in memory is not to be trusted any more.
  if (error instanceof AssertionFailure) {
    request.audit?.panicked()
    context.onFatal(error)
  }
  const failure: StatusError = statusErrorFrom(error)
  const isGone = request.signal?.aborted === true
  // Upstream answers 500 without a reason to configurations that cannot be applied, which is nobody's failure.
  if (failure.code === 500 && failure.reason !== '' && !isGone) {
    context.log.error('a request failed', { method: request.method, path: request.path, error })
  }
  const page = noSuchPage(context, request.path, failure)
  if (page !== null) return page
  const accepted = negotiate(request.headers?.['accept'], { allowConversion: false })
  const response = errorResponse(failure, context.encodings.of(accepted?.format ?? 'json'))
  const { headers = {}, query = new URLSearchParams() } = request
  return wantsPretty({ headers, query }) ? prettiedWhole(response) : response
}
