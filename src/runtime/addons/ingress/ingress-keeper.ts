/**
 * What the leader does for routing while the add-on `ingress` is enabled: lets nodes read the certificates that routes
 * name, and tells Ingresses, Gateways and HTTPRoutes how they do.
 */
import { isDeepStrictEqual } from 'node:util'
import { type BackoffConfig, backoffMs } from '../../../base/backoff.ts'
import type { Clock } from '../../../base/clock.ts'
import type { Component, Health } from '../../../base/component.ts'
import { eachAtOnce } from '../../../base/each-at-once.ts'
import { messageOf } from '../../../base/errors.ts'
import type { Log } from '../../../base/log.ts'
import type { Random } from '../../../base/random.ts'
import { WakingLoop } from '../../../base/waking-loop.ts'
import { EventRecorder } from '../../../client/event-recorder.ts'
import { Informer, keyOf } from '../../../client/informer.ts'
import { isConflict, isNotFound, KubeClient } from '../../../client/kube-client.ts'
import { CONFIG_MAPS, NODES, type ResourceRef, SECRETS } from '../../../client/resources.ts'
import type { Transport } from '../../../client/transport.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { formatTime } from '../../../kube/time.ts'
import type { Ingress, Node, Secret } from '../../../kube/types.ts'
import { attachRoutes } from '../../ingress/attach-routes.ts'
import { ownIngresses } from '../../ingress/compile-ingress.ts'
import { parseClosedPorts } from '../../ingress/doors.ts'
import {
  CERTIFICATE_LIST,
  CERTIFICATE_ROLE,
  referencedCertificates,
} from '../../ingress/referenced-certificates.ts'
import {
  nodeAddresses,
  renderClassStatus,
  renderGatewayStatus,
  renderIngressStatus,
  renderRouteStatus,
  type StatusFacts,
} from '../../ingress/status.ts'
import {
  GATEWAY_CONTROLLER,
  nameOf,
  WORLD_KINDS,
  WORLD_RESOURCES,
  type World,
  type WorldKind,
} from '../../ingress/world.ts'
import { ADDONS, type Addon, isEnabled, NAME_LABEL, type NodeReport } from '../addon-object.ts'
import { namesByNamespace, renderAccess, renderCertificateList } from './certificate-access.ts'
import { INGRESS_ADDON, ingressSettings } from './ingress-settings.ts'
import {
  isYoung,
  servicesByName,
  TLS_TYPE,
  type WarningFacts,
  warningsOf,
  YOUNG_MS,
} from './ingress-warnings.ts'

export interface IngressKeeperParts {
  /** Speaks as a member of system:masters. */
  readonly transport: Transport
  readonly clock: Clock
  readonly random: Random
  readonly term: number
  readonly log: Log
}

const SETTLE_MS = 100
/** Everything is looked at again so often, although changes are watched. */
const LOOK_MS = 300_000
const RETRY: BackoffConfig = { baseMs: 500, maxMs: 30_000 }
const WRITES_AT_ONCE = 8
const FIELD_MANAGER = 'mk8s-ingress'
const ROLES: ResourceRef = {
  group: 'rbac.authorization.k8s.io',
  version: 'v1',
  resource: 'roles',
  namespaced: true,
}
const BINDINGS: ResourceRef = { ...ROLES, resource: 'rolebindings' }

export function createIngressKeeper(parts: IngressKeeperParts): Component {
  return new IngressKeeper(parts)
}

class IngressKeeper implements Component {
  readonly name = 'ingress'
  readonly #parts: IngressKeeperParts
  readonly #client: KubeClient
  readonly #addons: Informer<Addon>
  readonly #stopping = new AbortController()
  #following: Following | null = null

  constructor(parts: IngressKeeperParts) {
    this.#parts = parts
    const { clock, random, log, transport, term } = parts
    this.#client = new KubeClient(transport, { userAgent: 'mk8s/ingress', term })
    const fieldSelector = `metadata.name=${INGRESS_ADDON}`
    this.#addons = new Informer<Addon>({
      client: this.#client,
      resource: ADDONS,
      fieldSelector,
      clock,
      random,
      log,
    })
  }

  async prepare(): Promise<void> {}

  async start(): Promise<void> {
    this.#addons.onChange(() => this.#follow())
    this.#addons.start(this.#stopping.signal)
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#following?.stop()
  }

  health(): Health {
    return { ok: true, reason: this.#following?.problem ?? '' }
  }

  #follow(): void {
    if (this.#stopping.signal.aborted) return
    const addon = this.#addons.get(INGRESS_ADDON)
    if (addon !== undefined && isEnabled(addon)) {
      this.#following ??= new Following(this.#parts, this.#client, () => this.#addons.get(INGRESS_ADDON))
      this.#following.look()
      return
    }
    const before = this.#following
    this.#following = null
    void before?.stop().then(() => this.#withdraw())
  }

  /** The add-on's own objects go with it; these are the leader's. */
  async #withdraw(): Promise<void> {
    const labelSelector = `${NAME_LABEL}=${INGRESS_ADDON}`
    try {
      for (const resource of [BINDINGS, ROLES]) {
        const { items } = await this.#client.list<KubeObject>(resource, { labelSelector })
        for (const { metadata } of items) {
          if (metadata.name !== CERTIFICATE_ROLE) continue
          await this.#client
            .delete(resource, { namespace: metadata.namespace, name: CERTIFICATE_ROLE })
            .catch(unlessGone)
        }
      }
      await this.#client.delete(CONFIG_MAPS, { ...CERTIFICATE_LIST }).catch(unlessGone)
    } catch (error) {
      this.#parts.log.warn('what nodes were allowed for routing cannot be taken back', { error })
    }
  }
}

/** While the add-on is enabled. */
class Following {
  readonly #parts: IngressKeeperParts
  readonly #client: KubeClient
  readonly #addon: () => Addon | undefined
  readonly #aborter = new AbortController()
  readonly #informers = new Map<WorldKind, Informer<KubeObject>>()
  readonly #secrets: Informer<Secret>
  readonly #nodes: Informer<Node>
  readonly #events: EventRecorder
  readonly #loop: WakingLoop
  #failures = 0
  /** What was written last, by what it is about. */
  readonly #granted = new Map<string, string>()
  readonly #told = new Set<string>()
  #list = ''
  problem = ''

  constructor(parts: IngressKeeperParts, client: KubeClient, addon: () => Addon | undefined) {
    this.#parts = parts
    this.#client = client
    this.#addon = addon
    const { clock, random, log } = parts
    const common = { client, clock, random, log }
    this.#loop = new WakingLoop({ look: () => this.#work(), settleMs: SETTLE_MS, clock })
    this.#events = new EventRecorder({ ...common, component: 'ingress-controller' })
    for (const kind of WORLD_KINDS) {
      const informer = new Informer<KubeObject>({ ...common, resource: WORLD_RESOURCES[kind] })
      this.#informers.set(kind, informer)
    }
    const transform = ({ data: _, ...secret }: Secret): Secret => secret as Secret
    this.#secrets = new Informer({
      ...common,
      resource: SECRETS,
      fieldSelector: `type=${TLS_TYPE}`,
      transform,
    })
    this.#nodes = new Informer({ ...common, resource: NODES })
    for (const informer of [...this.#informers.values(), this.#secrets, this.#nodes]) {
      // Endpoints come and go, and say nothing of routes.
      if (informer === this.#informers.get('slices')) continue
      informer.onChange(() => this.look())
      informer.start(this.#aborter.signal)
      void informer.synced.then(() => this.look())
    }
  }

  look(): void {
    this.#loop.wake()
  }

  async stop(): Promise<void> {
    this.#aborter.abort()
    await this.#loop.stop()
  }

  /** Changes wake it; what has failed comes again by itself. */
  async #work(): Promise<number> {
    const needed = [
      this.#informers.get('ingresses'),
      this.#informers.get('ingressClasses'),
      this.#informers.get('services'),
      this.#secrets,
      this.#nodes,
    ]
    if (!needed.every(informer => informer?.isSynced)) return LOOK_MS
    try {
      const world = Object.fromEntries(
        WORLD_KINDS.map(kind => [kind, this.#informers.get(kind)?.list() ?? []]),
      ) as unknown as World
      const addon = this.#addon()
      const settings = ingressSettings(addon?.status?.parameters ?? addon?.spec?.parameters ?? {})
      await this.#grant(referencedCertificates(world, settings))
      await this.#tell(world, settings)
      this.#failures = 0
      this.problem = ''
      const nowMs = this.#parts.clock.now()
      return ownIngresses(world).some(one => isYoung(one, nowMs)) ? YOUNG_MS : LOOK_MS
    } catch (error) {
      if (this.#aborter.signal.aborted) return LOOK_MS
      this.#failures += 1
      this.problem = messageOf(error)
      if (!isConflict(error))
        this.#parts.log.warn('routing cannot be kept', { error, failures: this.#failures })
      return backoffMs(RETRY, this.#failures)
    }
  }

  /** Rights first, then the list: whoever reads it may ask at once. */
  async #grant(references: readonly string[]): Promise<void> {
    const list: Record<string, string> = {}
    for (const name of references) {
      const version = this.#secrets.get(name)?.metadata.resourceVersion
      if (version !== undefined) list[name] = version
    }
    const wanted = namesByNamespace(list)
    for (const [namespace, names] of wanted) {
      const text = names.join(' ')
      if (this.#granted.get(namespace) === text) continue
      const [role, binding] = renderAccess(namespace, names)
      await this.#client.apply(ROLES, role, { fieldManager: FIELD_MANAGER, force: true })
      await this.#client.apply(BINDINGS, binding, { fieldManager: FIELD_MANAGER, force: true })
      this.#granted.set(namespace, text)
    }
    const text = JSON.stringify(list)
    if (text !== this.#list) {
      const object = renderCertificateList(list)
      await this.#client.apply(CONFIG_MAPS, object, { fieldManager: FIELD_MANAGER, force: true })
      this.#list = text
    }
    await this.#revoke(wanted)
  }

  /** What an earlier leader granted too. */
  async #revoke(wanted: ReadonlyMap<string, unknown>): Promise<void> {
    if (this.#granted.size === wanted.size && this.#told.has('revoked')) return
    const labelSelector = `${NAME_LABEL}=${INGRESS_ADDON}`
    for (const resource of [BINDINGS, ROLES]) {
      const { items } = await this.#client.list<KubeObject>(resource, { labelSelector })
      for (const { metadata } of items) {
        const { namespace = '', name } = metadata
        if (name !== CERTIFICATE_ROLE || wanted.has(namespace)) continue
        await this.#client.delete(resource, { namespace, name }).catch(unlessGone)
      }
    }
    for (const namespace of this.#granted.keys()) if (!wanted.has(namespace)) this.#granted.delete(namespace)
    this.#told.add('revoked')
  }

  async #tell(world: World, settings: ReturnType<typeof ingressSettings>): Promise<void> {
    const serving = (this.#addon()?.status?.nodes ?? []).filter(
      ({ part, ready }) => part === INGRESS_ADDON && ready,
    )
    const facts: StatusFacts = {
      addresses: nodeAddresses(this.#nodes.list(), new Set(serving.map(({ name }) => name))),
      certificates: new Set(this.#secrets.list().map(nameOf)),
      closedPorts: closedPortsOf(serving),
      now: formatTime(this.#parts.clock.now()),
    }
    const writes: (() => Promise<void>)[] = []
    const add = (kind: WorldKind, object: KubeObject, status: unknown) => {
      if (!isDeepStrictEqual(plain(object['status']), plain(status)))
        writes.push(() => this.#write(WORLD_RESOURCES[kind], object, status))
    }
    const { certificates } = facts
    const warnings = {
      certificates,
      services: servicesByName(world.services),
      nowMs: this.#parts.clock.now(),
    }
    for (const ingress of ownIngresses(world)) {
      add('ingresses', ingress, renderIngressStatus(facts))
      this.#warn(ingress, warnings)
    }
    for (const one of world.gatewayClasses) {
      if (one.spec?.controllerName === GATEWAY_CONTROLLER)
        add('gatewayClasses', one, renderClassStatus(one, facts))
    }
    const { gateways, routes } = attachRoutes(world, settings)
    for (const one of gateways) add('gateways', one.gateway, renderGatewayStatus(one, facts))
    for (const one of routes) add(ROUTE_KINDS[one.kind], one.route, renderRouteStatus(one, facts))
    await eachAtOnce(writes, WRITES_AT_ONCE, write => write())
  }

  /** With the object as it was seen: what has changed since is looked at again. */
  async #write(resource: ResourceRef, object: KubeObject, status: unknown): Promise<void> {
    const { namespace, name = '', resourceVersion } = object.metadata
    const patch = { metadata: { resourceVersion }, status }
    const target = { namespace, name, subresource: 'status', type: 'merge' as const, patch }
    const written = await this.#client.patch<KubeObject>(resource, target).catch(unlessGone)
    if (written === undefined) return
    const kind = WORLD_KINDS.find(one => WORLD_RESOURCES[one] === resource)
    const informer = kind === undefined ? undefined : this.#informers.get(kind)
    await informer?.caughtUp(written.metadata.resourceVersion, this.#aborter.signal).catch(() => {})
  }

  /** Once for each generation. */
  #warn(ingress: Ingress, facts: WarningFacts): void {
    for (const { reason, message } of warningsOf(ingress, facts)) {
      const key = `${keyOf(ingress)} ${ingress.metadata.generation} ${reason} ${message}`
      if (this.#told.has(key)) continue
      if (this.#told.size > TOLD_MAX) this.#told.clear()
      this.#told.add(key)
      this.#events.record(ingress, 'Warning', reason, message)
    }
  }
}

const ROUTE_KINDS = { HTTPRoute: 'routes', GRPCRoute: 'grpcRoutes', TLSRoute: 'tlsRoutes' } as const

function closedPortsOf(nodes: readonly NodeReport[]): ReadonlyMap<string, string> {
  const found = nodes.flatMap(({ name, message }) =>
    [...parseClosedPorts(message)].map(
      ([port, why]) => [String(port), `port ${port} on node ${name} ${why}`] as const,
    ),
  )
  return new Map(found)
}

const TOLD_MAX = 10_000
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value ?? {}))

function unlessGone(error: unknown): undefined {
  if (!isNotFound(error)) throw error
  return undefined
}
