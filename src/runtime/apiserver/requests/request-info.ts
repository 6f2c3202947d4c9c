/** What a method and a path ask for, in the words of RBAC: pure, and the same for every request. */

export interface RequestInfo {
  readonly isResource: boolean
  /** get list watch create update patch delete deletecollection; otherwise the HTTP method in lower case. */
  readonly verb: string
  readonly path: string
  readonly group: string
  readonly version: string
  readonly resource: string
  readonly subresource: string
  readonly namespace: string
  readonly name: string
  /** What stands behind the subresource (`pods/x/proxy/a/b`), without a leading slash. */
  readonly rest: string
  /** From `/watch/` in the path (deprecated form). */
  readonly watchPath: boolean
}

const verbs: Readonly<Record<string, string>> = {
  POST: 'create',
  GET: 'get',
  HEAD: 'get',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
}

/** Subresources of a namespace; any other word behind its name is a resource in it. */
const namespaceSubresources = new Set(['status', 'finalize'])

const isTrue = (value: string | null): boolean =>
  value !== null && !['false', '0', 'f', 'F', 'FALSE', 'False'].includes(value)

function decodeSegment(segment: string): string {
  if (!segment.includes('%')) return segment
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

function nonResource(method: string, path: string): RequestInfo {
  const empty = { group: '', version: '', resource: '', subresource: '', namespace: '', name: '', rest: '' }
  return { isResource: false, verb: method.toLowerCase(), path, ...empty, watchPath: false }
}

interface Place {
  namespace: string
  resource: string
  name: string
  subresource: string
  rest: string
}

function placeOf(parts: readonly string[]): Place {
  const [first = '', second = '', third = ''] = parts
  const inNamespace = first === 'namespaces' && parts.length > 2 && !namespaceSubresources.has(third)
  const [resource = '', name = '', subresource = '', ...rest] = inNamespace ? parts.slice(2) : parts
  const namespace = inNamespace || first === 'namespaces' ? second : ''
  return { namespace, resource, name, subresource, rest: rest.join('/') }
}

function verbOf(method: string, place: Place, query: URLSearchParams, watchPath: boolean): string {
  const verb = verbs[method] ?? ''
  if (watchPath) return 'watch'
  if (place.name !== '') return verb
  if (verb === 'get') return isTrue(query.get('watch')) ? 'watch' : 'list'
  return verb === 'delete' ? 'deletecollection' : verb
}

/** Reads `/api/v1/…` and `/apis/<group>/<version>/…`; everything else is a non-resource path. */
export function parseRequestInfo(method: string, path: string, query: URLSearchParams): RequestInfo {
  const parts = path.split('/').filter(part => part !== '')
  const [root, ...behind] = parts.map(decodeSegment)
  const isCore = root === 'api'
  const groupParts = isCore ? 1 : 2
  if ((!isCore && root !== 'apis') || behind.length <= groupParts) return nonResource(method, path)
  const group = isCore ? '' : (behind[0] ?? '')
  const version = behind[groupParts - 1] ?? ''
  const tail = behind.slice(groupParts)
  const watchPath = tail[0] === 'watch' && tail.length > 1
  const place = placeOf(watchPath ? tail.slice(1) : tail)
  return {
    isResource: true,
    verb: verbOf(method, place, query, watchPath),
    path,
    group,
    version,
    ...place,
    watchPath,
  }
}
