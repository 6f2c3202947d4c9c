/** Keeps the Endpoints object of each service in step with its pods, for clients older than endpoint slices. */
import { type Informer, keyOf } from '../../../client/informer.ts'
import type { KubeClient } from '../../../client/kube-client.ts'
import { ENDPOINTS } from '../../../client/resources.ts'
import { isNamespaceTerminating } from '../../../client/status-errors.ts'
import type { Endpoints } from '../../../kube/types.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { deleteAndSee } from '../shared/deletion.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import { followServicePods, podsOf, type ServicePods, servicesOf } from '../shared/service-pods.ts'
import { hasEndpoints } from '../shared/service-ports.ts'
import { MANAGED_BY_LABEL, planEndpoints } from './plan.ts'

const SERVICE_ACCOUNT = 'endpoint-controller'

interface Parts extends ServicePods {
  readonly client: KubeClient
  readonly endpoints: Informer<Endpoints>
  /** Services that are gone, and whose endpoints go too, whoever made them. */
  readonly gone: Set<string>
}

export function createEndpointsController(context: ControllerContext): Controller {
  const followed = followServicePods(context)
  const endpoints = context.informers.informer<Endpoints>(ENDPOINTS)
  const gone = new Set<string>()
  followed.services.onChange((key, next) => {
    if (next === null) gone.add(key)
  })
  const parts: Parts = { ...followed, client: context.client(SERVICE_ACCOUNT), endpoints, gone }
  return keyedController({
    name: SERVICE_ACCOUNT,
    context,
    sources: [
      keysFrom(parts.services, service => [keyOf(service)]),
      keysFrom(parts.pods, pod => servicesOf(parts, pod)),
      keysFrom(endpoints, each => [keyOf(each)]),
    ],
    reconcile: (key, signal) => reconcile(parts, key, signal),
  })
}

async function reconcile(parts: Parts, key: string, signal: AbortSignal): Promise<undefined> {
  const service = parts.services.get(key)
  const existing = parts.endpoints.get(key)
  if (service === undefined) {
    const isOurs = existing?.metadata.labels?.[MANAGED_BY_LABEL] !== undefined
    if (existing !== undefined && (isOurs || parts.gone.has(key)))
      await deleteAndSee(parts.client, parts.endpoints, existing, signal)
    parts.gone.delete(key)
    return undefined
  }
  parts.gone.delete(key)
  if (!hasEndpoints(service) || service.metadata.deletionTimestamp !== undefined) return undefined
  const pods = podsOf(parts, service)
  const plan = planEndpoints(service, { pods, existing })
  if (plan.kind === 'nothing') return undefined
  const written = await write(parts, plan.kind, plan.endpoints)
  await parts.endpoints.caughtUp(written, signal)
  return undefined
}

async function write(
  parts: Parts,
  kind: 'create' | 'update',
  endpoints: Endpoints,
): Promise<string | undefined> {
  try {
    const written = await parts.client[kind]<Endpoints>(ENDPOINTS, endpoints)
    return written.metadata.resourceVersion
  } catch (error) {
    if (!isNamespaceTerminating(error)) throw error
    return undefined
  }
}
