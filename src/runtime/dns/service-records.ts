/** What the DNS thread is told of Services and endpoint slices. Pure. */
import { canonicalAddress } from '../../kube/cidr.ts'
import { SERVICE_NAME_LABEL } from '../../kube/endpoint-slice-labels.ts'
import type { EndpointSlice, Service } from '../../kube/types.ts'
import type { DnsPort, DnsService, DnsSlice } from './messages.ts'

/** `serviceAddress`: where pods of this node reach a cluster IP. */
export function dnsServiceOf(
  { spec = {} }: Service,
  serviceAddress: (clusterIp: string) => string,
): DnsService | null {
  const ports = (spec.ports ?? []).map(portOf)
  if (spec.type === 'ExternalName') {
    const target = (spec.externalName ?? '').replace(/\.$/, '').toLowerCase()
    return target === '' ? null : { kind: 'external-name', addresses: [], ports: [], target }
  }
  const addresses = spec.clusterIPs ?? (spec.clusterIP ? [spec.clusterIP] : [])
  if (addresses.includes('None')) return { kind: 'headless', addresses: [], ports, target: '' }
  const usable = addresses.flatMap(address => canonicalAddress(serviceAddress(address)) ?? [])
  // One that has not got its address yet.
  return usable.length === 0 ? null : { kind: 'cluster-ip', addresses: usable, ports, target: '' }
}

/** Whoever publishes addresses that are not ready has had them marked as ready. */
export function dnsSliceOf({ metadata, addressType, endpoints, ports }: EndpointSlice): DnsSlice | null {
  const service = metadata.labels?.[SERVICE_NAME_LABEL]
  if (service === undefined || addressType === 'FQDN') return null
  const ready = (endpoints ?? []).filter(({ conditions }) => conditions?.ready !== false)
  return {
    service: `${metadata.namespace}/${service}`,
    endpoints: ready.map(({ hostname, addresses }) => ({
      hostname: hostname ? hostname.toLowerCase() : null,
      addresses: addresses.flatMap(address => canonicalAddress(address) ?? []),
    })),
    ports: (ports ?? []).flatMap(({ port, ...rest }) => (port ? [portOf({ ...rest, port })] : [])),
  }
}

const portOf = (each: { name?: string; protocol?: string; port: number }): DnsPort => ({
  name: (each.name ?? '').toLowerCase(),
  protocol: (each.protocol ?? 'TCP').toLowerCase(),
  port: each.port,
})
