/** Whether the server behind an APIService answers, as a condition in kube-apiserver's words. */
import { messageOf } from '../../../base/errors.ts'
import { SERVICE_NAME_LABEL } from '../../../kube/endpoint-slice-labels.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { ObjectReader } from '../ports.ts'
import { serviceEndpoints } from '../webhooks/service-endpoint.ts'
import type { RemoteService } from './api-services.ts'

export interface Availability {
  readonly status: 'True' | 'False'
  readonly reason: string
  readonly message: string
}

const PASSED: Availability = { status: 'True', reason: 'Passed', message: 'all checks passed' }

const no = (reason: string, message: string): Availability => ({ status: 'False', reason, message })

interface PortPart {
  readonly name?: string
  readonly port: number
}

/** What memory says of it; null when only asking the server can tell. */
export function knownProblem(service: RemoteService, objects: ObjectReader): Availability | null {
  const { namespace, name, port } = service
  const where = `service/${name} in ${JSON.stringify(namespace)}`
  const object = objects.get('', 'services', namespace, name)
  if (object === null) return no('ServiceNotFound', `${where} is not present`)
  const spec = (object['spec'] ?? {}) as { type?: string; ports?: readonly PortPart[] }
  const found = (spec.ports ?? []).find(one => one.port === port)
  if (found === undefined) {
    return no('ServicePortError', `${where} is not listening on port ${port}`)
  }
  const slices = objects
    .list('discovery.k8s.io', 'endpointslices', namespace)
    .filter(slice => slice.metadata.labels?.[SERVICE_NAME_LABEL] === name)
  if (slices.length === 0) return no('EndpointsNotFound', `cannot find endpointslices for ${where}`)
  if (serviceEndpoints(objects, service).length > 0) return null
  const portName = JSON.stringify(found.name ?? '')
  return no('MissingEndpoints', `endpointslices for ${where} have no addresses with port name ${portName}`)
}

/** `ask` gets the group version's discovery document: its status, or a failure. */
export async function availabilityOf(
  service: RemoteService,
  objects: ObjectReader,
  ask: () => Promise<number>,
): Promise<Availability> {
  const problem = knownProblem(service, objects)
  if (problem !== null) return problem
  const { group, version, name, namespace, port } = service
  const url = `https://${name}.${namespace}.svc:${port}/apis/${group}/${version}`
  const failed = (why: string) =>
    no('FailedDiscoveryCheck', `failing or missing response from ${url}: ${why}`)
  try {
    const status = await ask()
    return status >= 200 && status < 300 ? PASSED : failed(`bad status from ${url}: ${status}`)
  } catch (error) {
    return failed(`Get ${JSON.stringify(url)}: ${messageOf(error)}`)
  }
}

interface Condition {
  readonly type: string
  readonly status: string
  readonly reason?: string
  readonly message?: string
  readonly lastTransitionTime?: string
}

/** The APIService with the condition; null when it has it already. */
export function withAvailability(object: KubeObject, found: Availability, now: string): KubeObject | null {
  const status = (object['status'] ?? {}) as { conditions?: readonly Condition[] }
  const before = (status.conditions ?? []).find(one => one.type === 'Available')
  const { reason, message } = found
  if (before?.status === found.status && before.reason === reason && before.message === message) return null
  const isSameStatus = before?.status === found.status && before.lastTransitionTime !== undefined
  const lastTransitionTime = isSameStatus ? before.lastTransitionTime : now
  const others = (status.conditions ?? []).filter(one => one.type !== 'Available')
  const condition = { type: 'Available', status: found.status, lastTransitionTime, reason, message }
  return { ...object, status: { ...status, conditions: [...others, condition] } }
}
