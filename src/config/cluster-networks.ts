/** The networks of a cluster, of one family or two (pure). */
import type { ClusterConfig, NetworkPair, RuntimeName } from './node-config.ts'

export type Networks = Pick<ClusterConfig, 'serviceCidr' | 'podCidr' | 'ipv6' | 'ipv4'>

/** Of the first family, and of the other one where there is one. */
const pairsOf = ({ serviceCidr, podCidr, ipv6, ipv4 }: Networks): readonly NetworkPair[] =>
  [{ serviceCidr, podCidr }, ipv6, ipv4].filter(pair => pair !== undefined)

/** The first family's first. */
export const podNetworks = (cluster: Networks): readonly string[] =>
  pairsOf(cluster).map(({ podCidr }) => podCidr)

/** The first family's first. */
export const serviceNetworks = (cluster: Networks): readonly string[] =>
  pairsOf(cluster).map(({ serviceCidr }) => serviceCidr)

export const isDualStack = (cluster: Networks): boolean => pairsOf(cluster).length > 1

/** Whether Services, nodes and the API have addresses of IPv6 unless something else is said. */
export const isIpv6First = ({ serviceCidr }: Pick<Networks, 'serviceCidr'>): boolean =>
  serviceCidr.includes(':')

/** A clause; undefined where nodes of this runtime can be in this cluster. */
export function networkProblem(
  cluster: Pick<Networks, 'serviceCidr'>,
  runtime: RuntimeName,
): string | undefined {
  if (!isIpv6First(cluster) || runtime === 'oci' || runtime === 'containerd') return undefined
  return `the runtime ${runtime} gives pods addresses of IPv4 only, and the first family of the cluster is IPv6`
}
