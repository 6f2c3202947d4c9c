/** A node's share of the pod network: the first free /24, and of IPv6 the first free /64. */
import { formatCidr, parseCidr, subnet } from '../../../kube/cidr.ts'

const NODE_PREFIX = { 4: 24, 6: 64 } as const

/** `10.1.0.0/16` → its /24 networks that nobody has, the first of them; null when all are taken. */
export function planPodCidr(podCidr: string, taken: ReadonlySet<string>): string | null {
  const network = parseCidr(podCidr)
  if (network === null) return null
  const prefix = Math.max(network.prefixLength, NODE_PREFIX[network.family])
  const count = 2 ** (prefix - network.prefixLength)
  for (let index = 0; index < count; index++) {
    const candidate = subnet(network, prefix, index)
    if (candidate !== null && !taken.has(formatCidr(candidate))) return formatCidr(candidate)
  }
  return null
}

/** One of each network, or null when one of them has none left. */
export function planPodCidrs(podCidrs: readonly string[], taken: ReadonlySet<string>): string[] | null {
  const planned = podCidrs.flatMap(network => planPodCidr(network, taken) ?? [])
  return planned.length === podCidrs.length ? planned : null
}
