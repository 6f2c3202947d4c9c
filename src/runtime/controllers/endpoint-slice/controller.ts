/** Keeps each service's endpoint slices in step with its pods. */
import { type Informer, keyOf } from '../../../client/informer.ts'
import type { KubeClient } from '../../../client/kube-client.ts'
import { ENDPOINT_SLICES, NODES } from '../../../client/resources.ts'
import { isNamespaceTerminating } from '../../../client/status-errors.ts'
import { MANAGED_BY_LABEL, SERVICE_NAME_LABEL } from '../../../kube/endpoint-slice-labels.ts'
import type { EndpointSlice, Node } from '../../../kube/types.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { deleteAndSee } from '../shared/deletion.ts'
import { keyedController, keysFrom, type Source } from '../shared/keyed-controller.ts'
import { followServicePods, podsOf, type ServicePods, servicesOf } from '../shared/service-pods.ts'
import { hasEndpoints } from '../shared/service-ports.ts'
import { MANAGED_BY, planSlices } from './plan.ts'

const SERVICE_ACCOUNT = 'endpointslice-controller'
const SERVICE_INDEX = 'service'

interface Parts extends ServicePods {
  readonly client: KubeClient
  readonly slices: Informer<EndpointSlice>
  readonly nodes: Informer<Node>
}

export function createEndpointSliceController(context: ControllerContext): Controller {
  const slices = context.informers.informer<EndpointSlice>(ENDPOINT_SLICES)
  slices.addIndex(SERVICE_INDEX, serviceOf)
  const nodes = context.informers.informer<Node>(NODES)
  const client = context.client(SERVICE_ACCOUNT)
  const parts: Parts = { ...followServicePods(context), client, slices, nodes }
  return keyedController({
    name: SERVICE_ACCOUNT,
    context,
    sources: [
      keysFrom(parts.services, service => [keyOf(service)]),
      keysFrom(parts.pods, pod => servicesOf(parts, pod)),
      keysFrom(slices, serviceOf),
      zoneChanges(parts),
    ],
    reconcile: (key, signal) => reconcile(parts, key, signal),
  })
}

const ZONE_LABEL = 'topology.kubernetes.io/zone'
const zoneOf = (node: Node | null | undefined) => node?.metadata.labels?.[ZONE_LABEL]

/** Nodes hardly ever move, so all services are looked at then. */
const zoneChanges = ({ nodes, services }: Parts): Source => ({
  subscribe: add =>
    nodes.onChange((_, next, previous) => {
      if (zoneOf(next) === zoneOf(previous)) return
      for (const service of services.list()) add(keyOf(service))
    }),
})

/** The key of the service that a slice of ours belongs to. */
function serviceOf(slice: EndpointSlice): string[] {
  const labels = slice.metadata.labels ?? {}
  const name = labels[SERVICE_NAME_LABEL]
  if (labels[MANAGED_BY_LABEL] !== MANAGED_BY || name === undefined) return []
  return [`${slice.metadata.namespace}/${name}`]
}

async function reconcile(parts: Parts, key: string, signal: AbortSignal): Promise<undefined> {
  const service = parts.services.get(key)
  const slices = parts.slices.byIndex(SERVICE_INDEX, key)
  if (service === undefined || service.metadata.deletionTimestamp !== undefined) return undefined
  if (!hasEndpoints(service)) {
    for (const slice of slices) await deleteAndSee(parts.client, parts.slices, slice, signal)
    return undefined
  }
  const pods = podsOf(parts, service)
  const plan = planSlices(service, { pods, slices, zoneOf: name => zoneOf(parts.nodes.get(name)) })
  for (const slice of plan.update) {
    const updated = await parts.client.update(ENDPOINT_SLICES, slice)
    await parts.slices.caughtUp(updated.metadata.resourceVersion, signal)
  }
  for (const slice of plan.create) await createSlice(parts, slice, signal)
  for (const slice of plan.delete) await deleteAndSee(parts.client, parts.slices, slice, signal)
  return undefined
}

async function createSlice(parts: Parts, slice: EndpointSlice, signal: AbortSignal): Promise<void> {
  try {
    const created = await parts.client.create(ENDPOINT_SLICES, slice)
    await parts.slices.caughtUp(created.metadata.resourceVersion, signal)
  } catch (error) {
    if (!isNamespaceTerminating(error)) throw error
  }
}
