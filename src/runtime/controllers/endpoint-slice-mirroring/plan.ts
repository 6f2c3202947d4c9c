/** The endpoint slices that say what Endpoints say which somebody keeps by hand. Pure. */
import { MANAGED_BY_LABEL, SERVICE_NAME_LABEL } from '../../../kube/endpoint-slice-labels.ts'
import { semanticEqual } from '../../../kube/equality.ts'
import { familyOf } from '../../../kube/ip-family.ts'
import type { Endpoint, EndpointSlice, Endpoints, Service } from '../../../kube/types.ts'
import { controllerReference } from '../shared/owners.ts'

export const MIRROR_MANAGER = 'endpointslicemirroring-controller.k8s.io'
const SKIP_LABEL = 'endpointslice.kubernetes.io/skip-mirror'
const HEADLESS_LABEL = 'service.kubernetes.io/headless'
const LEADER_ANNOTATION = 'control-plane.alpha.kubernetes.io/leader'
const OWN_ANNOTATIONS = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  'endpoints.kubernetes.io/last-change-trigger-time',
])
/** Addresses of one subset that are mirrored; the rest is left out, as upstream does. */
const ADDRESSES_MAX = 1_000

type Subset = NonNullable<Endpoints['subsets']>[number]
type Address = NonNullable<Subset['addresses']>[number]
type Ports = NonNullable<EndpointSlice['ports']>

export interface MirrorPlan {
  readonly create: readonly EndpointSlice[]
  readonly update: readonly EndpointSlice[]
  readonly delete: readonly EndpointSlice[]
}

/** Those of a service without a selector, unless they say otherwise. */
export function isMirrored(
  endpoints: Endpoints | undefined,
  service: Service | undefined,
): endpoints is Endpoints {
  if (endpoints === undefined || service === undefined) return false
  const { labels, annotations, deletionTimestamp } = endpoints.metadata
  if (labels?.[SKIP_LABEL] === 'true' || annotations?.[LEADER_ANNOTATION] !== undefined) return false
  return deletionTimestamp === undefined && Object.keys(service.spec?.selector ?? {}).length === 0
}

export function planMirror(endpoints: Endpoints, slices: readonly EndpointSlice[]): MirrorPlan {
  const left = [...slices]
  const create: EndpointSlice[] = []
  const update: EndpointSlice[] = []
  for (const wanted of wantedSlices(endpoints)) {
    const index = left.findIndex(
      slice => slice.addressType === wanted.addressType && semanticEqual(slice.ports ?? [], wanted.ports),
    )
    const [present] = index === -1 ? [] : left.splice(index, 1)
    if (present === undefined) create.push(wanted)
    else if (!isSame(present, wanted)) {
      const { labels, annotations, ownerReferences } = wanted.metadata
      const metadata = { ...present.metadata, labels, annotations, ownerReferences }
      update.push({ ...wanted, metadata } as EndpointSlice)
    }
  }
  return { create, update, delete: left }
}

const isSame = (a: EndpointSlice, b: EndpointSlice): boolean =>
  semanticEqual(a.endpoints ?? [], b.endpoints) &&
  semanticEqual(a.metadata.labels, b.metadata.labels) &&
  semanticEqual(a.metadata.annotations, b.metadata.annotations)

/** One for each set of ports and each family of addresses. */
function wantedSlices(endpoints: Endpoints): EndpointSlice[] {
  const groups = new Map<
    string,
    { readonly type: string; readonly ports: Ports; readonly found: Endpoint[] }
  >()
  for (const subset of endpoints.subsets ?? []) {
    const ports = portsOf(subset)
    for (const { address, ready } of addressesOf(subset)) {
      const type = familyOf(address.ip)
      const key = JSON.stringify([type, ports])
      const group = groups.get(key) ?? { type, ports, found: [] }
      groups.set(key, group)
      group.found.push(renderEndpoint(address, ready))
    }
  }
  return Array.from(groups.values(), ({ type, ports, found }) => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: metadataOf(endpoints),
    addressType: type,
    endpoints: found,
    ports,
  }))
}

const portsOf = ({ ports = [] }: Subset): Ports =>
  ports.map(({ name = '', port, protocol = 'TCP', appProtocol }) => ({
    name,
    port,
    protocol,
    ...(appProtocol === undefined ? {} : { appProtocol }),
  }))

const addressesOf = ({ addresses = [], notReadyAddresses = [] }: Subset) =>
  [
    ...addresses.map(address => ({ address, ready: true })),
    ...notReadyAddresses.map(address => ({ address, ready: false })),
  ].slice(0, ADDRESSES_MAX)

const renderEndpoint = ({ ip, hostname, nodeName, targetRef }: Address, ready: boolean): Endpoint => ({
  addresses: [ip],
  conditions: { ready },
  ...(hostname ? { hostname } : {}),
  ...(nodeName ? { nodeName } : {}),
  ...(targetRef ? { targetRef } : {}),
})

function metadataOf(endpoints: Endpoints): EndpointSlice['metadata'] {
  const { name = '', namespace, labels, annotations } = endpoints.metadata
  const { [HEADLESS_LABEL]: _headless, ...kept } = labels ?? {}
  const told = Object.entries(annotations ?? {}).filter(([key]) => !OWN_ANNOTATIONS.has(key))
  return {
    generateName: `${name}-`,
    ...(namespace === undefined ? {} : { namespace }),
    labels: { ...kept, [SERVICE_NAME_LABEL]: name, [MANAGED_BY_LABEL]: MIRROR_MANAGER },
    ...(told.length > 0 ? { annotations: Object.fromEntries(told) } : {}),
    ownerReferences: [controllerReference(endpoints)],
  }
}
