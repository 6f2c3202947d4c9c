/** What endpoints and endpoint slices both ask of a service: whether it has any, and its ports on a pod. */
import type { Container, Pod, Service } from '../../../kube/types.ts'

/** Services that other means give endpoints to are left alone. */
export function hasEndpoints(service: Service): boolean {
  const selector = service.spec?.selector
  return service.spec?.type !== 'ExternalName' && selector !== undefined && Object.keys(selector).length > 0
}

export interface ResolvedPort {
  readonly name: string
  readonly port: number
  readonly protocol: string
  readonly appProtocol?: string
}

/** Ports that the pod has no number for are left out. */
export function resolvePorts(service: Service, pod: Pod): ResolvedPort[] {
  const ports: ResolvedPort[] = []
  for (const { name = '', port, targetPort, protocol = 'TCP', appProtocol } of service.spec?.ports ?? []) {
    const number = resolvePort(pod, targetPort ?? port, protocol)
    if (number === undefined) continue
    ports.push({ name, port: number, protocol, ...(appProtocol === undefined ? {} : { appProtocol }) })
  }
  return ports
}

function resolvePort(pod: Pod, target: unknown, protocol: string): number | undefined {
  if (typeof target === 'number') return target
  const sidecars = (pod.spec?.initContainers ?? []).filter(each => each.restartPolicy === 'Always')
  const containers: Container[] = [...(pod.spec?.containers ?? []), ...sidecars]
  return containers
    .flatMap(container => container.ports ?? [])
    .find(port => port.name === target && (port.protocol ?? 'TCP') === protocol)?.containerPort
}
