/** What Ingresses, GatewayClasses, Gateways and routes are told about themselves. Pure. */
import type { Condition, Ingress, Node } from '../../kube/types.ts'
import type { AttachedGateway, AttachedListener, AttachedRoute, Verdict } from './attach-routes.ts'
import type { GatewayClass } from './gateway-types.ts'
import { GATEWAY_CONTROLLER } from './world.ts'

const isReady = ({ status }: Node): boolean =>
  status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true

/** What people reach nodes by: the external address, or else the internal one. A node that is lost serves nobody. */
export function nodeAddresses(nodes: readonly Node[], serving: ReadonlySet<string>): string[] {
  const found = nodes.filter(isReady).flatMap(({ metadata, status }) => {
    if (!serving.has(metadata.name ?? '')) return []
    const addresses = status?.addresses ?? []
    const external = addresses.filter(({ type }) => type === 'ExternalIP')
    return external.length > 0 ? external : addresses.filter(({ type }) => type === 'InternalIP')
  })
  return [...new Set(found.map(({ address }) => address))].sort()
}

/** Whose certificate is one that a node may have, and who serves at all. */
export interface StatusFacts {
  readonly addresses: readonly string[]
  /** `namespace/name` of Secrets of type kubernetes.io/tls. */
  readonly certificates: ReadonlySet<string>
  /** Ports of Gateways that some node cannot open, and why. */
  readonly closedPorts: ReadonlyMap<string, string>
  readonly now: string
}

export function renderIngressStatus({ addresses }: StatusFacts): Ingress['status'] {
  return { loadBalancer: { ingress: addresses.map(ip => ({ ip })) } }
}

type Known = readonly Condition[] | undefined

const condition = (
  type: string,
  { ok, reason, message }: Verdict,
  generation: number,
  now: string,
): Condition => ({
  ...{ type, status: ok ? 'True' : 'False', reason, message },
  ...{ observedGeneration: generation, lastTransitionTime: now },
})

/** A condition whose status has not changed keeps its time. */
function kept(conditions: readonly Condition[], known: Known): Condition[] {
  return conditions.map(one => {
    const before = known?.find(({ type }) => type === one.type)
    return before?.status === one.status ? { ...one, lastTransitionTime: before.lastTransitionTime } : one
  })
}

const YES = (reason: string): Verdict => ({ ok: true, reason, message: '' })

export function renderClassStatus({ metadata, status }: GatewayClass, { now }: StatusFacts) {
  const accepted = condition('Accepted', YES('Accepted'), metadata.generation ?? 0, now)
  return { conditions: kept([accepted], status?.conditions) }
}

interface GatewayStatus {
  readonly conditions?: readonly Condition[]
  readonly listeners?: readonly { readonly name: string; readonly conditions?: readonly Condition[] }[]
}

export function renderGatewayStatus({ gateway, listeners }: AttachedGateway, facts: StatusFacts) {
  const known = gateway.status as GatewayStatus | undefined
  const generation = gateway.metadata.generation ?? 0
  const told = listeners.map(listener => listenerStatus(listener, known, generation, facts))
  const isGood = (one: (typeof told)[number]) =>
    one.conditions.some(({ type, status }) => type === 'Programmed' && status === 'True')
  const bad = listeners.filter(({ accepted }) => !accepted.ok)
  const accepted: Verdict =
    bad.length === 0
      ? YES('Accepted')
      : {
          ok: bad.length < listeners.length,
          reason: 'ListenersNotValid',
          message: `not valid: ${bad.map(({ listener }) => listener.name).join(', ')}`,
        }
  const programmed: Verdict =
    facts.addresses.length === 0
      ? { ok: false, reason: 'AddressNotAssigned', message: 'no node serves it yet' }
      : told.some(isGood)
        ? YES('Programmed')
        : { ok: false, reason: 'Invalid', message: 'no listener can be served' }
  const conditions = [
    condition('Accepted', accepted, generation, facts.now),
    condition('Programmed', programmed, generation, facts.now),
  ]
  return {
    addresses: facts.addresses.slice(0, 16).map(value => ({ type: 'IPAddress', value })),
    conditions: kept(conditions, known?.conditions),
    listeners: told,
  }
}

function listenerStatus(
  attached: AttachedListener,
  known: GatewayStatus | undefined,
  generation: number,
  { certificates, closedPorts, now }: StatusFacts,
) {
  const { listener, accepted, conflicted, kinds, door } = attached
  const closed = closedPorts.get(door)
  const missing = attached.certificates.find(name => !certificates.has(name))
  const references: Verdict =
    attached.references.ok && missing !== undefined
      ? {
          ok: false,
          reason: 'InvalidCertificateRef',
          message: `there is no Secret ${missing} of type kubernetes.io/tls`,
        }
      : attached.references
  const isServed = accepted.ok && (references.ok || references.reason === 'InvalidRouteKinds')
  const programmed: Verdict = !isServed
    ? { ok: false, reason: 'Invalid', message: 'see the others' }
    : closed === undefined
      ? YES('Programmed')
      : { ok: false, reason: 'PortUnavailable', message: closed }
  const conditions = [
    condition('Accepted', accepted, generation, now),
    condition('Conflicted', conflicted, generation, now),
    condition('Programmed', programmed, generation, now),
    condition('ResolvedRefs', references, generation, now),
  ]
  const before = known?.listeners?.find(({ name }) => name === listener.name)?.conditions
  return {
    ...{ name: listener.name, attachedRoutes: attached.attached, supportedKinds: kinds },
    conditions: kept(conditions, before),
  }
}

interface ParentStatus {
  readonly controllerName?: string
  readonly parentRef?: unknown
  readonly conditions?: readonly Condition[]
}

/** What other controllers say of their parents stays. */
export function renderRouteStatus({ route, parents }: AttachedRoute, { now }: StatusFacts) {
  const known = (route.status?.parents ?? []) as readonly ParentStatus[]
  const generation = route.metadata.generation ?? 0
  const others = known.filter(({ controllerName }) => controllerName !== GATEWAY_CONTROLLER)
  const own = parents.map(({ ref, accepted, references }) => {
    const conditions = [
      condition('Accepted', accepted, generation, now),
      condition('ResolvedRefs', references, generation, now),
    ]
    const before = known.find(
      one =>
        one.controllerName === GATEWAY_CONTROLLER && JSON.stringify(one.parentRef) === JSON.stringify(ref),
    )
    return {
      controllerName: GATEWAY_CONTROLLER,
      parentRef: ref,
      conditions: kept(conditions, before?.conditions),
    }
  })
  return { parents: [...others, ...own] }
}
