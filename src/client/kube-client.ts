/** A client of the Kubernetes API over any transport: one method per verb, errors as StatusError. */
import type { KubeObject } from '../kube/object.ts'
import { type ResourceRef, renderPath } from './resources.ts'
import { statusErrorOf, statusErrorOfObject } from './status-errors.ts'
import type { KubeRequest, KubeResponse, Transport } from './transport.ts'
import { parseWatchStream, type WatchEvent } from './watch-stream.ts'

export type { ResourceRef } from './resources.ts'
export {
  isAlreadyExists,
  isConflict,
  isInvalid,
  isNoSuchPath,
  isNotFound,
  unless,
} from './status-errors.ts'
export type { WatchEvent } from './watch-stream.ts'

export interface KubeClientOptions {
  /** Raft term that every write belongs to; reads do not carry it. */
  readonly term?: number | undefined
  readonly userAgent?: string | undefined
}

export interface GetOptions {
  readonly namespace?: string | undefined
  readonly name: string
  readonly subresource?: string | undefined
  readonly signal?: AbortSignal | undefined
}

export interface ListOptions {
  /** Absent: all namespaces. */
  readonly namespace?: string | undefined
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
  readonly limit?: number | undefined
  readonly continue?: string | undefined
  readonly resourceVersion?: string | undefined
  /** Of the custom and external metrics APIs. */
  readonly metricLabelSelector?: string | undefined
  /** Ask for PartialObjectMetadata instead of whole objects. */
  readonly metadataOnly?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

export interface DiscoveredResource {
  /** With a slash: a subresource. */
  readonly name: string
  readonly kind: string
  readonly namespaced: boolean
  readonly verbs: readonly string[]
}

export interface ListResult<T> {
  readonly items: T[]
  readonly resourceVersion: string
  readonly continue?: string
}

export interface WatchOptions {
  readonly namespace?: string | undefined
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
  readonly resourceVersion: string
  readonly signal: AbortSignal
  readonly allowBookmarks?: boolean | undefined
  readonly metadataOnly?: boolean | undefined
  /** After so many seconds the server ends the watch in good order. */
  readonly timeoutSeconds?: number | undefined
}

export interface CreateOptions {
  readonly namespace?: string | undefined
  /** With a subresource: the parent's name. */
  readonly name?: string | undefined
  readonly subresource?: string | undefined
}

export interface PatchOptions {
  readonly namespace?: string | undefined
  readonly name: string
  readonly subresource?: string | undefined
  readonly type: 'json' | 'merge' | 'strategic'
  readonly patch: unknown
}

export interface ApplyOptions {
  readonly fieldManager: string
  /** Take fields that others manage. */
  readonly force?: boolean | undefined
  readonly subresource?: string | undefined
}

export interface DeleteOptions {
  readonly namespace?: string | undefined
  readonly name: string
  readonly subresource?: string | undefined
  /** Preconditions: refuse with 409 when the object is another one by now. */
  readonly uid?: string | undefined
  readonly resourceVersion?: string | undefined
  readonly gracePeriodSeconds?: number | undefined
  readonly propagationPolicy?: 'Orphan' | 'Background' | 'Foreground' | undefined
}

export interface DeleteCollectionOptions {
  readonly namespace?: string | undefined
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
  readonly propagationPolicy?: 'Orphan' | 'Background' | 'Foreground' | undefined
}

const PATCH_TYPES = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
} as const

const APPLY_TYPE = 'application/apply-patch+yaml'
const JSON_TYPE = 'application/json'
const METADATA_ACCEPT = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json'
const METADATA_LIST_ACCEPT =
  'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json'

interface ListBody<T> {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly resourceVersion?: string; readonly continue?: string }
  readonly items: T[] | null
}

export class KubeClient {
  readonly #transport: Transport
  readonly #term: number | undefined
  readonly #headers: Readonly<Record<string, string>>

  constructor(transport: Transport, options: KubeClientOptions = {}) {
    this.#transport = transport
    this.#term = options.term
    this.#headers = { accept: JSON_TYPE, 'user-agent': options.userAgent ?? 'mk8s' }
  }

  async get<T extends KubeObject>(resource: ResourceRef, options: GetOptions): Promise<T> {
    const response = await this.#send('GET', renderPath(resource, options), { signal: options.signal })
    return parseBody<T>(response)
  }

  /** What a group has in a version, as discovery tells it. */
  async discover(group: string, version: string): Promise<readonly DiscoveredResource[]> {
    const response = await this.#send('GET', `/apis/${group}/${version}`, {})
    const { resources } = await parseBody<{ readonly resources?: readonly DiscoveredResource[] | null }>(
      response,
    )
    return resources ?? []
  }

  async list<T extends KubeObject>(resource: ResourceRef, options: ListOptions = {}): Promise<ListResult<T>> {
    const response = await this.#send('GET', renderPath(resource, { namespace: options.namespace }), {
      query: queryOf({
        labelSelector: options.labelSelector,
        fieldSelector: options.fieldSelector,
        metricLabelSelector: options.metricLabelSelector,
        limit: options.limit,
        continue: options.continue,
        resourceVersion: options.resourceVersion,
      }),
      headers: options.metadataOnly ? { accept: METADATA_LIST_ACCEPT } : {},
      signal: options.signal,
    })
    const body = await parseBody<ListBody<T>>(response)
    const items = body.items ?? []
    for (const item of items) nameKind(item, body)
    const page = { items, resourceVersion: body.metadata.resourceVersion ?? '' }
    return body.metadata.continue ? { ...page, continue: body.metadata.continue } : page
  }

  async create<T extends KubeObject>(
    resource: ResourceRef,
    object: KubeObject,
    options: CreateOptions = {},
  ): Promise<T> {
    const namespace = options.namespace ?? object.metadata.namespace
    const path = renderPath(resource, { ...options, namespace })
    return parseBody<T>(await this.#send('POST', path, { json: object }))
  }

  async update<T extends KubeObject>(
    resource: ResourceRef,
    object: T,
    options: { readonly subresource?: string | undefined } = {},
  ): Promise<T> {
    const { namespace, name } = object.metadata
    const path = renderPath(resource, { namespace, name, subresource: options.subresource })
    return parseBody<T>(await this.#send('PUT', path, { json: object }))
  }

  async patch<T extends KubeObject>(resource: ResourceRef, options: PatchOptions): Promise<T> {
    const headers = { 'content-type': PATCH_TYPES[options.type] }
    const path = renderPath(resource, options)
    return parseBody<T>(await this.#send('PATCH', path, { json: options.patch, headers }))
  }

  /** Server-side apply: makes the object, or takes over the fields that are given. */
  async apply<T extends KubeObject>(
    resource: ResourceRef,
    object: KubeObject,
    options: ApplyOptions,
  ): Promise<T> {
    const { namespace, name } = object.metadata
    const path = renderPath(resource, { namespace, name, subresource: options.subresource })
    const query = queryOf({ fieldManager: options.fieldManager, force: options.force })
    return parseBody<T>(
      await this.#send('PATCH', path, { json: object, query, headers: { 'content-type': APPLY_TYPE } }),
    )
  }

  async delete(resource: ResourceRef, options: DeleteOptions): Promise<void> {
    const preconditions = defined({ uid: options.uid, resourceVersion: options.resourceVersion })
    const body = deleteBody(options, preconditions)
    await parseBody(await this.#send('DELETE', renderPath(resource, options), { json: body }))
  }

  async deleteCollection(resource: ResourceRef, options: DeleteCollectionOptions): Promise<void> {
    const path = renderPath(resource, { namespace: options.namespace })
    const query = queryOf({ labelSelector: options.labelSelector, fieldSelector: options.fieldSelector })
    await parseBody(await this.#send('DELETE', path, { json: deleteBody(options, {}), query }))
  }

  /** Ends when the server ends it or the signal fires; an ERROR event is thrown as StatusError. */
  async *watch<T extends KubeObject>(
    resource: ResourceRef,
    options: WatchOptions,
  ): AsyncGenerator<WatchEvent<T>> {
    const response = await this.#send('GET', renderPath(resource, { namespace: options.namespace }), {
      query: queryOf({
        watch: true,
        labelSelector: options.labelSelector,
        fieldSelector: options.fieldSelector,
        resourceVersion: options.resourceVersion,
        allowWatchBookmarks: options.allowBookmarks || undefined,
        timeoutSeconds: options.timeoutSeconds,
      }),
      headers: options.metadataOnly ? { accept: METADATA_ACCEPT } : {},
      signal: options.signal,
    })
    const chunks = response.body instanceof Uint8Array ? [response.body] : response.body
    if (response.status >= 300) throw statusErrorOf(response.status, await readBody(response))
    for await (const event of parseWatchStream<T>(toAsync(chunks))) {
      if (event.type === 'ERROR') throw statusErrorOfObject(event.object)
      yield event
    }
  }

  async #send(method: string, path: string, parts: SendParts): Promise<KubeResponse> {
    const isWrite = method !== 'GET'
    const request: KubeRequest = {
      method,
      path,
      headers: {
        ...this.#headers,
        ...(parts.json === undefined ? {} : { 'content-type': JSON_TYPE }),
        ...parts.headers,
      },
      ...(parts.query === undefined ? {} : { query: parts.query }),
      ...(parts.json === undefined ? {} : { body: Buffer.from(JSON.stringify(parts.json)) }),
      ...(parts.signal === undefined ? {} : { signal: parts.signal }),
      ...(isWrite && this.#term !== undefined ? { term: this.#term } : {}),
    }
    return this.#transport.request(request)
  }
}

interface SendParts {
  readonly json?: unknown
  readonly query?: URLSearchParams
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal | undefined
}

function deleteBody(
  options: {
    readonly gracePeriodSeconds?: number | undefined
    readonly propagationPolicy?: string | undefined
  },
  preconditions: object,
): object {
  return {
    apiVersion: 'v1',
    kind: 'DeleteOptions',
    ...defined({
      gracePeriodSeconds: options.gracePeriodSeconds,
      propagationPolicy: options.propagationPolicy,
    }),
    ...(Object.keys(preconditions).length > 0 ? { preconditions } : {}),
  }
}

function defined(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}

function queryOf(values: Readonly<Record<string, string | number | boolean | undefined>>): URLSearchParams {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && value !== '') query.set(name, String(value))
  }
  return query
}

/** Items of a list come without apiVersion and kind; they are those of the list. */
function nameKind(item: Partial<KubeObject>, list: ListBody<unknown>): void {
  item.apiVersion ??= list.apiVersion
  item.kind ??= list.kind.replace(/List$/, '')
}

async function parseBody<T>(response: KubeResponse): Promise<T> {
  const bytes = await readBody(response)
  if (response.status >= 300) throw statusErrorOf(response.status, bytes)
  return JSON.parse(bytes.toString('utf8')) as T
}

async function readBody(response: KubeResponse): Promise<Buffer> {
  if (response.body instanceof Uint8Array) {
    return Buffer.from(response.body.buffer, response.body.byteOffset, response.body.byteLength)
  }
  return Buffer.concat(await Array.fromAsync(response.body))
}

async function* toAsync(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield* chunks
}
