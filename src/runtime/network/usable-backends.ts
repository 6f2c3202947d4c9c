/** Which endpoints of a service a node sends connections to, and in which order of preference (pure). */
import type { Endpoint, EndpointSlice, Node, ServicePort } from '../../kube/types.ts'
import type { Family } from './family.ts'

export interface NodeView {
  readonly name: string
  /** Of the label `topology.kubernetes.io/zone`; null when the node has none. */
  readonly zone: string | null
}

interface Candidate {
  readonly endpoint: Endpoint
  readonly backend: Backend
}

export interface UsableBackends {
  readonly everywhere: readonly Backend[]
  readonly local: readonly Backend[]
}

/** Ready endpoints, near ones where the hints say so; when there is none, those that serve while they end. */
export function usableBackends(
  port: ServicePort,
  slices: readonly EndpointSlice[],
  node: NodeView,
  family: Family,
): UsableBackends {
  const all = candidates(port, slices, family)
  const ready = all.filter(({ endpoint }) => endpoint.conditions?.ready !== false)
  const ending = all.filter(({ endpoint }) => isEnding(endpoint))
  const isHere = ({ endpoint }: Candidate) => endpoint.nodeName === node.name
  const orEnding = (found: readonly Candidate[], otherwise: readonly Candidate[]) =>
    unique(found.length > 0 ? found : otherwise)
  return {
    everywhere: orEnding(nearby(ready, node), ending),
    local: orEnding(ready.filter(isHere), ending.filter(isHere)),
  }
}

const isEnding = ({ conditions }: Endpoint) => conditions?.serving === true && conditions.terminating === true

function candidates(port: ServicePort, slices: readonly EndpointSlice[], family: Family): Candidate[] {
  return slices.flatMap(slice => {
    if (slice.addressType !== family) return []
    const target = slice.ports?.find(
      candidate =>
        (candidate.name ?? '') === (port.name ?? '') &&
        (candidate.protocol ?? 'TCP') === (port.protocol ?? 'TCP'),
    )?.port
    if (target === undefined) return []
    return (slice.endpoints ?? []).flatMap(endpoint =>
      endpoint.addresses.map(address => ({ endpoint, backend: { address, port: target } })),
    )
  })
}

/** Hints count only when every endpoint has one and one of them is for this node, or for its zone. */
function nearby(ready: readonly Candidate[], { name, zone }: NodeView): readonly Candidate[] {
  const hintedAt = (place: string | null, kind: 'forNodes' | 'forZones') => {
    const hintsOf = ({ endpoint }: Candidate) => endpoint.hints?.[kind] ?? []
    if (place === null || !ready.every(each => hintsOf(each).length > 0)) return []
    return ready.filter(each => hintsOf(each).some(hint => hint.name === place))
  }
  const [onNode, inZone] = [hintedAt(name, 'forNodes'), hintedAt(zone, 'forZones')]
  if (onNode.length > 0) return onNode
  return inZone.length > 0 ? inZone : ready
}

function unique(found: readonly Candidate[]): Backend[] {
  return [...new Map(found.map(({ backend }) => [`${backend.address}:${backend.port}`, backend])).values()]
}

const ZONE_LABEL = 'topology.kubernetes.io/zone'

export const viewOf = ({ metadata }: Node): NodeView => ({
  name: metadata.name ?? '',
  zone: metadata.labels?.[ZONE_LABEL] ?? null,
})

export interface Backend {
  readonly address: string
  readonly port: number
}
