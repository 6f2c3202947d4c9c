/**
 * The door of aggregation: requests for groups and versions that an APIService gives to another server go there, and
 * what that server has is part of the discovery documents. Without such an APIService a request costs one comparison.
 */

import { createHash } from 'node:crypto'
import type { Clock } from '../../../base/clock.ts'
import { messageOf } from '../../../base/errors.ts'
import type { Random } from '../../../base/random.ts'
import type { KubeRequest, KubeResponse } from '../../../client/transport.ts'
import { StatusError } from '../../../kube/status.ts'
import { formatTime } from '../../../kube/time.ts'
import type { Store } from '../../store/store.ts'
import type { IncomingRequest } from '../authenticated-request.ts'
import { taggedResponse } from '../discovery/tagged-response.ts'
import type { ObjectReader } from '../ports.ts'
import { textResponse } from '../requests/respond.ts'
import { keep } from '../storage/kept.ts'
import type { UserInfo } from '../user.ts'
import { callFailure } from '../webhooks/call-errors.ts'
import { chooseEndpoint } from '../webhooks/service-endpoint.ts'
import { type ApiServiceIndex, groupVersionOf, indexOf, type RemoteService } from './api-services.ts'
import {
  type DiscoveredGroup,
  type DiscoveredVersion,
  mergedDiscovery,
  mergedGroup,
  mergedGroupList,
  mergedOpenApiV2,
  staleVersion,
  versionFromList,
  versionIn,
} from './discovery.ts'
import { createProxy, type ProxyCredentials } from './proxy.ts'

type DocumentRequest = IncomingRequest & { readonly path: string }
type LocalDocuments = (request: DocumentRequest) => Promise<KubeResponse>

export interface Aggregation {
  /** Whether the path belongs to another server. */
  isRemote(path: string): boolean
  /** The other server's answer; null for what this server serves itself. */
  respond(request: DocumentRequest): Promise<KubeResponse> | null
  /** A document of this server's own, with what the others have. */
  merge(request: DocumentRequest, local: LocalDocuments): Promise<KubeResponse>
  /** Asks one server for its discovery document: the HTTP status. */
  check(service: RemoteService, signal: AbortSignal): Promise<number>
  useCredentials(credentials: ProxyCredentials): void
  stop(): void
}

/** A group and version that another part of this process answers. */
export interface LocalServer {
  readonly group: string
  readonly version: string
  /** The APIResourceList. */
  readonly resources: object
  /** False: nothing is served for now. */
  readonly isOn?: () => boolean
  handle(request: KubeRequest): Promise<KubeResponse>
}

export interface AggregationParts {
  readonly store: Pick<Store, 'watch' | 'revision'>
  readonly objects: ObjectReader
  readonly credentials: ProxyCredentials
  /** Served in this process, unless an APIService gives the group and version to another server. */
  readonly locals?: readonly LocalServer[]
  readonly clock: Clock
  readonly random: Random
}

export const API_SERVICES = '/registry/apiregistration.k8s.io/apiservices/'
const UNAVAILABLE = 503
const AGGREGATED_TYPE = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList'
const DISCOVERY_TIMEOUT_MS = 5_000
/** What a remote server said of itself is asked again after this time. */
const DISCOVERY_KEPT_MS = 10_000
const DOCUMENT_BYTES_MAX = 16 * 1024 * 1024
const OPENAPI_V3 = '/openapi/v3'
const AGGREGATOR: UserInfo = { username: 'system:kube-aggregator', groups: ['system:masters'] }

export function createAggregation(parts: AggregationParts): Aggregation {
  return new ServiceAggregation(parts)
}

interface Remembered {
  readonly atMs: number
  readonly version: DiscoveredVersion
}

class ServiceAggregation implements Aggregation {
  readonly #parts: AggregationParts
  readonly #proxy: ReturnType<typeof createProxy>
  readonly #index: ReturnType<typeof keep<ApiServiceIndex>>
  readonly #discovered = new Map<string, Remembered>()
  /** By `group/version`. */
  readonly #locals: ReadonlyMap<string, LocalServer>

  constructor(parts: AggregationParts) {
    this.#parts = parts
    this.#proxy = createProxy(parts.credentials)
    this.#locals = new Map((parts.locals ?? []).map(one => [`${one.group}/${one.version}`, one]))
    this.#index = keep(parts.store, [API_SERVICES], () =>
      indexOf(parts.objects.list('apiregistration.k8s.io', 'apiservices')),
    )
  }

  isRemote(path: string): boolean {
    return this.#serviceFor(path) !== undefined
  }

  respond(request: DocumentRequest): Promise<KubeResponse> | null {
    const service = this.#serviceFor(request.path)
    if (service === undefined) return this.#localFor(request.path)?.handle(request) ?? null
    if (!service.isAvailable) return Promise.resolve(textResponse(UNAVAILABLE, 'service unavailable\n'))
    return this.#forward(service, request.user, request)
  }

  async merge(request: DocumentRequest, local: LocalDocuments): Promise<KubeResponse> {
    const index = this.#index.current()
    const { path } = request
    const kind = mergedKind(path)
    const isOpenApi = kind === 'openapi-v2' || kind === 'openapi-v3'
    const hasOthers = index.remote.size > 0 || (!isOpenApi && this.#localsOn().length > 0)
    if (kind === null || !hasOthers) return local(request)
    const own = () => local(asWhole(request))
    if (kind === 'openapi-v2') return this.#mergeOpenApiV2(index, request, own)
    if (kind === 'openapi-v3') return this.#mergeList(index, request, await own(), kind)
    const all = this.#withLocals(index)
    if (kind === 'group') return mergeGroup(all, request, own)
    return this.#mergeList(all, request, await own(), kind)
  }

  #withLocals(index: ApiServiceIndex): ApiServiceIndex {
    const own = this.#localsOn().map(([key, { group, version }]) => {
      const place = { namespace: '', name: '', port: 0, ca: undefined, isInsecure: false, isAvailable: true }
      return [key, { group, version, ...place }] as const
    })
    return { ...index, remote: new Map([...own, ...index.remote]) }
  }

  #localFor(path: string): LocalServer | undefined {
    if (this.#locals.size === 0) return undefined
    const found = this.#locals.get(groupVersionOf(path) ?? '')
    return found?.isOn?.() === false ? undefined : found
  }

  #localsOn(): (readonly [key: string, server: LocalServer])[] {
    return [...this.#locals].filter(([, server]) => server.isOn?.() ?? true)
  }

  async #mergeList(
    index: ApiServiceIndex,
    request: DocumentRequest,
    response: KubeResponse,
    kind: 'list' | 'openapi-v3',
  ): Promise<KubeResponse> {
    const own = response.status === 200 ? readJson(response) : null
    if (own === null) return response
    if (kind === 'openapi-v3') return tagged(request, openApiV3Paths(index, own), response)
    const isAggregated = (own as { kind?: string }).kind === 'APIGroupDiscoveryList'
    if (!isAggregated) return tagged(request, mergedGroupList(index, own as never), response)
    const discovered = await this.#discover(index)
    const merged = mergedDiscovery(index, own as { items: readonly DiscoveredGroup[] }, discovered)
    return tagged(request, merged, response)
  }

  async check(service: RemoteService, signal: AbortSignal): Promise<number> {
    const path = `/apis/${service.group}/${service.version}`
    const answer = await this.#send(service, AGGREGATOR, { method: 'GET', path, headers: JSON_ONLY, signal })
    await read(answer)
    return answer.status
  }

  useCredentials(credentials: ProxyCredentials): void {
    this.#proxy.useCredentials(credentials)
  }

  stop(): void {
    this.#index.stop()
    this.#proxy.close()
  }

  #serviceFor(path: string): RemoteService | undefined {
    const { remote } = this.#index.current()
    if (remote.size === 0) return undefined
    const own = path.startsWith(`${OPENAPI_V3}/`) ? path.slice(OPENAPI_V3.length) : path
    const key = groupVersionOf(own)
    return key === null ? undefined : remote.get(key)
  }

  async #forward(service: RemoteService, user: UserInfo, request: KubeRequest): Promise<KubeResponse> {
    try {
      return await this.#send(service, user, request)
    } catch (error) {
      request.signal?.throwIfAborted()
      return textResponse(UNAVAILABLE, `error trying to reach service: ${messageOf(error)}\n`)
    }
  }

  async #send(service: RemoteService, user: UserInfo, request: KubeRequest): Promise<KubeResponse> {
    const { objects, random, clock } = this.#parts
    const endpoint = chooseEndpoint(objects, service, random.float())
    const serverName = `${service.name}.${service.namespace}.svc`
    try {
      return await this.#proxy.send(service, endpoint, user, request)
    } catch (error) {
      const why = callFailure(error, { ...endpoint, serverName }, formatTime(clock.now()))
      throw new Error(why, { cause: error })
    }
  }

  async #discover(index: ApiServiceIndex): Promise<ReadonlyMap<string, DiscoveredVersion>> {
    const found = [...index.remote].map(
      async ([key, service]) => [key, await this.#versionOf(key, service)] as const,
    )
    for (const key of this.#discovered.keys()) if (!index.remote.has(key)) this.#discovered.delete(key)
    return new Map(await Promise.all(found))
  }

  /** What the server says of itself, or said when it last answered. */
  async #versionOf(key: string, service: RemoteService): Promise<DiscoveredVersion> {
    const own = this.#index.current().remote.has(key) ? undefined : this.#locals.get(key)
    if (own !== undefined) return { ...versionFromList(own.resources, service), freshness: 'Current' }
    const known = this.#discovered.get(key)
    const stale = { ...(known?.version ?? staleVersion(service)), freshness: 'Stale' }
    if (!service.isAvailable) return stale
    const nowMs = this.#parts.clock.monotonic()
    if (known !== undefined && nowMs - known.atMs < DISCOVERY_KEPT_MS) return known.version
    try {
      const version = await this.#askVersion(service)
      this.#discovered.set(key, { atMs: nowMs, version })
      return version
    } catch {
      return stale
    }
  }

  async #askVersion(service: RemoteService): Promise<DiscoveredVersion> {
    const whole = await this.#get(service, '/apis', { accept: `${AGGREGATED_TYPE}, application/json` })
    const found = whole === null ? undefined : versionIn(whole, service)
    if (found !== undefined) return found
    const list = await this.#get(service, `/apis/${service.group}/${service.version}`, JSON_ONLY)
    return list === null ? staleVersion(service) : versionFromList(list, service)
  }

  async #get(service: RemoteService, path: string, headers: Record<string, string>): Promise<unknown> {
    const signal = AbortSignal.timeout(DISCOVERY_TIMEOUT_MS)
    const answer = await this.#send(service, AGGREGATOR, { method: 'GET', path, headers, signal })
    const body = await read(answer)
    return answer.status === 200 ? JSON.parse(body.toString('utf8')) : null
  }

  /** Asked for as JSON, whatever the client asked for: the merged document has no other form. */
  async #mergeOpenApiV2(
    index: ApiServiceIndex,
    request: IncomingRequest,
    local: () => Promise<KubeResponse>,
  ): Promise<KubeResponse> {
    const accept = request.headers['accept'] ?? ''
    const takesJson = accept === '' || /application\/(json|\*)|\*\/\*/.test(accept)
    const response = await local()
    const own = takesJson && response.status === 200 ? readJson(response) : null
    if (own === null) return response
    const remote = await Promise.all(
      [...index.remote.values()]
        .filter(one => one.isAvailable)
        .map(one => this.#get(one, '/openapi/v2', JSON_ONLY).catch(() => null)),
    )
    const documents = remote.filter(one => one !== null)
    return tagged(request, mergedOpenApiV2(own as object, documents as object[]), response)
  }
}

/** A document that is to be put together with others is asked for in full and in one piece. */
function asWhole(request: DocumentRequest): DocumentRequest {
  const { 'if-none-match': _tag, 'accept-encoding': _encoding, ...headers } = request.headers
  return { ...request, headers }
}

/** A group whose versions are all of other servers is none that this server knows. */
async function mergeGroup(
  index: ApiServiceIndex,
  request: DocumentRequest,
  local: () => Promise<KubeResponse>,
): Promise<KubeResponse> {
  const group = request.path.slice('/apis/'.length)
  const hasRemote = [...index.remote.values()].some(one => one.group === group)
  if (!hasRemote) return local()
  const response = await local().catch(error => {
    if (error instanceof StatusError && error.code === 404) return null
    throw error
  })
  const own = response === null ? undefined : readJson(response)
  if (own === null) return response ?? local()
  const merged = { kind: 'APIGroup', apiVersion: 'v1', ...mergedGroup(index, group, own as never) }
  return tagged(request, merged, response ?? { headers: {} })
}

const JSON_ONLY = { accept: 'application/json' }

function mergedKind(path: string): 'list' | 'group' | 'openapi-v2' | 'openapi-v3' | null {
  if (path === '/apis' || path === '/apis/') return 'list'
  if (path === '/openapi/v2') return 'openapi-v2'
  if (path === OPENAPI_V3) return 'openapi-v3'
  return /^\/apis\/[^/]+$/.test(path) ? 'group' : null
}

/** Null when the body is in another form than plain JSON. */
function readJson({ body, headers }: KubeResponse): unknown {
  const type = headers['content-type'] ?? ''
  if (!(body instanceof Uint8Array) || headers['content-encoding'] !== undefined) return null
  if (!type.startsWith('application/json')) return null
  return JSON.parse(Buffer.from(body).toString('utf8'))
}

function tagged(
  request: IncomingRequest,
  value: unknown,
  { headers }: Pick<KubeResponse, 'headers'>,
): KubeResponse {
  const type = headers['content-type'] ?? ''
  const own = type.startsWith('application/json') ? type : 'application/json'
  return taggedResponse(request, Buffer.from(`${JSON.stringify(value)}\n`), own)
}

/** Where the documents of the others are: they pass through this server. */
function openApiV3Paths(index: ApiServiceIndex, own: unknown): unknown {
  const { paths = {} } = own as { paths?: Record<string, unknown> }
  const added = [...index.remote.values()].map(({ group, version, name, namespace }) => {
    const hash = createHash('sha256')
      .update(`${namespace}/${name}/${group}/${version}`)
      .digest('hex')
      .toUpperCase()
    const serverRelativeURL = `${OPENAPI_V3}/apis/${group}/${version}?hash=${hash}`
    return [`apis/${group}/${version}`, { serverRelativeURL }] as const
  })
  return { paths: { ...paths, ...Object.fromEntries(added) } }
}

async function read({ body }: KubeResponse): Promise<Buffer> {
  if (body instanceof Uint8Array) return Buffer.from(body)
  const pieces: Uint8Array[] = []
  let bytes = 0
  for await (const piece of body) {
    bytes += piece.length
    if (bytes > DOCUMENT_BYTES_MAX) throw new Error(`the document has more than ${DOCUMENT_BYTES_MAX} bytes`)
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}
