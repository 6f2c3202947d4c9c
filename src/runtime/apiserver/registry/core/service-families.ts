/** The families that Services of a cluster have addresses of (pure). */
import { familyOf, type IPFamily } from '../../../../kube/ip-family.ts'
import type { ClusterSettings } from '../strategy.ts'

/** The first one is what a Service gets that says nothing. */
export function familiesOf(settings: ClusterSettings | undefined): readonly IPFamily[] {
  const isSix = familyOf(settings?.serviceCidr ?? '') === 'IPv6'
  const hasBoth = settings?.ipv6 !== undefined || settings?.ipv4 !== undefined
  const families: readonly IPFamily[] = isSix ? ['IPv6', 'IPv4'] : ['IPv4', 'IPv6']
  return hasBoth ? families : families.slice(0, 1)
}
