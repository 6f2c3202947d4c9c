/** Which routes attach to which listeners of our Gateways, and why others do not: what compiling and status share. Pure. */
import { selects } from '../../kube/labels.ts'
import { doorOf, HTTP_DOOR, HTTPS_DOOR } from './doors.ts'
import {
  type AnyRoute,
  type BackendRef,
  GATEWAY_GROUP,
  type Gateway,
  type Listener,
  type ParentRef,
  type ReferenceGrant,
  type RouteKind,
  type RouteRule,
} from './gateway-types.ts'
import { intersectHosts } from './host-table.ts'
import { byAge, GATEWAY_CONTROLLER, type IngressSettings, nameOf, type World } from './world.ts'

export interface Verdict {
  readonly ok: boolean
  readonly reason: string
  readonly message: string
}

export interface AttachedListener {
  readonly listener: Listener
  /** Where nodes serve it; empty: nowhere. */
  readonly door: string
  readonly accepted: Verdict
  readonly conflicted: Verdict
  readonly references: Verdict
  /** Of kinds that it may and can have. */
  readonly kinds: readonly { readonly group: string; readonly kind: string }[]
  /** `namespace/name` of Secrets that it may use. */
  readonly certificates: readonly string[]
  attached: number
}

export interface AttachedGateway {
  readonly gateway: Gateway
  readonly listeners: readonly AttachedListener[]
}

export interface AttachedRoute {
  readonly kind: RouteKind
  readonly route: AnyRoute
  readonly parents: readonly {
    readonly ref: ParentRef
    readonly accepted: Verdict
    readonly references: Verdict
    /** Where it is served, and under which names. */
    readonly listeners: readonly { readonly listener: AttachedListener; readonly hosts: readonly string[] }[]
  }[]
}

export interface Attachments {
  readonly gateways: readonly AttachedGateway[]
  readonly routes: readonly AttachedRoute[]
}

const ok = (reason: string, message = ''): Verdict => ({ ok: true, reason, message })
const bad = (reason: string, message: string): Verdict => ({ ok: false, reason, message })

export type PortSettings = Pick<IngressSettings, 'httpPort' | 'httpsPort' | 'gatewayPorts'>

export function attachRoutes(world: World, settings: PortSettings): Attachments {
  const classes = new Set(
    world.gatewayClasses
      .filter(({ spec }) => spec?.controllerName === GATEWAY_CONTROLLER)
      .map(({ metadata }) => metadata.name),
  )
  const own = world.gateways.filter(({ spec, metadata }) => {
    return classes.has(spec?.gatewayClassName) && metadata.deletionTimestamp === undefined
  })
  const doors: Doors = new Map([
    [HTTP_DOOR, false],
    [HTTPS_DOOR, true],
  ])
  const gateways = own.sort(byAge).map(gateway => attachListeners(gateway, world, settings, doors))
  const byName = new Map(gateways.map(one => [nameOf(one.gateway), one]))
  const labels = new Map(world.namespaces.map(({ metadata }) => [metadata.name, metadata.labels ?? {}]))
  const taken: TakenHosts = new Map()
  const routes = allRoutes(world).flatMap(({ kind, route }) => {
    const parents = (route.spec?.parentRefs ?? []).flatMap(ref => {
      const gateway = isGateway(ref)
        ? byName.get(`${ref.namespace ?? route.metadata.namespace}/${ref.name}`)
        : undefined
      return gateway === undefined ? [] : [attachParent({ kind, route, ref, gateway, labels, world, taken })]
    })
    return parents.length === 0 ? [] : [{ kind, route, parents }]
  })
  return { gateways, routes }
}

/** Of the same age and name, HTTPRoutes come first. */
function allRoutes({ routes, grpcRoutes, tlsRoutes }: World): { kind: RouteKind; route: AnyRoute }[] {
  const all = [
    ...routes.map(route => ({ kind: 'HTTPRoute' as const, route })),
    ...grpcRoutes.map(route => ({ kind: 'GRPCRoute' as const, route })),
    ...tlsRoutes.map(route => ({ kind: 'TLSRoute' as const, route })),
  ]
  return all.sort((a, b) => byAge(a.route, b.route))
}

const isGateway = ({ group = GATEWAY_GROUP, kind = 'Gateway' }: ParentRef) =>
  group === GATEWAY_GROUP && kind === 'Gateway'

/** Whether there is TLS at a door, said by the oldest listener that has it. */
type Doors = Map<string, boolean>

const PROTOCOLS = ['HTTP', 'HTTPS', 'TLS']
/** Names in a handshake tell HTTPS from other TLS, so these two may share a port. */
const isSecure = (protocol: string): boolean => protocol !== 'HTTP'

function attachListeners(
  gateway: Gateway,
  { grants }: World,
  settings: PortSettings,
  doors: Doors,
): AttachedGateway {
  const listeners = gateway.spec?.listeners ?? []
  return {
    gateway,
    listeners: listeners.map(listener => {
      const clash = listeners.find(other => clashes(listener, other))
      const isOther = clash !== undefined && isSecure(clash.protocol) !== isSecure(listener.protocol)
      const conflicted =
        clash === undefined
          ? bad('NoConflicts', '')
          : ok(isOther ? 'ProtocolConflict' : 'HostnameConflict', `it clashes with ${clash.name}`)
      const door = doorOf(listener, settings)
      const accepted = conflicted.ok
        ? bad(conflicted.reason, conflicted.message)
        : listenerVerdict(listener, door, doors)
      const common = { listener, door: accepted.ok ? door : '', accepted, conflicted, attached: 0 }
      return { ...common, ...referencesOf(gateway, listener, grants) }
    }),
  }
}

const clashes = (one: Listener, other: Listener): boolean =>
  one !== other &&
  one.port === other.port &&
  (isSecure(one.protocol) !== isSecure(other.protocol) || (one.hostname ?? '') === (other.hostname ?? ''))

function listenerVerdict({ protocol, port }: Listener, door: string, doors: Doors): Verdict {
  if (!PROTOCOLS.includes(protocol))
    return bad('UnsupportedProtocol', `only HTTP, HTTPS and TLS are served, not ${protocol}`)
  if (door === '')
    return bad(
      'PortUnavailable',
      `Gateways may not have port ${port} for themselves; the parameter gateway-ports of the add-on ingress says which`,
    )
  const known = doors.get(door)
  if (known !== undefined && known !== isSecure(protocol))
    return bad('PortUnavailable', `port ${port} is there for ${known ? 'HTTPS and TLS' : 'HTTP'} already`)
  doors.set(door, isSecure(protocol))
  return ok('Accepted')
}

const KINDS: Readonly<Record<string, readonly RouteKind[]>> = {
  ...{ HTTP: ['HTTPRoute', 'GRPCRoute'], HTTPS: ['HTTPRoute', 'GRPCRoute'], TLS: ['TLSRoute'] },
}

function referencesOf(gateway: Gateway, listener: Listener, grants: readonly ReferenceGrant[]) {
  const possible = KINDS[listener.protocol] ?? []
  const wanted = listener.allowedRoutes?.kinds ?? possible.map(kind => ({ kind }))
  const isServed = ({ group = GATEWAY_GROUP, kind }: { group?: string; kind: string }) =>
    group === GATEWAY_GROUP && possible.some(one => one === kind)
  const kinds = wanted.filter(isServed).map(({ kind }) => ({ group: GATEWAY_GROUP, kind }))
  const references = wanted.every(isServed)
    ? ok('ResolvedRefs')
    : bad('InvalidRouteKinds', `${listener.protocol} serves ${possible.join(', ') || 'no routes'} only`)
  return { kinds, ...certificatesOf(gateway, listener, grants, references) }
}

/** Whether what comes is decrypted here. */
export const terminates = ({ protocol, tls }: Listener): boolean =>
  protocol === 'HTTPS' || (protocol === 'TLS' && (tls?.mode ?? 'Terminate') === 'Terminate')

function certificatesOf(
  gateway: Gateway,
  listener: Listener,
  grants: readonly ReferenceGrant[],
  before: Verdict,
) {
  const certificates: string[] = []
  if (!terminates(listener)) return { certificates, references: before }
  let references = before
  const own = gateway.metadata.namespace ?? ''
  const refs = listener.tls?.certificateRefs ?? []
  if (refs.length === 0 || (listener.tls?.mode ?? 'Terminate') !== 'Terminate') {
    references = bad('InvalidCertificateRef', 'HTTPS needs certificateRefs and the mode Terminate')
  }
  for (const { group = '', kind = 'Secret', name, namespace = own } of refs) {
    if (group !== '' || kind !== 'Secret') {
      references = bad('InvalidCertificateRef', `${kind} ${name} is no Secret`)
    } else if (
      namespace !== own &&
      !isGranted(grants, { kind: 'Gateway', namespace: own }, { kind, name, namespace })
    ) {
      references = bad('RefNotPermitted', `no ReferenceGrant in ${namespace} allows Secret ${name}`)
    } else certificates.push(`${namespace}/${name}`)
  }
  return { certificates, references }
}

export function isGranted(
  grants: readonly ReferenceGrant[],
  from: { readonly kind: string; readonly namespace: string },
  to: { readonly kind: string; readonly name: string; readonly namespace: string },
): boolean {
  return grants.some(
    ({ metadata, spec }) =>
      metadata.namespace === to.namespace &&
      spec?.from?.some(
        one => one.group === GATEWAY_GROUP && one.kind === from.kind && one.namespace === from.namespace,
      ) === true &&
      spec.to?.some(one => one.group === '' && one.kind === to.kind && (one.name ?? to.name) === to.name) ===
        true,
  )
}

interface Attaching {
  readonly kind: RouteKind
  readonly route: AnyRoute
  readonly ref: ParentRef
  readonly gateway: AttachedGateway
  readonly labels: ReadonlyMap<string | undefined, Record<string, string>>
  readonly world: World
  readonly taken: TakenHosts
}

/** The names that accepted routes of a kind have at a listener. */
type TakenHosts = Map<AttachedListener, Map<RouteKind, Set<string>>>

function attachParent(attaching: Attaching): AttachedRoute['parents'][number] {
  const { kind, route, ref, gateway: attached, labels, world } = attaching
  const { gateway, listeners } = attached
  const references = backendsVerdict(kind, route, world)
  const refuse = (accepted: Verdict) => ({ ref, accepted, references, listeners: [] })
  const named = listeners.filter(({ listener }) => {
    return (
      (ref.sectionName ?? listener.name) === listener.name && (ref.port ?? listener.port) === listener.port
    )
  })
  if (named.length === 0) return refuse(bad('NoMatchingParent', 'the Gateway has no such listener'))
  const namespace = route.metadata.namespace ?? ''
  const allowed = named.filter(({ listener, kinds, accepted }) => {
    const from = listener.allowedRoutes?.namespaces?.from ?? 'Same'
    if (!kinds.some(one => one.kind === kind) || !accepted.ok) return false
    if (from === 'All') return true
    if (from === 'Same') return namespace === gateway.metadata.namespace
    const selector = listener.allowedRoutes?.namespaces?.selector
    return (
      from === 'Selector' &&
      selector !== undefined &&
      selects(selector as Selector, labels.get(namespace) ?? {})
    )
  })
  if (allowed.length === 0)
    return refuse(bad('NotAllowedByListeners', `no listener takes ${kind}s of this namespace`))
  const served = allowed.flatMap(listener => {
    const own = route.spec?.hostnames?.length ? route.spec.hostnames : ['']
    const hosts = own.flatMap(host => intersectHosts(listener.listener.hostname ?? '', host) ?? [])
    return hosts.length === 0 ? [] : [{ listener, hosts }]
  })
  if (served.length === 0) {
    return refuse(bad('NoMatchingListenerHostname', 'no listener has any of the hostnames'))
  }
  const unknown = (route.spec?.rules ?? [])
    .flatMap(({ filters }) => filters ?? [])
    .find(({ type }) => !FILTERS[kind].includes(type))
  if (unknown !== undefined)
    return refuse(bad('UnsupportedValue', `the filter ${unknown.type} is not served`))
  const free = served.filter(one => !isTaken(kind, one, attaching.taken))
  if (free.length === 0) {
    const message = 'an older route of another kind has one of the hostnames at the same listener'
    return refuse(bad('HostnameConflict', message))
  }
  for (const one of free) take(kind, one, attaching.taken)
  return { ref, accepted: ok('Accepted'), references, listeners: free }
}

type Served = AttachedRoute['parents'][number]['listeners'][number]

/** HTTPRoutes and GRPCRoutes do not share a name: of two, the older one is served. */
function isTaken(kind: RouteKind, { listener, hosts }: Served, taken: TakenHosts): boolean {
  for (const [other, names] of taken.get(listener) ?? []) {
    if (other === kind) continue
    for (const name of names) if (hosts.some(host => intersectHosts(name, host) !== null)) return true
  }
  return false
}

function take(kind: RouteKind, { listener, hosts }: Served, taken: TakenHosts): void {
  listener.attached += 1
  const kinds = taken.get(listener) ?? new Map<RouteKind, Set<string>>()
  taken.set(listener, kinds)
  kinds.set(kind, (kinds.get(kind) ?? new Set()).union(new Set(hosts)))
}

type Selector = Parameters<typeof selects>[0]

const COMMON_FILTERS = ['RequestHeaderModifier', 'ResponseHeaderModifier', 'RequestMirror']
const FILTERS: Readonly<Record<RouteKind, readonly string[]>> = {
  HTTPRoute: [...COMMON_FILTERS, 'RequestRedirect', 'URLRewrite'],
  GRPCRoute: COMMON_FILTERS,
  TLSRoute: [],
}

function backendsVerdict(kind: RouteKind, route: AnyRoute, world: World): Verdict {
  for (const ref of (route.spec?.rules ?? []).flatMap(refsOf)) {
    const verdict = backendVerdict({ kind, metadata: route.metadata }, ref, world)
    if (!verdict.ok) return verdict
  }
  return ok('ResolvedRefs')
}

const refsOf = ({ backendRefs, filters }: Pick<RouteRule, 'backendRefs' | 'filters'>): BackendRef[] => [
  ...(backendRefs ?? []),
  ...(filters ?? []).flatMap(({ requestMirror }) => requestMirror?.backendRef ?? []),
]

export function backendVerdict(
  { kind: from, metadata }: { readonly kind: RouteKind; readonly metadata: AnyRoute['metadata'] },
  { group = '', kind = 'Service', name, namespace = metadata.namespace ?? '', port }: BackendRef,
  { services, grants }: Pick<World, 'services' | 'grants'>,
): Verdict {
  const own = metadata.namespace ?? ''
  if (group !== '' || kind !== 'Service') return bad('InvalidKind', `${kind} ${name} is no Service`)
  if (namespace !== own && !isGranted(grants, { kind: from, namespace: own }, { kind, name, namespace })) {
    return bad('RefNotPermitted', `no ReferenceGrant in ${namespace} allows Service ${name}`)
  }
  const service = services.find(one => one.metadata.name === name && one.metadata.namespace === namespace)
  if (service === undefined) return bad('BackendNotFound', `there is no Service ${namespace}/${name}`)
  if (service.spec?.type === 'ExternalName')
    return bad('InvalidKind', `Service ${namespace}/${name} is a name outside, to which no Gateway leads`)
  const has = service.spec?.ports?.some(one => one.port === port) === true
  return has ? ok('ResolvedRefs') : bad('BackendNotFound', `Service ${namespace}/${name} has no port ${port}`)
}
