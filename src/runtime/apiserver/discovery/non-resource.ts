/** Everything that is no resource: health, version, discovery, OpenAPI; other paths are not found. */

import { endsWithin } from '../../../base/clock.ts'
import type { KubeResponse } from '../../../client/transport.ts'
import { methodNotAllowed, noSuchPath, notAcceptable } from '../../../kube/status.ts'
import type { IncomingRequest } from '../authenticated-request.ts'
import type { ApiContext } from '../context.ts'
import { acceptsConversion, negotiate } from '../negotiation/accept.ts'
import { type Format, MEDIA_TYPES, SERVED_TYPES } from '../negotiation/media-types.ts'
import type { RequestInfo } from '../requests/request-info.ts'
import { bytesResponse, textResponse, valueResponse } from '../requests/respond.ts'
import {
  aggregatedDocument,
  apiVersionsDocument,
  groupDocument,
  groupListDocument,
  pathsDocument,
  resourceListDocument,
} from './documents.ts'
import { healthResponse, isHealthPath } from './health.ts'
import { createOpenApi } from './openapi.ts'
import { taggedResponse } from './tagged-response.ts'

const AGGREGATED = { group: 'apidiscovery.k8s.io', version: 'v2', as: 'APIGroupDiscoveryList' }
const AGGREGATED_PARAMETERS = 'g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList'

export type NonResourceHandler = (request: IncomingRequest, info: RequestInfo) => Promise<KubeResponse>

export function createNonResourceHandler(context: ApiContext): NonResourceHandler {
  const openApi = createOpenApi(context)
  const documents = new Map<string, Buffer>()
  let generation = 0
  /** Documents change with the table of resources only, so each is rendered once. */
  const once = (id: string, make: () => unknown): Buffer | null => {
    if (generation !== context.resources.generation) {
      generation = context.resources.generation
      documents.clear()
    }
    const known = documents.get(id)
    if (known !== undefined) return known
    const value = make()
    if (value === undefined) return null
    const made = Buffer.from(`${JSON.stringify(value)}\n`)
    documents.set(id, made)
    return made
  }
  return async (request, info) => {
    const path = info.path.length > 1 ? info.path.replace(/\/+$/, '') : info.path
    const metrics = metricsAt(context, path)
    const isStatus = path === '/mk8s/status' && context.status !== undefined
    const isKnown = isHealthPath(path) || path === '/version' || metrics !== undefined || isStatus
    if (request.method !== 'GET' && request.method !== 'HEAD')
      throw isKnown ? methodNotAllowed() : noSuchPath()
    if (isHealthPath(path)) return healthResponse(context, path, request.query) ?? fail()
    if (path === '/version') return valueResponse(200, versionDocument(context))
    if (metrics !== undefined) return textResponse(200, metrics(), METRICS_HEADERS)
    if (isStatus) return valueResponse(200, await context.status?.())
    const dump = context.fairness.dump(path)
    if (dump !== null) return textResponse(200, dump)
    const oidc = oidcResponse(context, path)
    if (oidc !== null) return oidc
    if (isOfDefinitions(path)) await catchUp(context)
    if (path.startsWith('/openapi/')) return openApi.respond(path, request) ?? fail()
    return discovery(context, request, path, once) ?? fail()
  }
}

/** Documents that tell of custom resources. */
const isOfDefinitions = (path: string): boolean => path.startsWith('/apis') || path.startsWith('/openapi/')

/** As long as documents wait for what other servers have established; without a quorum they are as old as that. */
const CATCH_UP_MS = 500

async function catchUp({ store, clock }: ApiContext): Promise<void> {
  const abort = new AbortController()
  const barrier = store.barrier(abort.signal).catch(() => {})
  await endsWithin(clock, CATCH_UP_MS, barrier)
  abort.abort()
}

function fail(): never {
  throw noSuchPath()
}

const METRICS_HEADERS = { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }

function metricsAt({ metrics, sliMetrics }: ApiContext, path: string): (() => string) | undefined {
  if (path === '/metrics') return metrics
  return path === '/metrics/slis' ? sliMetrics : undefined
}

const OIDC_HEADERS = { 'cache-control': 'public, max-age=3600' }

/** The documents with which others check tokens of service accounts. */
function oidcResponse({ oidc }: ApiContext, path: string): KubeResponse | null {
  if (oidc === undefined) return null
  if (path === '/.well-known/openid-configuration') {
    return bytesResponse(200, Buffer.from(oidc.configuration()), OIDC_HEADERS)
  }
  if (path !== '/openid/v1/jwks') return null
  const headers = { ...OIDC_HEADERS, 'content-type': 'application/jwk-set+json' }
  return bytesResponse(200, Buffer.from(oidc.keys()), headers)
}

const versionDocument = (context: ApiContext): unknown => ({
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: '',
  compiler: '',
  ...context.version,
})

type Once = (id: string, make: () => unknown) => Buffer | null

function discovery(
  context: ApiContext,
  request: IncomingRequest,
  path: string,
  once: Once,
): KubeResponse | null {
  const model = { resources: context.resources.all.map(one => one.info) }
  const [, root = '', first = '', second = '', ...rest] = path.split('/')
  if (rest.length > 0) return null
  if (path === '/')
    return rootDocument(
      request,
      once('/', () => pathsDocument(model)),
    )
  if (path === '/api' || path === '/apis') {
    const accept = request.headers['accept']
    const format = acceptsConversion(accept, AGGREGATED)
    if (format !== null) {
      const made = once(`aggregated ${path}`, () =>
        aggregatedDocument(model, path.slice(1) as 'api' | 'apis'),
      )
      return made === null ? null : encoded(context, request, made, format, AGGREGATED_PARAMETERS)
    }
    if (path === '/apis')
      return document(
        context,
        request,
        once(path, () => groupListDocument(model)),
      )
    const address = request.headers['host'] ?? ''
    return valueResponse(200, apiVersionsDocument(address), context.encodings.of(formatOf(request)))
  }
  if (root === 'api' && second === '') {
    return document(
      context,
      request,
      once(path, () => resourceListDocument(model, '', first)),
    )
  }
  if (root !== 'apis') return null
  if (second === '')
    return document(
      context,
      request,
      once(path, () => groupDocument(model, first)),
    )
  return document(
    context,
    request,
    once(path, () => resourceListDocument(model, first, second)),
  )
}

/** The list of paths has no other form than JSON. */
const rootDocument = (request: IncomingRequest, body: Buffer | null): KubeResponse | null =>
  body === null ? null : taggedResponse(request, body, MEDIA_TYPES.json)

/** What the client takes; throws 406. */
function formatOf(request: IncomingRequest): Format {
  const accepted = negotiate(request.headers['accept'], { allowConversion: false })
  if (accepted === null) throw notAcceptable(SERVED_TYPES)
  return accepted.format
}

const document = (context: ApiContext, request: IncomingRequest, body: Buffer | null): KubeResponse | null =>
  body === null ? null : encoded(context, request, body, formatOf(request))

/** A document, which is kept as JSON, with an ETag so that unchanged ones are not sent again. */
function encoded(
  { encodings }: ApiContext,
  request: IncomingRequest,
  json: Buffer,
  format: Format,
  parameters = '',
): KubeResponse {
  const body = format === 'json' ? json : encodings.of(format).encode(JSON.parse(json.toString('utf8')))
  const type = parameters === '' ? MEDIA_TYPES[format] : `${MEDIA_TYPES[format]};${parameters}`
  return taggedResponse(request, body, type)
}
