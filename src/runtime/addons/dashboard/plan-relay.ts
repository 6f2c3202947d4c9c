/**
 * Which requests of the page go on to the API server: what it shows, and the few things it does. What is not listed
 * here nobody reaches through the dashboard, whatever their token allows; Secrets, exec and proxies are not. Pure.
 */

export interface RelayRequest {
  readonly method: string
  /** As the API server has it. */
  readonly path: string
  readonly query: URLSearchParams
}

const READ: Readonly<Record<string, readonly string[]>> = {
  'api/v1': [
    ...['nodes', 'namespaces', 'pods', 'events', 'services'],
    ...['persistentvolumeclaims', 'persistentvolumes'],
  ],
  'apis/apps/v1': ['deployments', 'statefulsets', 'daemonsets', 'replicasets'],
  'apis/batch/v1': ['jobs', 'cronjobs'],
  'apis/metrics.k8s.io/v1beta1': ['nodes', 'pods'],
  'apis/addons.mk8s.io/v1': ['addons'],
}
/** By method: group, resource and subresource of what may be changed. */
const CHANGE: Readonly<Record<string, readonly string[]>> = {
  DELETE: ['api/v1/pods'],
  PATCH: [
    ...['apis/apps/v1/deployments', 'apis/apps/v1/statefulsets', 'apis/apps/v1/daemonsets'],
    ...['apis/apps/v1/deployments/scale', 'apis/apps/v1/statefulsets/scale'],
  ],
}
/** What it asks before it offers to change anything. */
const REVIEW = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'
const STATUS = '/mk8s/status'

const QUERY = [
  ...['limit', 'continue', 'labelSelector', 'fieldSelector', 'watch', 'resourceVersion', 'includeObject'],
  ...['allowWatchBookmarks', 'timeoutSeconds', 'container', 'follow', 'tailLines', 'limitBytes'],
  ...['previous', 'timestamps', 'sinceSeconds'],
]

const SEGMENT = /^[a-z0-9]([a-z0-9.:-]*[a-z0-9])?$/

/** Undefined: it may go on; else a sentence. */
export function refusalOf({ method, path, query }: RelayRequest): string | undefined {
  const strange = query.keys().find(name => !QUERY.includes(name))
  if (strange !== undefined) return `the dashboard does not pass on the parameter ${strange}`
  return isPassed(method, path) ? undefined : `the dashboard does not pass on ${method} ${path}`
}

function isPassed(method: string, path: string): boolean {
  if (path === STATUS) return method === 'GET'
  if (path === REVIEW) return method === 'POST'
  const parsed = parsePath(path)
  if (parsed === null) return false
  const { group, resource, name, subresource } = parsed
  if (method === 'GET') {
    const isLog = resource === 'pods' && subresource === 'log' && group === 'api/v1'
    return (READ[group]?.includes(resource) ?? false) && (subresource === undefined || isLog)
  }
  const target = [group, resource, ...(subresource === undefined ? [] : [subresource])].join('/')
  return name !== undefined && (CHANGE[method]?.includes(target) ?? false)
}

interface ParsedPath {
  /** With its version: `apis/apps/v1`. */
  readonly group: string
  readonly resource: string
  readonly name: string | undefined
  readonly subresource: string | undefined
}

/** Null for a path with anything in it that no name has, an encoded character too. */
function parsePath(path: string): ParsedPath | null {
  const [first, ...segments] = path.split('/')
  if (first !== '' || !segments.every(segment => SEGMENT.test(segment) && !segment.includes('..')))
    return null
  const depth = segments[0] === 'api' ? 2 : 3
  const group = segments.slice(0, depth).join('/')
  const isInside = segments[depth] === 'namespaces' && segments.length > depth + 2
  const [resource, name, subresource, ...more] = segments.slice(isInside ? depth + 2 : depth)
  return resource === undefined || more.length > 0 ? null : { group, resource, name, subresource }
}
