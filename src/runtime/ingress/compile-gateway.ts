/** Attached HTTPRoutes as routes by listener, host and path, by the Gateway API's precedence. Pure. */
import { attachRoutes, backendVerdict } from './attach-routes.ts'
import type {
  BackendRef,
  Filter,
  HeaderFilter,
  HttpRoute,
  NamedMatch,
  PathModifier,
  RouteMatch,
  RouteRule,
} from './gateway-types.ts'
import { HostTable } from './host-table.ts'
import { compilePattern, PathTable } from './path-table.ts'
import type { ServicePools } from './pools.ts'
import {
  type Backend,
  type Conditions,
  type HeaderChanges,
  type PathRewrite,
  PLAIN_ROUTE,
  type Redirect,
  type Route,
  type ValueMatch,
} from './route.ts'
import { type IngressSettings, nameOf, type World } from './world.ts'

type ListenerRoutes = HostTable<PathTable<Route>>

export interface CompiledGateways {
  readonly http: HostTable<ListenerRoutes>
  readonly https: HostTable<ListenerRoutes>
  readonly certificates: readonly { readonly host: string; readonly secret: string }[]
}

/** One match of one rule, and where it belongs. */
interface Entry {
  readonly scheme: 'http' | 'https'
  readonly listener: string
  readonly host: string
  readonly match: RouteMatch
  readonly route: Route
  readonly order: number
}

export function compileGateways(
  world: World,
  pools: ServicePools,
  settings: IngressSettings,
): CompiledGateways {
  const { gateways, routes } = attachRoutes(world, settings)
  const compiled = { http: new HostTable<ListenerRoutes>(), https: new HostTable<ListenerRoutes>() }
  const listeners = gateways.flatMap(gateway => gateway.listeners).filter(({ accepted }) => accepted.ok)
  for (const { listener } of listeners) {
    compiled[schemeOf(listener.protocol)].at(listener.hostname ?? '', () => new HostTable())
  }
  const entries = routes.flatMap(({ route, parents }, order) =>
    parents.flatMap(({ listeners: places }) =>
      places.flatMap(({ listener: { listener }, hosts }) => {
        const place = { scheme: schemeOf(listener.protocol), listener: listener.hostname ?? '', order }
        return hosts.flatMap(host =>
          entriesOf(route, world, pools).map(entry => ({ ...place, host, ...entry })),
        )
      }),
    ),
  )
  // The sort keeps the order of rules; oldest routes first.
  for (const entry of entries.sort((a, b) => weightOf(b.match) - weightOf(a.match) || a.order - b.order)) {
    place(
      compiled[entry.scheme].at(entry.listener, () => new HostTable()),
      entry,
    )
  }
  const certificates = listeners.flatMap(({ listener, certificates: secrets }) =>
    secrets.slice(0, 1).map(secret => ({ host: listener.hostname ?? '', secret })),
  )
  return { ...compiled, certificates }
}

const schemeOf = (protocol: string): 'http' | 'https' => (protocol === 'HTTPS' ? 'https' : 'http')

/** After host and path: a method, then the number of headers, then of query parameters. */
const weightOf = ({ method, headers, queryParams }: RouteMatch): number =>
  (method === undefined ? 0 : 10_000) + (headers?.length ?? 0) * 100 + (queryParams?.length ?? 0)

function place(listener: ListenerRoutes, { host, match, route }: Entry): void {
  const table = listener.at(host, () => new PathTable())
  const { type = 'PathPrefix', value = '/' } = match.path ?? {}
  if (type === 'Exact') table.addExact(value, route)
  else if (type === 'PathPrefix') table.addPrefix(value, route)
  else {
    try {
      table.addPattern(value, route)
    } catch {
      // The route is as good as absent; RE2 reads other expressions than this one.
    }
  }
}

function entriesOf(
  route: HttpRoute,
  world: World,
  pools: ServicePools,
): { match: RouteMatch; route: Route }[] {
  return (route.spec?.rules ?? [{}]).flatMap(rule => {
    const matches = rule.matches?.length ? rule.matches : [{}]
    const common = renderRule(route, rule, world, pools)
    return matches.map(match => ({
      match,
      route: { ...common, ...pathChanges(rule, match), conditions: conditionsOf(match) },
    }))
  })
}

function renderRule(route: HttpRoute, rule: RouteRule, world: World, pools: ServicePools): Route {
  const filters = rule.filters ?? []
  const backend = (ref: BackendRef) => backendOf(route, ref, world, pools)
  const requestMs = durationMs(rule.timeouts?.request)
  return {
    ...PLAIN_ROUTE,
    owner: `HTTPRoute ${nameOf(route)}`,
    host: filters.find(({ urlRewrite }) => urlRewrite?.hostname)?.urlRewrite?.hostname ?? '',
    requestHeaders: changesOf(filters.map(one => one.requestHeaderModifier)),
    responseHeaders: changesOf(filters.map(one => one.responseHeaderModifier)),
    backends: (rule.backendRefs ?? []).map(backend),
    canaries: [],
    mirrors: filters.flatMap(({ requestMirror }) =>
      requestMirror ? [backend(requestMirror.backendRef)] : [],
    ),
    requestMs,
    backendRequestMs: durationMs(rule.timeouts?.backendRequest),
  }
}

function pathChanges({ filters }: RouteRule, match: RouteMatch): Pick<Route, 'rewrite' | 'redirect'> {
  const find = (type: string): Filter | undefined => filters?.find(filter => filter.type === type)
  const redirect = find('RequestRedirect')?.requestRedirect
  const rendered: Redirect | null =
    redirect === undefined
      ? null
      : {
          ...{ scheme: redirect.scheme ?? '', host: redirect.hostname ?? '', port: redirect.port ?? 0 },
          ...{ path: modifierOf(redirect.path, match), status: redirect.statusCode ?? 302 },
        }
  return { redirect: rendered, rewrite: modifierOf(find('URLRewrite')?.urlRewrite?.path, match) }
}

function modifierOf(modifier: PathModifier | undefined, { path }: RouteMatch): PathRewrite | null {
  if (modifier === undefined) return null
  if (modifier.type === 'ReplaceFullPath') return { kind: 'whole', path: modifier.replaceFullPath ?? '/' }
  return { kind: 'prefix', prefix: path?.value ?? '/', replacement: modifier.replacePrefixMatch ?? '/' }
}

/** What a reference does not lead to answers 500, for its share. */
function backendOf(route: HttpRoute, ref: BackendRef, world: World, pools: ServicePools): Backend {
  const namespace = ref.namespace ?? route.metadata.namespace ?? ''
  const isGood = backendVerdict(route, ref, world).ok
  const found = isGood && ref.port !== undefined ? pools.find(namespace, ref.name, ref.port) : null
  return {
    pool: found?.pool ?? '',
    protocol: found?.protocol ?? 'http',
    weight: ref.weight ?? 1,
    status: 500,
    requestHeaders: changesOf((ref.filters ?? []).map(one => one.requestHeaderModifier)),
  }
}

function changesOf(filters: readonly (HeaderFilter | undefined)[]): HeaderChanges | null {
  const given = filters.filter(filter => filter !== undefined)
  if (given.length === 0) return null
  const pairs = (list: HeaderFilter['set']) => (list ?? []).map(({ name, value }) => [name, value] as const)
  return {
    set: given.flatMap(({ set }) => pairs(set)),
    add: given.flatMap(({ add }) => pairs(add)),
    remove: given.flatMap(({ remove }) => remove ?? []),
  }
}

function conditionsOf({ method, headers, queryParams }: RouteMatch): Conditions | null {
  if (method === undefined && !headers?.length && !queryParams?.length) return null
  return {
    method: method ?? '',
    headers: (headers ?? []).map(one => ({ name: one.name.toLowerCase(), match: valueMatch(one) })),
    query: (queryParams ?? []).map(one => ({ name: one.name, match: valueMatch(one) })),
  }
}

function valueMatch({ type, value }: NamedMatch): ValueMatch {
  if (type !== 'RegularExpression') return { kind: 'exact', value }
  try {
    return { kind: 'pattern', pattern: compilePattern(`^(?:${value})$`) }
  } catch {
    return { kind: 'exact', value }
  }
}

const UNITS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 }

/** `1m30s`, as GEP-2257 has durations. */
function durationMs(text: string | undefined): number {
  let total = 0
  for (const [, count, unit = ''] of (text ?? '').matchAll(/(\d{1,5})(h|ms|m|s)/g)) {
    total += Number(count) * (UNITS[unit] ?? 0)
  }
  return total
}
