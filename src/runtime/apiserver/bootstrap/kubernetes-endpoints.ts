/** The endpoints of the service `kubernetes`: the API servers that are there (pure). */
import { MANAGED_BY_LABEL, SERVICE_NAME_LABEL } from '../../../kube/endpoint-slice-labels.ts'
import { familyOf } from '../../../kube/ip-family.ts'
import type { KubeObject } from '../../../kube/object.ts'

export interface ServerAddress {
  readonly address: string
  readonly port: number
}

/** The Endpoints object, and a slice for each family and port that the servers have. */
export function kubernetesEndpoints(servers: readonly ServerAddress[]): readonly KubeObject[] {
  const fit = servers.filter(({ address }) => isEndpointAddress(address))
  const groups = Map.groupBy(fit.toSorted(byAddress), ({ address, port }) => `${familyOf(address)}-${port}`)
  return [
    {
      apiVersion: 'v1',
      kind: 'Endpoints',
      metadata: metadataOf('kubernetes', { 'endpointslice.kubernetes.io/skip-mirror': 'true' }),
      subsets: [...groups.values()].map(group => ({
        addresses: group.map(({ address }) => ({ ip: address })),
        ports: portsOf(group),
      })),
    },
    ...[...groups].map(([key, group], index) => sliceOf(key, group, index === 0)),
  ]
}

/** Slices of the service that are not wanted any more. */
export function surplusSlices(present: readonly KubeObject[], wanted: readonly KubeObject[]): KubeObject[] {
  const isOurs = ({ metadata: { labels = {} } }: KubeObject) =>
    labels[SERVICE_NAME_LABEL] === 'kubernetes' && labels[MANAGED_BY_LABEL] === undefined
  const isWanted = (slice: KubeObject) =>
    wanted.some(({ kind, metadata }) => kind === 'EndpointSlice' && metadata.name === slice.metadata.name)
  return present.filter(slice => isOurs(slice) && !isWanted(slice))
}

/** As everywhere else, all servers share a port and a family; then there is one slice, named as upstream's. */
function sliceOf(key: string, group: readonly ServerAddress[], isFirst: boolean): KubeObject {
  const name = isFirst ? 'kubernetes' : `kubernetes-${key.toLowerCase()}`
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: metadataOf(name, { [SERVICE_NAME_LABEL]: 'kubernetes' }),
    addressType: familyOf(group[0]?.address ?? ''),
    endpoints: group.map(({ address }) => ({ addresses: [address], conditions: { ready: true } })),
    ports: portsOf(group),
  }
}

const metadataOf = (name: string, labels: Record<string, string>) => ({ name, namespace: 'default', labels })
const portsOf = ([first]: readonly ServerAddress[]) => [{ name: 'https', port: first?.port, protocol: 'TCP' }]
const byAddress = (a: ServerAddress, b: ServerAddress): number =>
  a.port - b.port || (a.address < b.address ? -1 : 1)

/** What validation accepts as an endpoint; a server that listens on "any address" has none to tell. */
const isEndpointAddress = (address: string): boolean => !['', '0.0.0.0', '::', '::1'].includes(address)
