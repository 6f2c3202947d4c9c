/** The compiled routes, and which of them a request takes. Pure. */
import { cidrContains, parseAddress } from '../../kube/cidr.ts'
import { networksOf } from './annotations.ts'
import { type CompiledDoors, compileGateways, type StreamListener } from './compile-gateway.ts'
import { type CompiledIngresses, compileIngresses } from './compile-ingress.ts'
import { type DoorPlan, HTTP_DOOR, HTTPS_DOOR } from './doors.ts'
import { type Endpoint, ServicePools } from './pools.ts'
import type { Backend, Canary, Conditions, Route, ValueMatch } from './route.ts'
import type { IngressSettings, World } from './world.ts'

export interface RoutingTable {
  readonly ingresses: CompiledIngresses
  readonly doors: CompiledDoors
  readonly pools: ReadonlyMap<string, readonly Endpoint[]>
}

export interface Asked {
  /** Where it came in. */
  readonly door: string
  readonly scheme: 'http' | 'https'
  readonly host: string
  readonly path: string
  readonly query: string
  readonly method: string
  /** By names in small letters; several values are one with commas. */
  readonly header: (name: string) => string | undefined
}

export function compileRouting(world: World, settings: IngressSettings): RoutingTable {
  const pools = new ServicePools(world.services, world.slices, {
    loopbackPods: networksOf(settings.loopbackPods) ?? [],
    clusterDomain: settings.clusterDomain,
  })
  const ingresses = compileIngresses(world, pools, settings)
  const doors = compileGateways(world, pools, settings)
  for (const { host, secret } of ingresses.certificates) {
    doors.get(HTTPS_DOOR)?.certificates.at(host, () => secret)
  }
  return { ingresses, doors, pools: pools.pools }
}

/** Besides those that are always there. */
export const ownDoors = ({ doors }: RoutingTable): DoorPlan[] =>
  [...doors]
    .filter(([key]) => key !== HTTP_DOOR && key !== HTTPS_DOOR)
    .map(([key, { isSecure }]) => ({ key, port: Number(key), isSecure }))

/** Who takes a connection with a handshake for this name; null: it is HTTPS. Names of Ingresses are not hidden. */
export function matchStream(
  { doors, ingresses }: RoutingTable,
  key: string,
  name: string,
): StreamListener | null {
  const door = doors.get(key)
  if (door === undefined || !door.hasStreams) return null
  const found = door.streams.find(name, true)[0] ?? null
  if (found === null || found.hostname === name || key !== HTTPS_DOOR) return found
  const [named] = ingresses.hosts.find(name, false)
  const isNamed = named !== undefined && named !== ingresses.hosts.find('', false)[0]
  return isNamed ? null : found
}

/**
 * An Ingress whose host is named is asked before listeners of Gateways; what only rules for every host would take goes
 * to a listener first. The most specific host of Ingresses alone decides, as with nginx.
 */
export function matchRoute(table: RoutingTable, asked: Asked): Route | null {
  if (asked.door !== HTTP_DOOR && asked.door !== HTTPS_DOOR)
    return matchGateway(table.doors, asked.door, asked)
  const named = table.ingresses.hosts.find(asked.host, false)
  const [best] = named
  const forAll = table.ingresses.hosts.find('', false)[0]
  if (best !== undefined && best !== forAll)
    return firstMatch(best.find(asked.path), asked) ?? table.ingresses.fallback
  // A proxy in front that is believed says whether the client came with TLS.
  const route = matchGateway(table.doors, asked.scheme === 'https' ? HTTPS_DOOR : HTTP_DOOR, asked)
  if (route !== null) return route
  return (
    (forAll === undefined ? null : firstMatch(forAll.find(asked.path), asked)) ?? table.ingresses.fallback
  )
}

/** The most specific listener alone decides, and in it the most specific name of a route that has a rule for this. */
function matchGateway(doors: CompiledDoors, door: string, asked: Asked): Route | null {
  const listener = doors.get(door)?.routes.find(asked.host, true)[0]
  for (const paths of listener?.find(asked.host, true) ?? []) {
    const route = firstMatch(paths.find(asked.path), asked)
    if (route !== null) return route
  }
  return null
}

function firstMatch(routes: Iterable<Route>, asked: Asked): Route | null {
  for (const route of routes) if (fits(route.conditions, asked)) return route
  return null
}

function fits(conditions: Conditions | null, asked: Asked): boolean {
  if (conditions === null) return true
  const { method, headers, query } = conditions
  if (method !== '' && method !== asked.method) return false
  if (!headers.every(({ name, match }) => valueFits(match, asked.header(name)))) return false
  if (query.length === 0) return true
  const given = new URLSearchParams(asked.query)
  return query.every(({ name, match }) => valueFits(match, given.get(name) ?? undefined))
}

function valueFits(match: ValueMatch, value: string | undefined): boolean {
  if (value === undefined) return false
  if (match.kind === 'any') return true
  return match.kind === 'exact' ? match.value === value : match.pattern.matcher(value).find()
}

export function mayAsk({ sources }: Route, address: string): boolean {
  if (sources === null) return true
  const parsed = parseAddress(address)
  return parsed !== null && sources.some(cidr => cidrContains(cidr, parsed))
}

/** The header decides before the cookie, and that one before the weight; `chance` is in [0, 1). */
export function backendsFor(route: Route, asked: Asked, chance: number): readonly Backend[] {
  for (const canary of route.canaries) {
    if (takesCanary(canary, asked, chance)) return canary.backends
  }
  return route.backends
}

function takesCanary(canary: Canary, asked: Asked, chance: number): boolean {
  const header = canary.header === '' ? undefined : asked.header(canary.header)
  if (header !== undefined) {
    if (canary.headerValue !== null) {
      if (valueFits(canary.headerValue, header)) return true
    } else if (header === 'always' || header === 'never') return header === 'always'
  }
  const cookie = canary.cookie === '' ? undefined : cookieOf(asked.header('cookie') ?? '', canary.cookie)
  if (cookie === 'always' || cookie === 'never') return cookie === 'always'
  return chance * canary.weightTotal < canary.weight
}

function cookieOf(header: string, name: string): string | undefined {
  for (const item of header.split(';')) {
    const at = item.indexOf('=')
    if (at > 0 && item.slice(0, at).trim() === name) return item.slice(at + 1).trim()
  }
  return undefined
}

/** By weight; null when none has any. */
export function pickBackend(backends: readonly Backend[], chance: number): Backend | null {
  const total = backends.reduce((sum, { weight }) => sum + weight, 0)
  let left = chance * total
  for (const backend of backends) {
    left -= backend.weight
    if (left < 0) return backend
  }
  return null
}
