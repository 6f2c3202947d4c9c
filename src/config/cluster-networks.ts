/** The networks of a cluster, of one family or two (pure). */
import type { ClusterConfig } from './node-config.ts'

type Networks = Pick<ClusterConfig, 'serviceCidr' | 'podCidr' | 'ipv6'>

/** That of IPv4 first. */
export const podNetworks = ({ podCidr, ipv6 }: Pick<Networks, 'podCidr' | 'ipv6'>): readonly string[] =>
  ipv6 === undefined ? [podCidr] : [podCidr, ipv6.podCidr]

/** That of IPv4 first. */
export const serviceNetworks = ({
  serviceCidr,
  ipv6,
}: Pick<Networks, 'serviceCidr' | 'ipv6'>): readonly string[] =>
  ipv6 === undefined ? [serviceCidr] : [serviceCidr, ipv6.serviceCidr]
