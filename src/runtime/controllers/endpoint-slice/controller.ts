/** Keeps each service's endpoint slices in step with its pods. */

import { hasLabels } from '../../../client/has-labels.ts'
import { type Informer, keyOf } from '../../../client/informer.ts'
import { isNotFound, type KubeClient } from '../../../client/kube-client.ts'
import { ENDPOINT_SLICES, PODS, SERVICES } from '../../../client/resources.ts'
import { isNamespaceTerminating } from '../../../client/status-errors.ts'
import type { EndpointSlice, Pod, Service } from '../../../kube/types.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import { hasEndpoints } from '../shared/service-ports.ts'
import { MANAGED_BY, MANAGED_BY_LABEL, planSlices, SERVICE_NAME_LABEL } from './plan.ts'

const SERVICE_ACCOUNT = 'endpointslice-controller'
const NAMESPACE_INDEX = 'namespace'
const SERVICE_INDEX = 'service'

interface Parts {
  readonly client: KubeClient
  readonly services: Informer<Service>
  readonly pods: Informer<Pod>
  readonly slices: Informer<EndpointSlice>
}

export function createEndpointSliceController(context: ControllerContext): Controller {
  const services = context.informers.informer<Service>(SERVICES)
  const pods = context.informers.informer<Pod>(PODS)
  const slices = context.informers.informer<EndpointSlice>(ENDPOINT_SLICES)
  services.addIndex(NAMESPACE_INDEX, service => [service.metadata.namespace ?? ''])
  pods.addIndex(NAMESPACE_INDEX, pod => [pod.metadata.namespace ?? ''])
  slices.addIndex(SERVICE_INDEX, serviceOf)
  const parts: Parts = { client: context.client(SERVICE_ACCOUNT), services, pods, slices }
  return keyedController({
    name: SERVICE_ACCOUNT,
    context,
    sources: [
      keysFrom(services, service => [keyOf(service)]),
      keysFrom(pods, pod => servicesOf(services, pod)),
      keysFrom(slices, serviceOf),
    ],
    reconcile: (key, signal) => reconcile(parts, key, signal),
  })
}

/** The key of the service that a slice of ours belongs to. */
function serviceOf(slice: EndpointSlice): string[] {
  const labels = slice.metadata.labels ?? {}
  const name = labels[SERVICE_NAME_LABEL]
  if (labels[MANAGED_BY_LABEL] !== MANAGED_BY || name === undefined) return []
  return [`${slice.metadata.namespace}/${name}`]
}

function servicesOf(services: Informer<Service>, pod: Pod): string[] {
  return services
    .byIndex(NAMESPACE_INDEX, pod.metadata.namespace ?? '')
    .filter(service => hasEndpoints(service) && hasLabels(service.spec?.selector, pod.metadata.labels))
    .map(keyOf)
}

async function reconcile(parts: Parts, key: string, signal: AbortSignal): Promise<undefined> {
  const service = parts.services.get(key)
  const slices = parts.slices.byIndex(SERVICE_INDEX, key)
  if (service === undefined || service.metadata.deletionTimestamp !== undefined) return undefined
  if (!hasEndpoints(service)) {
    for (const slice of slices) await deleteSlice(parts, slice, signal)
    return undefined
  }
  const pods = parts.pods
    .byIndex(NAMESPACE_INDEX, service.metadata.namespace ?? '')
    .filter(pod => hasLabels(service.spec?.selector, pod.metadata.labels))
  const plan = planSlices(service, { pods, slices })
  for (const slice of plan.update) {
    const updated = await parts.client.update(ENDPOINT_SLICES, slice)
    await parts.slices.caughtUp(updated.metadata.resourceVersion, signal)
  }
  for (const slice of plan.create) await createSlice(parts, slice, signal)
  for (const slice of plan.delete) await deleteSlice(parts, slice, signal)
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

async function deleteSlice(parts: Parts, slice: EndpointSlice, signal: AbortSignal): Promise<void> {
  const { namespace, name, uid } = slice.metadata
  try {
    await parts.client.delete(ENDPOINT_SLICES, { namespace, name: name ?? '', uid })
  } catch (error) {
    if (!isNotFound(error)) throw error
  }
  await parts.slices.until(() => parts.slices.get(keyOf(slice))?.metadata.uid !== uid, signal)
}
