/** Attached routes by door, listener, host and path, by the Gateway API's precedence. Pure. */
import { type AttachedRoute, attachRoutes, backendVerdict, terminates } from './attach-routes.ts'
import { HTTP_DOOR, HTTPS_DOOR } from './doors.ts'
import type {
  AnyRoute,
  BackendRef,
  Filter,
  GrpcMatch,
  GrpcRoute,
  HeaderFilter,
  HttpRoute,
  Listener,
  NamedMatch,
  PathModifier,
  RouteKind,
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

/** A listener of the protocol TLS: connections as a whole. */
export interface StreamListener {
  readonly hostname: string
  readonly terminates: boolean
  readonly routes: HostTable<StreamRoute>
}

export interface StreamRoute {
  readonly owner: string
  readonly backends: readonly Backend[]
}

export interface CompiledDoor {
  readonly isSecure: boolean
  readonly routes: HostTable<ListenerRoutes>
  /** Names of Secrets. */
  readonly certificates: HostTable<string>
  /** By the name of a handshake; null: HTTPS. Empty unless there is a listener of the protocol TLS. */
  readonly streams: HostTable<StreamListener | null>
  hasStreams: boolean
}

/** The shared ones are always there. */
export type CompiledDoors = ReadonlyMap<string, CompiledDoor>

/** One match of one rule, and where it belongs. */
interface Entry {
  readonly door: CompiledDoor
  readonly listener: string
  readonly host: string
  readonly match: RouteMatch
  readonly route: Route
  readonly order: number
}

interface Refers {
  readonly kind: RouteKind
  readonly route: AnyRoute
  readonly world: World
  readonly pools: ServicePools
}

export function compileGateways(world: World, pools: ServicePools, settings: IngressSettings): CompiledDoors {
  const { gateways, routes } = attachRoutes(world, settings)
  const doors = new Map([
    [HTTP_DOOR, newDoor(false)],
    [HTTPS_DOOR, newDoor(true)],
  ])
  for (const { listener, door, certificates } of gateways.flatMap(({ listeners }) => listeners)) {
    if (door === '') continue
    const known = doors.get(door) ?? newDoor(listener.protocol !== 'HTTP')
    doors.set(door, known)
    addListener(known, listener, certificates)
  }
  const entries = routes.flatMap((attached, order) => entriesAt(attached, order, doors, world, pools))
  // The sort keeps the order of rules; oldest routes first.
  for (const entry of entries.sort((a, b) => weightOf(b.match) - weightOf(a.match) || a.order - b.order)) {
    place(
      entry.door.routes.at(entry.listener, () => new HostTable()),
      entry,
    )
  }
  return doors
}

const newDoor = (isSecure: boolean): CompiledDoor => ({
  ...{ isSecure, hasStreams: false },
  ...{ routes: new HostTable(), certificates: new HostTable(), streams: new HostTable() },
})

function addListener(door: CompiledDoor, listener: Listener, certificates: readonly string[]): void {
  const { hostname = '', protocol } = listener
  const [certificate] = certificates
  if (certificate !== undefined) door.certificates.at(hostname, () => certificate)
  if (protocol === 'TLS') {
    door.hasStreams = true
    door.streams.at(hostname, () => ({ hostname, terminates: terminates(listener), routes: new HostTable() }))
    return
  }
  door.routes.at(hostname, () => new HostTable())
  if (protocol === 'HTTPS') door.streams.at(hostname, () => null)
}

function entriesAt(
  { kind, route, parents }: AttachedRoute,
  order: number,
  doors: CompiledDoors,
  world: World,
  pools: ServicePools,
): Entry[] {
  const refers = { kind, route, world, pools }
  return parents
    .flatMap(({ listeners }) => listeners)
    .flatMap(({ listener: { listener, door: key }, hosts }) => {
      const door = doors.get(key)
      if (door === undefined) return []
      const hostname = listener.hostname ?? ''
      if (kind === 'TLSRoute') {
        addStream(
          door.streams.at(hostname, () => null),
          hosts,
          refers,
        )
        return []
      }
      const common = { door, listener: hostname, order }
      return hosts.flatMap(host => entriesOf(refers).map(entry => ({ ...common, host, ...entry })))
    })
}

function addStream(listener: StreamListener | null, hosts: readonly string[], refers: Refers): void {
  const backends = (refers.route.spec?.rules ?? [])
    .flatMap(({ backendRefs }) => backendRefs ?? [])
    .map(ref => backendOf(refers, ref))
  const route = { owner: `TLSRoute ${nameOf(refers.route)}`, backends }
  for (const host of hosts) listener?.routes.at(host, () => route)
}

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

function entriesOf(refers: Refers): { match: RouteMatch; route: Route }[] {
  return rulesOf(refers).flatMap(rule => {
    const matches = rule.matches?.length ? rule.matches : [{}]
    const common = renderRule(refers, rule)
    return matches.map(match => ({
      match,
      route: { ...common, ...pathChanges(rule, match), conditions: conditionsOf(match) },
    }))
  })
}

function rulesOf({ kind, route }: Refers): readonly RouteRule[] {
  if (kind !== 'GRPCRoute') return (route as HttpRoute).spec?.rules ?? [{}]
  const rules = (route as GrpcRoute).spec?.rules ?? [{}]
  return rules.map(({ matches, ...rule }) => ({ ...rule, matches: (matches ?? []).map(httpMatch) }))
}

/** A call of gRPC is a request to `/service/method`. */
function httpMatch({ method, headers = [] }: GrpcMatch): RouteMatch {
  const { type = 'Exact', service = '', method: name = '' } = method ?? {}
  if (service === '' && name === '') return { headers }
  if (type === 'Exact' && service !== '') {
    const path = name === '' ? `/${service}` : `/${service}/${name}`
    return { headers, path: { type: name === '' ? 'PathPrefix' : 'Exact', value: path } }
  }
  const whole = (text: string) => {
    if (text === '') return '[^/]+'
    return type === 'Exact' ? text.replaceAll('.', '\\.') : `(?:${text})`
  }
  // Names of gRPC are told by large and small letters too.
  const value = `(?-i)/${whole(service)}/${whole(name)}$`
  return { headers, path: { type: 'RegularExpression', value } }
}

function renderRule(refers: Refers, rule: RouteRule): Route {
  const filters = rule.filters ?? []
  const backend = (ref: BackendRef) => backendOf(refers, ref)
  const requestMs = durationMs(rule.timeouts?.request)
  return {
    ...PLAIN_ROUTE,
    owner: `${refers.kind} ${nameOf(refers.route)}`,
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
function backendOf({ kind, route, world, pools }: Refers, ref: BackendRef): Backend {
  const { metadata } = route
  const namespace = ref.namespace ?? metadata.namespace ?? ''
  const isGood = backendVerdict({ kind, metadata }, ref, world).ok
  const found = isGood && ref.port !== undefined ? pools.find(namespace, ref.name, ref.port) : null
  const said = found?.protocol ?? 'http'
  const framed = said === 'https' || said === 'h2' ? 'h2' : 'h2c'
  return {
    pool: found?.pool ?? '',
    protocol: kind === 'GRPCRoute' ? framed : said,
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
