/** LIST: consistent snapshots in chunks, selectors, the resourceVersion rules, and answers in slices. */

import { Mk8sError } from '../../../base/errors.ts'
import type { KubeResponse } from '../../../client/transport.ts'
import { resourceVersionExpired, resourceVersionTooLarge, StatusError } from '../../../kube/status.ts'
import { type KeyValue, prefixEnd, type RangeResult, type Store } from '../../store/store.ts'
import { acceptsGzip } from '../negotiation/accept.ts'
import { gzipped } from '../negotiation/slices.ts'
import { prepareEntries } from '../storage/encoding.ts'
import type { Matcher } from '../storage/selection.ts'
import { collectionPrefix, type ServedResource } from '../storage/served-resource.ts'
import { listPieces } from '../views/list-pieces.ts'
import { decodeContinue, encodeContinue, type ListOptions, parseListOptions } from './list-options.ts'
import { bytesResponse } from './respond.ts'
import { negotiated, type RequestScope, viewOf } from './scope.ts'
import { waitForRevision } from './wait-for-revision.ts'

/** Lists above this are streamed. */
const BIG_LIST_BYTES = 512 * 1024
/** Keys looked at per step of a selective, limited list. */
const SCAN_STEP = 500
const GZIP_BYTES_MIN = 128 * 1024

const INCONSISTENT =
  'The provided continue parameter is too old to display a consistent list result. You can start a new list ' +
  'without the continue parameter, or use the continue token in this response to retrieve the remainder of ' +
  'the results. Continuing with the provided token results in an inconsistent list - objects that were ' +
  'created, modified, or deleted between the time the first chunk was returned and now may show up in the list.'

export interface ListResult {
  readonly entries: readonly KeyValue[]
  readonly metadata: { resourceVersion: string; continue?: string; remainingItemCount?: number }
}

/** The entries a list request selects. */
export async function selectEntries(scope: RequestScope, options: ListOptions): Promise<ListResult> {
  const { resource, context } = scope
  const prefix = collectionPrefix(resource, scope.info.namespace)
  const matcher = context.selection.matcher(resource, options)
  if (options.continueToken !== '') return continueList(scope, prefix, matcher, options)
  await makeFresh(scope, options)
  const exact = options.match === 'Exact' || (options.match === '' && options.limit > 0)
  const version = options.resourceVersion ?? 0
  const revision = exact && version > 0 ? version : undefined
  // A list from any version is answered whole, as upstream does from its cache.
  const limit = options.resourceVersion === 0 ? 0 : options.limit
  try {
    return await page(context.store, resource, { prefix, start: prefix, limit, revision, matcher })
  } catch (error) {
    throw expiredOr(error, () =>
      resourceVersionExpired('The resourceVersion for the provided list is too old.'),
    )
  }
}

async function makeFresh(scope: RequestScope, options: ListOptions): Promise<void> {
  const { store, clock } = scope.context
  if (options.resourceVersion === null) await store.barrier(scope.signal)
  else if (options.resourceVersion > 0) {
    const reached = await waitForRevision(store, clock, options.resourceVersion)
    if (!reached) throw resourceVersionTooLarge(options.resourceVersion, store.revision)
  }
}

function expiredOr(error: unknown, expired: () => StatusError): unknown {
  return error instanceof Mk8sError && error.code === 'store/compacted' ? expired() : error
}

async function continueList(
  { resource, context: { store, clock } }: RequestScope,
  prefix: string,
  matcher: Matcher | null,
  options: ListOptions,
): Promise<ListResult> {
  const token = decodeContinue(resource, options.continueToken, prefix)
  // The first part may have come from another server, which is a moment ahead.
  await waitForRevision(store, clock, token.revision)
  const revision = token.revision === -1 ? undefined : token.revision
  const { limit } = options
  try {
    return await page(store, resource, { prefix, start: token.start, limit, revision, matcher })
  } catch (error) {
    throw expiredOr(error, () => {
      const again = encodeContinue(resource, { revision: -1, start: token.start })
      const { status } = resourceVersionExpired(INCONSISTENT)
      return new StatusError({ ...status, metadata: { continue: again } })
    })
  }
}

interface PageRequest {
  readonly prefix: string
  readonly start: string
  readonly limit: number
  readonly revision: number | undefined
  readonly matcher: Matcher | null
}

async function page(store: Store, resource: ServedResource, request: PageRequest): Promise<ListResult> {
  const { limit, matcher } = request
  const end = prefixEnd(request.prefix)
  const entries: KeyValue[] = []
  let start = request.start
  let revision = request.revision
  let last: RangeResult
  let left: number
  do {
    const wanted = limit === 0 ? 0 : matcher === null ? limit : Math.max(SCAN_STEP, limit)
    last = store.range({ start, end, limit: wanted, ...(revision === undefined ? {} : { revision }) })
    revision = last.revision
    left = last.remaining + last.entries.length
    if (resource.custom !== undefined) await prepareEntries(resource, last.entries)
    for (const kv of last.entries) {
      start = `${kv.key}\0`
      left -= 1
      if (matcher !== null && !matcher(kv)) continue
      entries.push(kv)
      if (limit > 0 && entries.length === limit) break
    }
  } while (limit > 0 && entries.length < limit && last.remaining > 0)
  return { entries, metadata: listMetadata(resource, revision, start, left, matcher !== null) }
}

function listMetadata(
  resource: ServedResource,
  revision: number,
  start: string,
  left: number,
  isSelective: boolean,
): ListResult['metadata'] {
  const resourceVersion = String(revision)
  if (left === 0) return { resourceVersion }
  const token = encodeContinue(resource, { revision, start })
  return isSelective
    ? { resourceVersion, continue: token }
    : { resourceVersion, continue: token, remainingItemCount: left }
}

export async function list(scope: RequestScope): Promise<KubeResponse> {
  const view = viewOf(scope, negotiated(scope))
  const options = parseListOptions(scope.query)
  const { entries, metadata } = await selectEntries(scope, options)
  const pieces = listPieces({ resource: scope.resource, entries, metadata, view })
  let bytes = 0
  for (const kv of entries) bytes += kv.value.length
  const gzip = bytes >= GZIP_BYTES_MIN && acceptsGzip(scope.headers['accept-encoding'])
  const { encoding } = view
  if (bytes < BIG_LIST_BYTES && !gzip) return bytesResponse(200, Buffer.concat([...pieces]), {}, encoding)
  const body = scope.context.bigLists.take(pieces, scope.signal)
  if (!gzip) return bytesResponse(200, body, {}, encoding)
  const headers = { 'content-encoding': 'gzip', vary: 'Accept-Encoding' }
  return bytesResponse(200, gzipped(body), headers, encoding)
}
