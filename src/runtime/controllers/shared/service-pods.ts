/** Which services a pod belongs to and which pods a service has; both endpoints controllers ask the caches that. */
import { hasLabels } from '../../../client/has-labels.ts'
import { type Informer, keyOf } from '../../../client/informer.ts'
import { PODS, SERVICES } from '../../../client/resources.ts'
import type { Pod, Service } from '../../../kube/types.ts'
import type { ControllerContext } from './context.ts'
import { hasEndpoints } from './service-ports.ts'

const NAMESPACE_INDEX = 'namespace'

export interface ServicePods {
  readonly services: Informer<Service>
  readonly pods: Informer<Pod>
}

export function followServicePods({ informers }: ControllerContext): ServicePods {
  const services = informers.informer<Service>(SERVICES)
  const pods = informers.informer<Pod>(PODS)
  for (const informer of [services, pods]) {
    informer.addIndex(NAMESPACE_INDEX, object => [object.metadata.namespace ?? ''])
  }
  return { services, pods }
}

/** Keys of the services that select the pod and whose endpoints follow their pods. */
export function servicesOf({ services }: ServicePods, pod: Pod): string[] {
  return services
    .byIndex(NAMESPACE_INDEX, pod.metadata.namespace ?? '')
    .filter(service => hasEndpoints(service) && hasLabels(service.spec?.selector, pod.metadata.labels))
    .map(keyOf)
}

export function podsOf({ pods }: ServicePods, service: Service): Pod[] {
  return pods
    .byIndex(NAMESPACE_INDEX, service.metadata.namespace ?? '')
    .filter(pod => hasLabels(service.spec?.selector, pod.metadata.labels))
}
