/** Where a Service is reached from this process: a ready address of its EndpointSlices. Pure over an ObjectReader. */
import { SERVICE_NAME_LABEL } from '../../../kube/endpoint-slice-labels.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { notFound, serviceUnavailable } from '../../../kube/status.ts'
import type { ObjectReader } from '../ports.ts'

export interface ServiceReference {
  readonly namespace?: string
  readonly name?: string
  readonly port?: number
}

export interface ServiceEndpoint {
  readonly host: string
  readonly port: number
}

interface ServicePortPart {
  readonly name?: string
  readonly port: number
}

interface SlicePart {
  readonly addressType?: string
  readonly endpoints?: readonly {
    readonly addresses?: readonly string[]
    readonly conditions?: { readonly ready?: boolean }
  }[]
  readonly ports?: readonly { readonly name?: string; readonly port?: number }[]
}

const HTTPS = 443

/** Throws 404 when there is no such Service, 503 when it has no such port or nobody behind it. */
export function servicePort(objects: ObjectReader, reference: ServiceReference): ServicePortPart {
  const { namespace = '', name = '', port = HTTPS } = reference
  const service = objects.get('', 'services', namespace, name)
  if (service === null) throw notFound({ group: '', resource: 'services' }, name)
  const spec = (service['spec'] ?? {}) as { type?: string; ports?: readonly ServicePortPart[] }
  if (spec.type === 'ExternalName') throw serviceUnavailable(`unsupported service type "${spec.type}"`)
  const found = (spec.ports ?? []).find(one => one.port === port)
  if (found === undefined) {
    throw serviceUnavailable(`no service port ${port} found for service ${JSON.stringify(name)}`)
  }
  return found
}

/** All ready addresses behind the Service's port. */
export function serviceEndpoints(objects: ObjectReader, reference: ServiceReference): ServiceEndpoint[] {
  const { name: portName = '' } = servicePort(objects, reference)
  return endpointsOfPort(objects, reference.namespace ?? '', reference.name ?? '', portName)
}

/** The same by the name of the port, which is empty for a Service's only one. */
export function endpointsOfPort(
  objects: ObjectReader,
  namespace: string,
  name: string,
  portName: string,
): ServiceEndpoint[] {
  return objects
    .list('discovery.k8s.io', 'endpointslices', namespace)
    .filter(slice => slice.metadata.labels?.[SERVICE_NAME_LABEL] === name)
    .flatMap(slice => endpointsOf(slice, portName))
}

function endpointsOf(slice: KubeObject, portName: string): ServiceEndpoint[] {
  const { addressType, endpoints, ports } = slice as unknown as SlicePart
  const port = (ports ?? []).find(one => (one.name ?? '') === portName)?.port
  if (port === undefined || addressType === 'FQDN') return []
  return (endpoints ?? [])
    .filter(one => one.conditions?.ready !== false)
    .flatMap(one => (one.addresses ?? []).slice(0, 1))
    .map(host => ({ host, port }))
}

/** One of the ready addresses; `chance` is in [0, 1). */
export function chooseEndpoint(
  objects: ObjectReader,
  reference: ServiceReference,
  chance: number,
): ServiceEndpoint {
  const found = serviceEndpoints(objects, reference)
  const chosen = found[Math.floor(chance * found.length)]
  if (chosen === undefined) {
    throw serviceUnavailable(`no endpoints available for service ${JSON.stringify(reference.name ?? '')}`)
  }
  return chosen
}
