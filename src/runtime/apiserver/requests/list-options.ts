/** Query parameters of list and watch: read, checked as upstream checks them, and typed; pure. */
import { type FieldError, forbidden, notSupported } from '../../../kube/field-error.ts'
import { parseJson } from '../../../kube/json.ts'
import { badRequest, invalid } from '../../../kube/status.ts'
import type { ServedResource } from '../storage/served-resource.ts'

export interface ListOptions {
  /** 0: no limit. */
  readonly limit: number
  readonly continueToken: string
  /** Null: not given. */
  readonly resourceVersion: number | null
  readonly match: '' | 'Exact' | 'NotOlderThan'
  readonly labelSelector: string
  readonly fieldSelector: string
}

export interface WatchOptions extends ListOptions {
  readonly allowBookmarks: boolean
  /** Null: not said. */
  readonly sendInitialEvents: boolean | null
  readonly timeoutSeconds: number | null
}

const listOptionsKind = { group: 'meta.k8s.io', kind: 'ListOptions' }

export function parseBoolean(text: string | null): boolean | null {
  if (text === null) return null
  return !['false', '0', 'f', 'F', 'FALSE', 'False'].includes(text)
}

export function parseInteger(text: string | null): number | null {
  if (text === null || text === '') return null
  if (!/^[+-]?\d{1,18}$/.test(text)) {
    throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`)
  }
  return Number(text)
}

/** A resourceVersion of a request; null when it is not given. Throws 400. */
export function parseResourceVersion(text: string | null): number | null {
  if (text === null || text === '') return null
  const revision = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(revision)) return revision
  throw badRequest(
    `Invalid value: ${JSON.stringify(text)}: invalid resource version: not a number that this server gave out`,
  )
}

const MATCH = 'resourceVersionMatch'

function listErrors(query: URLSearchParams): FieldError[] {
  const match = query.get('resourceVersionMatch') ?? ''
  const version = query.get('resourceVersion') ?? ''
  const errors: FieldError[] = []
  if (match !== '') {
    if (version === '')
      errors.push(forbidden(MATCH, 'resourceVersionMatch is forbidden unless resourceVersion is provided'))
    errors.push(...continueErrors(query))
    if (match !== 'Exact' && match !== 'NotOlderThan')
      errors.push(notSupported(MATCH, match, ['Exact', 'NotOlderThan', '']))
    if (match === 'Exact' && version === '0') {
      errors.push(forbidden(MATCH, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'))
    }
  }
  if (query.get('sendInitialEvents') !== null)
    errors.push(forbidden('sendInitialEvents', 'sendInitialEvents is forbidden for list'))
  return errors
}

function watchErrors(query: URLSearchParams): FieldError[] {
  const match = query.get('resourceVersionMatch') ?? ''
  const initial = query.get('sendInitialEvents')
  const errors: FieldError[] = []
  if (initial !== null && match !== 'NotOlderThan') {
    errors.push(forbidden(MATCH, 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan'))
  }
  if (match === '') return errors
  if (initial === null) {
    const why = 'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided'
    errors.push(forbidden(MATCH, why))
  }
  if (match !== 'NotOlderThan') errors.push(notSupported(MATCH, match, ['NotOlderThan']))
  return [...errors, ...continueErrors(query)]
}

const continueErrors = (query: URLSearchParams): FieldError[] =>
  (query.get('continue') ?? '') === ''
    ? []
    : [forbidden(MATCH, 'resourceVersionMatch is forbidden when continue is provided')]

function checkMatch(query: URLSearchParams, isWatch: boolean): void {
  const errors = isWatch ? watchErrors(query) : listErrors(query)
  if (errors.length > 0) throw invalid(listOptionsKind, '', errors)
}

function common(query: URLSearchParams): ListOptions {
  const limit = parseInteger(query.get('limit')) ?? 0
  return {
    limit: Math.max(0, limit),
    continueToken: query.get('continue') ?? '',
    resourceVersion: parseResourceVersion(query.get('resourceVersion')),
    match: (query.get('resourceVersionMatch') ?? '') as ListOptions['match'],
    labelSelector: query.get('labelSelector') ?? '',
    fieldSelector: query.get('fieldSelector') ?? '',
  }
}

export function parseListOptions(query: URLSearchParams): ListOptions {
  checkMatch(query, false)
  const options = common(query)
  if (options.continueToken !== '' && (options.resourceVersion ?? 0) !== 0) {
    throw badRequest('specifying resource version is not allowed when using continue')
  }
  return options
}

export function parseWatchOptions(query: URLSearchParams): WatchOptions {
  checkMatch(query, true)
  return {
    ...common(query),
    allowBookmarks: parseBoolean(query.get('allowWatchBookmarks')) ?? false,
    sendInitialEvents: parseBoolean(query.get('sendInitialEvents')),
    timeoutSeconds: parseInteger(query.get('timeoutSeconds')),
  }
}

/** Where a chunked list goes on: the snapshot's revision (-1: the latest state) and the key to start at. */
export interface ContinueToken {
  readonly revision: number
  readonly start: string
}

export function encodeContinue(resource: ServedResource, token: ContinueToken): string {
  const start = token.start.slice(resource.prefix.length)
  return Buffer.from(JSON.stringify({ v: 'meta.k8s.io/v1', rv: token.revision, start })).toString('base64url')
}

const notValid = (why: string) => badRequest(`continue key is not valid: ${why}`)

function readToken(text: string): { v?: unknown; rv?: unknown; start?: unknown } | null {
  const stranger = text.search(/[^A-Za-z0-9_-]/)
  if (stranger >= 0) throw notValid(`illegal base64 data at input byte ${stranger}`)
  try {
    return parseJson(Buffer.from(text, 'base64url').toString('utf8')).value as object | null
  } catch (error) {
    throw notValid(error instanceof Error ? error.message : 'it cannot be read')
  }
}

/** Throws 400 for a token that this server did not make for this resource. */
export function decodeContinue(resource: ServedResource, text: string, prefix: string): ContinueToken {
  const parsed = readToken(text)
  if (parsed?.v !== 'meta.k8s.io/v1') throw notValid('server does not recognize this encoded version')
  const { rv, start } = parsed
  if (typeof rv !== 'number' || !Number.isSafeInteger(rv) || rv === 0 || rv < -1) {
    throw notValid('incorrect encoded start resourceVersion')
  }
  if (typeof start !== 'string' || start === '') throw notValid('no start key')
  const key = resource.prefix + start
  if (!key.startsWith(prefix)) throw notValid('the start key is outside of this list')
  return { revision: rv, start: key }
}
