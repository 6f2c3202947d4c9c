/** The IPAddresses of Services' cluster IPs (pure). */
import { familyOf } from './ip-family.ts'
import type { IPAddress } from './types.ts'

const FAMILY_LABEL = 'ipaddress.kubernetes.io/ip-family'
const MANAGED_BY_LABEL = 'ipaddress.kubernetes.io/managed-by'
const ALLOCATOR = 'ipallocator.k8s.io'

/** What holds a cluster IP for a Service. */
export function clusterIpObject(
  { namespace = '', name = '' }: { readonly namespace?: string; readonly name?: string },
  address: string,
): IPAddress {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'IPAddress',
    metadata: {
      name: address,
      labels: { [FAMILY_LABEL]: familyOf(address), [MANAGED_BY_LABEL]: ALLOCATOR },
    },
    spec: { parentRef: { group: '', resource: 'services', namespace, name } },
  }
}

/** Whether it was made for a Service, not by somebody who keeps its address back. */
export const isOfCluster = ({ metadata }: IPAddress): boolean =>
  metadata.labels?.[MANAGED_BY_LABEL] === ALLOCATOR
