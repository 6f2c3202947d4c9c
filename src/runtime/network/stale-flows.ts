/** Which connections that the kernel remembers lead nowhere any more (pure). */
import type { PortPlan } from './port-plan.ts'
import { endsWithBackend } from './proxy-rules.ts'

/**
 * Arguments for `conntrack`. Datagrams of one sender count as a connection, which would go on to an endpoint that has
 * gone, or to nobody although there is an endpoint now. A connection to an API server that is forgotten meets another
 * one with its next packet, which refuses it.
 */
export function staleFlows(before: readonly PortPlan[], after: readonly PortPlan[]): string[][] {
  return before.flatMap(plan => {
    const { protocol, service, everywhere, local } = plan
    if (protocol !== 'UDP' && !endsWithBackend(plan)) return []
    const next = after.find(each => each.service === service && each.protocol === protocol)
    const kept = new Set([...(next?.everywhere ?? []), ...(next?.local ?? [])].map(({ address }) => address))
    const had = new Set([...everywhere, ...local].map(({ address }) => address))
    const gone = [...had].filter(address => !kept.has(address))
    const begins = had.size === 0 && kept.size > 0
    const isIpv6 = plan.clusterIps[0]?.includes(':') === true
    const deletion = (rest: readonly string[]) => [
      ...['-D', ...(isIpv6 ? ['-f', 'ipv6'] : []), '-p', protocol.toLowerCase()],
      ...rest,
    ]
    return placesOf(plan).flatMap(place => [
      ...gone.map(address => deletion([...place, '--dst-nat', address])),
      ...(begins && protocol === 'UDP' ? [deletion(place)] : []),
    ])
  })
}

/** Where clients send to. */
function placesOf({ clusterIps, externalIps, loadBalancerIps, port, nodePort }: PortPlan): string[][] {
  const addresses = [...clusterIps, ...externalIps, ...loadBalancerIps]
  const places = addresses.map(address => ['--orig-dst', address, '--orig-port-dst', String(port)])
  return nodePort === null ? places : [...places, ['--orig-port-dst', String(nodePort)]]
}
