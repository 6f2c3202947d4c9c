/** Mirrors the Endpoints of services without a selector into endpoint slices, which is what proxies read. */
import { type Informer, keyOf } from '../../../client/informer.ts'
import type { KubeClient } from '../../../client/kube-client.ts'
import { ENDPOINT_SLICES, ENDPOINTS, SERVICES } from '../../../client/resources.ts'
import { isNamespaceTerminating } from '../../../client/status-errors.ts'
import { MANAGED_BY_LABEL, SERVICE_NAME_LABEL } from '../../../kube/endpoint-slice-labels.ts'
import type { EndpointSlice, Endpoints, Service } from '../../../kube/types.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { deleteAndSee } from '../shared/deletion.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import { isMirrored, MIRROR_MANAGER, planMirror } from './plan.ts'

const SERVICE_ACCOUNT = 'endpointslicemirroring-controller'
const MIRROR_INDEX = 'mirror'

interface Parts {
  readonly client: KubeClient
  readonly endpoints: Informer<Endpoints>
  readonly services: Informer<Service>
  readonly slices: Informer<EndpointSlice>
}

export function createEndpointSliceMirroringController(context: ControllerContext): Controller {
  const { informers } = context
  const slices = informers.informer<EndpointSlice>(ENDPOINT_SLICES)
  slices.addIndex(MIRROR_INDEX, mirroredBy)
  const endpoints = informers.informer<Endpoints>(ENDPOINTS)
  const services = informers.informer<Service>(SERVICES)
  const parts: Parts = { client: context.client(SERVICE_ACCOUNT), endpoints, services, slices }
  return keyedController({
    name: SERVICE_ACCOUNT,
    context,
    sources: [
      keysFrom(endpoints, one => [keyOf(one)]),
      keysFrom(services, one => [keyOf(one)]),
      keysFrom(slices, mirroredBy),
    ],
    reconcile: (key, signal) => reconcile(parts, key, signal),
  })
}

/** The key of the Endpoints, which is the service's. */
function mirroredBy({ metadata }: EndpointSlice): string[] {
  const name = metadata.labels?.[SERVICE_NAME_LABEL]
  if (metadata.labels?.[MANAGED_BY_LABEL] !== MIRROR_MANAGER || name === undefined) return []
  return [`${metadata.namespace}/${name}`]
}

async function reconcile(parts: Parts, key: string, signal: AbortSignal): Promise<undefined> {
  const endpoints = parts.endpoints.get(key)
  const slices = parts.slices.byIndex(MIRROR_INDEX, key)
  const plan = isMirrored(endpoints, parts.services.get(key))
    ? planMirror(endpoints, slices)
    : { create: [], update: [], delete: slices }
  for (const slice of plan.update) {
    const updated = await parts.client.update(ENDPOINT_SLICES, slice)
    await parts.slices.caughtUp(updated.metadata.resourceVersion, signal)
  }
  for (const slice of plan.create) {
    try {
      const created = await parts.client.create(ENDPOINT_SLICES, slice)
      await parts.slices.caughtUp(created.metadata.resourceVersion, signal)
    } catch (error) {
      if (!isNamespaceTerminating(error)) throw error
    }
  }
  for (const slice of plan.delete) await deleteAndSee(parts.client, parts.slices, slice, signal)
  return undefined
}
