/** Keeps the Endpoints object of each service in step with its pods, for clients older than endpoint slices. */
import { hasLabels } from '../../../client/has-labels.ts'
import { type Informer, keyOf } from '../../../client/informer.ts'
import { isNotFound, type KubeClient } from '../../../client/kube-client.ts'
import { ENDPOINTS, PODS, SERVICES } from '../../../client/resources.ts'
import { isNamespaceTerminating } from '../../../client/status-errors.ts'
import type { Endpoints, Pod, Service } from '../../../kube/types.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import { hasEndpoints } from '../shared/service-ports.ts'
import { MANAGED_BY_LABEL, planEndpoints } from './plan.ts'

const SERVICE_ACCOUNT = 'endpoint-controller'
const NAMESPACE_INDEX = 'namespace'

interface Parts {
  readonly client: KubeClient
  readonly services: Informer<Service>
  readonly pods: Informer<Pod>
  readonly endpoints: Informer<Endpoints>
  /** Services that are gone, and whose endpoints go too, whoever made them. */
  readonly gone: Set<string>
}

export function createEndpointsController(context: ControllerContext): Controller {
  const services = context.informers.informer<Service>(SERVICES)
  const pods = context.informers.informer<Pod>(PODS)
  const endpoints = context.informers.informer<Endpoints>(ENDPOINTS)
  for (const informer of [services, pods]) {
    informer.addIndex(NAMESPACE_INDEX, object => [object.metadata.namespace ?? ''])
  }
  const gone = new Set<string>()
  services.onChange((key, next) => {
    if (next === null) gone.add(key)
  })
  const parts: Parts = { client: context.client(SERVICE_ACCOUNT), services, pods, endpoints, gone }
  return keyedController({
    name: SERVICE_ACCOUNT,
    context,
    sources: [
      keysFrom(services, service => [keyOf(service)]),
      keysFrom(pods, pod => servicesOf(services, pod)),
      keysFrom(endpoints, each => [keyOf(each)]),
    ],
    reconcile: (key, signal) => reconcile(parts, key, signal),
  })
}

function servicesOf(services: Informer<Service>, pod: Pod): string[] {
  return services
    .byIndex(NAMESPACE_INDEX, pod.metadata.namespace ?? '')
    .filter(service => hasEndpoints(service) && hasLabels(service.spec?.selector, pod.metadata.labels))
    .map(keyOf)
}

async function reconcile(parts: Parts, key: string, signal: AbortSignal): Promise<undefined> {
  const service = parts.services.get(key)
  const existing = parts.endpoints.get(key)
  if (service === undefined) {
    const isOurs = existing?.metadata.labels?.[MANAGED_BY_LABEL] !== undefined
    if (existing !== undefined && (isOurs || parts.gone.has(key))) await remove(parts, existing, signal)
    parts.gone.delete(key)
    return undefined
  }
  parts.gone.delete(key)
  if (!hasEndpoints(service) || service.metadata.deletionTimestamp !== undefined) return undefined
  const pods = parts.pods
    .byIndex(NAMESPACE_INDEX, service.metadata.namespace ?? '')
    .filter(pod => hasLabels(service.spec?.selector, pod.metadata.labels))
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

async function remove(parts: Parts, endpoints: Endpoints, signal: AbortSignal): Promise<void> {
  const { namespace, name, uid } = endpoints.metadata
  try {
    await parts.client.delete(ENDPOINTS, { namespace, name: name ?? '', uid })
  } catch (error) {
    if (!isNotFound(error)) throw error
  }
  await parts.endpoints.until(() => parts.endpoints.get(keyOf(endpoints))?.metadata.uid !== uid, signal)
}
