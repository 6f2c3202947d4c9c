/** Ingresses as routes by host and path, by upstream's precedence. Pure. */
import type { Ingress, IngressClass } from '../../kube/types.ts'
import { type IngressSettings as Annotations, canaryOf, settingsOf } from './annotations.ts'
import { HostTable } from './host-table.ts'
import { compilePattern, PathTable } from './path-table.ts'
import type { ServicePools } from './pools.ts'
import { type Backend, type PathRewrite, PLAIN_ROUTE, type Route } from './route.ts'
import { byAge, INGRESS_CONTROLLER, type IngressSettings, nameOf, type World } from './world.ts'

export type IngressPaths = PathTable<Route>

export interface CompiledIngresses {
  readonly hosts: HostTable<IngressPaths>
  /** Of the oldest Ingress that has one. */
  readonly fallback: Route | null
  /** `namespace/name` of Secrets by host; an empty name is the default certificate. */
  readonly certificates: readonly { readonly host: string; readonly secret: string }[]
}

type IngressPath = NonNullable<
  NonNullable<NonNullable<NonNullable<Ingress['spec']>['rules']>[number]['http']>['paths']
>[number]
type IngressBackend = IngressPath['backend']

const CLASS_ANNOTATION = 'kubernetes.io/ingress.class'
const DEFAULT_CLASS = 'ingressclass.kubernetes.io/is-default-class'

/** Those that are ours to serve, the oldest first. */
export function ownIngresses({
  ingresses,
  ingressClasses,
}: Pick<World, 'ingresses' | 'ingressClasses'>): Ingress[] {
  const own = ingressClasses.filter(({ spec }) => spec?.controller === INGRESS_CONTROLLER)
  const names = new Set(own.map(({ metadata }) => metadata.name))
  const isDefault = own.some(isDefaultClass)
  const isOwn = ({ metadata, spec }: Ingress) => {
    const name = spec?.ingressClassName ?? metadata.annotations?.[CLASS_ANNOTATION]
    return metadata.deletionTimestamp === undefined && (name ? names.has(name) : isDefault)
  }
  return ingresses.filter(isOwn).sort(byAge)
}

const isDefaultClass = ({ metadata }: IngressClass) => metadata.annotations?.[DEFAULT_CLASS] === 'true'

export function compileIngresses(
  world: World,
  pools: ServicePools,
  settings: IngressSettings,
): CompiledIngresses {
  const compiler = new IngressCompiler(pools, settings)
  const own = ownIngresses(world).map(ingress => ({ ingress, annotations: settingsOf(ingress) }))
  for (const { ingress, annotations } of own) if (!annotations.isCanary) compiler.add(ingress, annotations)
  for (const { ingress, annotations } of own)
    if (annotations.isCanary) compiler.addCanary(ingress, annotations)
  return compiler
}

class IngressCompiler implements CompiledIngresses {
  readonly hosts = new HostTable<IngressPaths>()
  readonly certificates: { host: string; secret: string }[] = []
  fallback: Route | null = null
  readonly #pools: ServicePools
  readonly #settings: IngressSettings
  /** By host, path type and path: the first one has it, and canaries find it. */
  readonly #taken = new Map<string, Route>()

  constructor(pools: ServicePools, settings: IngressSettings) {
    this.#pools = pools
    this.#settings = settings
  }

  add(ingress: Ingress, annotations: Annotations): void {
    const { namespace = '' } = ingress.metadata
    const secured = new Set<string>()
    for (const { hosts, secretName } of ingress.spec?.tls ?? []) {
      for (const host of hosts?.length ? hosts : ['']) {
        secured.add(host)
        if (secretName) this.certificates.push({ host, secret: `${namespace}/${secretName}` })
      }
    }
    const isSecured = (host: string) =>
      secured.has(host) || secured.has('') || secured.has(host.replace(/^[^.]+/, '*'))
    for (const { host = '', http } of ingress.spec?.rules ?? []) {
      for (const path of http?.paths ?? []) {
        this.#addPath({ ingress, annotations, host, path, isSecured: isSecured(host) })
      }
    }
    const backend = ingress.spec?.defaultBackend
    if (backend === undefined) return
    const route = this.#route({ ingress, annotations, isSecured: secured.has(''), backend })
    const hasRules = (ingress.spec?.rules ?? []).length > 0
    if (!hasRules) this.fallback ??= route
    // What no path of its own hosts takes is its own default backend's.
    for (const { host = '' } of ingress.spec?.rules ?? []) {
      this.#place(host, { pathType: 'Prefix', path: '/' }, route)
    }
  }

  addCanary(ingress: Ingress, annotations: Annotations): void {
    for (const { host = '', http } of ingress.spec?.rules ?? []) {
      for (const path of http?.paths ?? []) {
        const main = this.#taken.get(placeOf(host, path))
        const backends = this.#backendsOf(ingress, path.backend, annotations)
        main?.canaries.push({ ...canaryOf(ingress), backends })
      }
    }
  }

  #addPath(place: {
    readonly ingress: Ingress
    readonly annotations: Annotations
    readonly host: string
    readonly path: IngressPath
    readonly isSecured: boolean
  }): void {
    const { annotations, path, host } = place
    const text = path.path || '/'
    const isPattern = annotations.usesPatterns && path.pathType !== 'Exact' && /[()[\]*+?|^$\\{}]/.test(text)
    const rewrite = rewriteOf(annotations, text, isPattern)
    const route = { ...this.#route({ ...place, backend: path.backend }), rewrite }
    this.#place(host, path, route, isPattern)
  }

  #place(host: string, path: Pick<IngressPath, 'path' | 'pathType'>, route: Route, isPattern = false): void {
    const key = placeOf(host, path)
    if (this.#taken.has(key)) return
    const table = this.hosts.at(host, () => new PathTable())
    const text = path.path || '/'
    if (path.pathType === 'Exact') table.addExact(text, route)
    else if (!isPattern) table.addPrefix(text, route)
    else {
      try {
        table.addPattern(text, route)
      } catch {
        return
      }
    }
    this.#taken.set(key, route)
  }

  #route(of: {
    readonly ingress: Ingress
    readonly annotations: Annotations
    readonly isSecured: boolean
    readonly backend: IngressBackend
  }): Route {
    const { annotations, ingress, isSecured } = of
    return {
      ...PLAIN_ROUTE,
      owner: `Ingress ${nameOf(ingress)}`,
      sources: annotations.sources,
      redirectsToHttps: annotations.forceSslRedirect || (annotations.sslRedirect && isSecured),
      host: annotations.host,
      backends: this.#backendsOf(ingress, of.backend, annotations),
      canaries: [],
      bodyBytesMax: annotations.bodyBytesMax ?? this.#settings.bodyBytesMax,
      connectMs: annotations.connectMs,
      readMs: annotations.readMs,
    }
  }

  #backendsOf({ metadata }: Ingress, { service }: IngressBackend, { protocol }: Annotations): Backend[] {
    const port = service?.port?.number ?? service?.port?.name
    const nothing = { pool: '', protocol, weight: 1, status: 503, requestHeaders: null }
    if (service === undefined || port === undefined) return [nothing]
    const found = this.#pools.find(metadata.namespace ?? '', service.name, port)
    return [{ ...nothing, pool: found?.pool ?? '' }]
  }
}

const placeOf = (host: string, { path, pathType }: Pick<IngressPath, 'path' | 'pathType'>): string =>
  `${host} ${pathType === 'Exact' ? 'Exact' : 'Prefix'} ${path || '/'}`

function rewriteOf({ rewriteTarget }: Annotations, path: string, isPattern: boolean): PathRewrite | null {
  if (rewriteTarget === '') return null
  if (!isPattern) return { kind: 'whole', path: rewriteTarget }
  try {
    return { kind: 'groups', pattern: compilePattern(path), template: rewriteTarget }
  } catch {
    return null
  }
}
