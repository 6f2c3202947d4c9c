/** The families that Services of a cluster have addresses of (pure). */
import type { ClusterSettings } from '../strategy.ts'

export type IpFamily = 'IPv4' | 'IPv6'

/** The first one is what a Service gets that says nothing. */
export function familiesOf(settings: ClusterSettings | undefined): readonly IpFamily[] {
  const isSix = settings?.serviceCidr.includes(':') === true
  const hasBoth = settings?.ipv6 !== undefined || settings?.ipv4 !== undefined
  const families: readonly IpFamily[] = isSix ? ['IPv6', 'IPv4'] : ['IPv4', 'IPv6']
  return hasBoth ? families : families.slice(0, 1)
}
