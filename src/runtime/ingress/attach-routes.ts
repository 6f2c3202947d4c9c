/** Which routes attach to which listeners of our Gateways, and why others do not: what compiling and status share. Pure. */
import { selects } from '../../kube/labels.ts'
import {
  type BackendRef,
  GATEWAY_GROUP,
  type Gateway,
  type HttpRoute,
  type Listener,
  type ParentRef,
  type ReferenceGrant,
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
  readonly route: HttpRoute
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

export function attachRoutes(
  world: World,
  settings: Pick<IngressSettings, 'httpPort' | 'httpsPort'>,
): Attachments {
  const classes = new Set(
    world.gatewayClasses
      .filter(({ spec }) => spec?.controllerName === GATEWAY_CONTROLLER)
      .map(({ metadata }) => metadata.name),
  )
  const own = world.gateways.filter(({ spec, metadata }) => {
    return classes.has(spec?.gatewayClassName) && metadata.deletionTimestamp === undefined
  })
  const gateways = own.sort(byAge).map(gateway => attachListeners(gateway, world, settings))
  const byName = new Map(gateways.map(one => [nameOf(one.gateway), one]))
  const labels = new Map(world.namespaces.map(({ metadata }) => [metadata.name, metadata.labels ?? {}]))
  const routes = [...world.routes].sort(byAge).flatMap(route => {
    const parents = (route.spec?.parentRefs ?? []).flatMap(ref => {
      const gateway = isGateway(ref)
        ? byName.get(`${ref.namespace ?? route.metadata.namespace}/${ref.name}`)
        : undefined
      return gateway === undefined ? [] : [attachParent(route, ref, gateway, labels, world)]
    })
    return parents.length === 0 ? [] : [{ route, parents }]
  })
  return { gateways, routes }
}

const isGateway = ({ group = GATEWAY_GROUP, kind = 'Gateway' }: ParentRef) =>
  group === GATEWAY_GROUP && kind === 'Gateway'

/** What each protocol's listeners may have as their port: the usual one, or the node's. */
function attachListeners(
  gateway: Gateway,
  { grants }: World,
  { httpPort, httpsPort }: Pick<IngressSettings, 'httpPort' | 'httpsPort'>,
): AttachedGateway {
  const listeners = gateway.spec?.listeners ?? []
  const ports: Readonly<Record<string, readonly number[]>> = { HTTP: [80, httpPort], HTTPS: [443, httpsPort] }
  return {
    gateway,
    listeners: listeners.map(listener => {
      const clash = listeners.find(
        other =>
          other !== listener &&
          other.port === listener.port &&
          (other.protocol !== listener.protocol || (other.hostname ?? '') === (listener.hostname ?? '')),
      )
      const reason = clash?.protocol === listener.protocol ? 'HostnameConflict' : 'ProtocolConflict'
      const conflicted =
        clash === undefined ? bad('NoConflicts', '') : ok(reason, `it clashes with ${clash.name}`)
      const possible = ports[listener.protocol]
      const accepted =
        possible === undefined
          ? bad('UnsupportedProtocol', `only HTTP and HTTPS are served, not ${listener.protocol}`)
          : clash !== undefined
            ? bad(reason, conflicted.message)
            : possible.includes(listener.port)
              ? ok('Accepted')
              : bad('PortUnavailable', `${listener.protocol} is served on port ${possible.join(' or ')}`)
      return { listener, accepted, conflicted, attached: 0, ...referencesOf(gateway, listener, grants) }
    }),
  }
}

function referencesOf(gateway: Gateway, listener: Listener, grants: readonly ReferenceGrant[]) {
  const wanted = listener.allowedRoutes?.kinds ?? [{ kind: 'HTTPRoute' }]
  const isServed = ({ group = GATEWAY_GROUP, kind }: { group?: string; kind: string }) =>
    group === GATEWAY_GROUP && kind === 'HTTPRoute'
  const kinds = wanted.some(isServed) ? [{ group: GATEWAY_GROUP, kind: 'HTTPRoute' }] : []
  const certificates: string[] = []
  let references = wanted.every(isServed)
    ? ok('ResolvedRefs')
    : bad('InvalidRouteKinds', 'only HTTPRoutes of gateway.networking.k8s.io are served')
  if (listener.protocol !== 'HTTPS') return { kinds, certificates, references }
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
  return { kinds, certificates, references }
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

function attachParent(
  route: HttpRoute,
  ref: ParentRef,
  { gateway, listeners }: AttachedGateway,
  labels: ReadonlyMap<string | undefined, Record<string, string>>,
  world: World,
): AttachedRoute['parents'][number] {
  const references = backendsVerdict(route, world)
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
    if (kinds.length === 0 || !accepted.ok) return false
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
    return refuse(bad('NotAllowedByListeners', 'no listener takes routes of this namespace'))
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
    .find(({ type }) => !FILTERS.has(type))
  if (unknown !== undefined)
    return refuse(bad('UnsupportedValue', `the filter ${unknown.type} is not served`))
  for (const { listener } of served) listener.attached += 1
  return { ref, accepted: ok('Accepted'), references, listeners: served }
}

type Selector = Parameters<typeof selects>[0]

const FILTERS = new Set([
  ...['RequestHeaderModifier', 'ResponseHeaderModifier', 'RequestRedirect', 'URLRewrite', 'RequestMirror'],
])

function backendsVerdict(route: HttpRoute, world: World): Verdict {
  for (const ref of (route.spec?.rules ?? []).flatMap(refsOf)) {
    const verdict = backendVerdict(route, ref, world)
    if (!verdict.ok) return verdict
  }
  return ok('ResolvedRefs')
}

const refsOf = ({ backendRefs, filters }: RouteRule): BackendRef[] => [
  ...(backendRefs ?? []),
  ...(filters ?? []).flatMap(({ requestMirror }) => requestMirror?.backendRef ?? []),
]

export function backendVerdict(
  { metadata }: HttpRoute,
  { group = '', kind = 'Service', name, namespace = metadata.namespace ?? '', port }: BackendRef,
  { services, grants }: Pick<World, 'services' | 'grants'>,
): Verdict {
  const own = metadata.namespace ?? ''
  if (group !== '' || kind !== 'Service') return bad('InvalidKind', `${kind} ${name} is no Service`)
  if (
    namespace !== own &&
    !isGranted(grants, { kind: 'HTTPRoute', namespace: own }, { kind, name, namespace })
  ) {
    return bad('RefNotPermitted', `no ReferenceGrant in ${namespace} allows Service ${name}`)
  }
  const service = services.find(one => one.metadata.name === name && one.metadata.namespace === namespace)
  if (service === undefined) return bad('BackendNotFound', `there is no Service ${namespace}/${name}`)
  const has = service.spec?.ports?.some(one => one.port === port) === true
  return has ? ok('ResolvedRefs') : bad('BackendNotFound', `Service ${namespace}/${name} has no port ${port}`)
}
