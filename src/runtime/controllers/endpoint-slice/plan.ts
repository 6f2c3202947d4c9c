/** Which endpoint slices a service needs, with as few changes to those that exist as possible. */
import { MANAGED_BY_LABEL, SERVICE_NAME_LABEL } from '../../../kube/endpoint-slice-labels.ts'
import { semanticEqual } from '../../../kube/equality.ts'
import type { Endpoint, EndpointSlice, Pod, Service } from '../../../kube/types.ts'
import { controllerReference } from '../shared/owners.ts'
import {
  type AddressType,
  addressTypesOf,
  groupEndpoints,
  type PortGroup,
  portsKey,
  type ZoneOf,
} from './endpoints.ts'

export const MANAGED_BY = 'endpointslice-controller.k8s.io'
const HEADLESS_LABEL = 'service.kubernetes.io/headless'
export const SLICE_ENDPOINTS_MAX = 100

export interface SlicePlan {
  readonly create: readonly EndpointSlice[]
  readonly update: readonly EndpointSlice[]
  readonly delete: readonly EndpointSlice[]
}

export function planSlices(
  service: Service,
  parts: {
    readonly pods: readonly Pod[]
    readonly slices: readonly EndpointSlice[]
    readonly zoneOf: ZoneOf
  },
): SlicePlan {
  const create: EndpointSlice[] = []
  const update: EndpointSlice[] = []
  const types = addressTypesOf(service)
  const surplus = new Set(parts.slices)
  for (const addressType of types) {
    const groups = groupEndpoints(service, parts.pods, addressType, parts.zoneOf)
    if (groups.length === 0) groups.push({ ports: [], endpoints: [] })
    for (const group of groups) {
      const existing = [...surplus].filter(
        slice => slice.addressType === addressType && portsKey(slice.ports ?? []) === portsKey(group.ports),
      )
      const filled = fillSlices(existing, group.endpoints)
      for (const [slice, endpoints] of filled.kept) {
        surplus.delete(slice)
        const next = { ...slice, ...renderSlice(service, addressType, { ...group, endpoints }, slice) }
        if (!semanticEqual(next, slice)) update.push(next)
      }
      for (const endpoints of filled.fresh) {
        create.push(renderSlice(service, addressType, { ...group, endpoints }, undefined))
      }
    }
  }
  const reused = reuse(create, [...surplus])
  return { ...reused, update: [...update, ...reused.update] }
}

/** A slice that is no longer needed takes a new one's content when the address types agree. */
function reuse(create: readonly EndpointSlice[], surplus: readonly EndpointSlice[]): SlicePlan {
  const free = [...surplus]
  const fresh: EndpointSlice[] = []
  const update: EndpointSlice[] = []
  for (const wanted of create) {
    const index = free.findIndex(
      slice => slice.addressType === wanted.addressType && slice.metadata.deletionTimestamp === undefined,
    )
    const [slice] = index === -1 ? [] : free.splice(index, 1)
    if (slice === undefined) fresh.push(wanted)
    else
      update.push({
        ...slice,
        ...wanted,
        metadata: { ...slice.metadata, labels: wanted.metadata.labels ?? {} },
      })
  }
  return { create: fresh, update, delete: free }
}

interface Filled {
  readonly kept: ReadonlyMap<EndpointSlice, Endpoint[]>
  readonly fresh: readonly Endpoint[][]
}

/** Endpoints stay in the slice they are in; new ones fill gaps, then new slices. */
function fillSlices(existing: readonly EndpointSlice[], endpoints: readonly Endpoint[]): Filled {
  const wanted = new Map(endpoints.map(endpoint => [identityOf(endpoint), endpoint]))
  const kept = new Map<EndpointSlice, Endpoint[]>()
  for (const slice of existing) {
    const stay: Endpoint[] = []
    for (const endpoint of slice.endpoints ?? []) {
      const next = wanted.get(identityOf(endpoint))
      if (next === undefined) continue
      stay.push(next)
      wanted.delete(identityOf(endpoint))
    }
    if (stay.length > 0 || endpoints.length === 0) kept.set(slice, stay)
    if (endpoints.length === 0) return { kept, fresh: [] }
  }
  const fresh = placeRest(existing, kept, [...wanted.values()])
  return { kept, fresh: endpoints.length === 0 && kept.size === 0 ? [[]] : fresh }
}

function placeRest(
  existing: readonly EndpointSlice[],
  kept: Map<EndpointSlice, Endpoint[]>,
  rest: Endpoint[],
): Endpoint[][] {
  for (const slice of existing) {
    const endpoints = kept.get(slice) ?? []
    const room = SLICE_ENDPOINTS_MAX - endpoints.length
    if (rest.length === 0 || room <= 0) continue
    kept.set(slice, [...endpoints, ...rest.splice(0, room)])
  }
  const fresh: Endpoint[][] = []
  while (rest.length > 0) fresh.push(rest.splice(0, SLICE_ENDPOINTS_MAX))
  return fresh
}

const identityOf = (endpoint: Endpoint): string =>
  `${endpoint.targetRef?.uid ?? ''}|${endpoint.addresses.join(',')}`

function renderSlice(
  service: Service,
  addressType: AddressType,
  group: PortGroup,
  existing: EndpointSlice | undefined,
): EndpointSlice {
  const labels: Record<string, string> = { ...service.metadata.labels }
  labels[SERVICE_NAME_LABEL] = service.metadata.name ?? ''
  labels[MANAGED_BY_LABEL] = MANAGED_BY
  delete labels[HEADLESS_LABEL]
  if (service.spec?.clusterIP === 'None') labels[HEADLESS_LABEL] = ''
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: existing
      ? { ...existing.metadata, labels }
      : {
          generateName: `${service.metadata.name}-`,
          namespace: service.metadata.namespace ?? '',
          labels,
          ownerReferences: [controllerReference(service)],
        },
    addressType,
    endpoints: group.endpoints,
    ports: [...group.ports],
  }
}
