/** Which connections that the kernel remembers lead nowhere any more (pure). */
import type { Family } from './family.ts'
import type { PortPlan } from './port-plan.ts'
import { endsWithBackend } from './proxy-rules.ts'

/** Where clients send to, and what may answer them. */
export interface DoubtfulPlace {
  readonly family: Family
  readonly protocol: string
  /** Null for a node port. */
  readonly address: string | null
  readonly port: number
  /** `10.1.0.2 8080`. */
  readonly kept: ReadonlySet<string>
}

/** With more places, all connections are listed once. */
const LISTINGS_MAX = 16

/**
 * Datagrams of one sender count as a connection, which would go on to an endpoint that has gone, or to nobody although
 * there is an endpoint now, or a Service at all. A connection to an API server that is forgotten meets another one with
 * its next packet, which refuses it.
 */
export function doubtfulPlaces(
  before: readonly PortPlan[],
  after: readonly PortPlan[],
  family: Family,
): DoubtfulPlace[] {
  const keyOf = ({ service, protocol }: PortPlan) => `${service} ${protocol}`
  const had = new Map(before.map(plan => [keyOf(plan), plan]))
  const has = new Map(after.map(plan => [keyOf(plan), plan]))
  return [...new Map([...had, ...has])].flatMap(([key, plan]) => {
    if (plan.protocol !== 'UDP' && !endsWithBackend(plan)) return []
    const [old, next] = [had.get(key), has.get(key)]
    const [known, kept] = [backendsOf(old), backendsOf(next)]
    const isMoved = [...known].some(each => !kept.has(each)) || (known.size === 0 && kept.size > 0)
    const common = { family, protocol: plan.protocol.toLowerCase(), kept }
    const oldPlaces = old === undefined ? [] : placesOf(old)
    const places = new Map([...oldPlaces, ...(next === undefined ? [] : placesOf(next))])
    for (const [name] of isMoved ? [] : oldPlaces) places.delete(name)
    return Array.from(places.values(), place => ({ ...common, ...place }))
  })
}

const backendsOf = (plan: PortPlan | undefined): ReadonlySet<string> =>
  new Set([...(plan?.everywhere ?? []), ...(plan?.local ?? [])].map(each => `${each.address} ${each.port}`))

interface Place {
  readonly address: string | null
  readonly port: number
}

function placesOf({ clusterIps, externalIps, loadBalancerIps, port, nodePort }: PortPlan): [string, Place][] {
  const addresses = [...clusterIps, ...externalIps, ...loadBalancerIps]
  const places: Place[] = addresses.map(address => ({ address, port }))
  if (nodePort !== null) places.push({ address: null, port: nodePort })
  return places.map(place => [`${place.address} ${place.port}`, place])
}

/** Arguments for `conntrack` that show the connections in doubt. */
export function flowListings(places: readonly DoubtfulPlace[]): string[][] {
  const shown = places.map(place =>
    places.length > LISTINGS_MAX ? carrierOf(place) : [...carrierOf(place), ...placeWords(place)],
  )
  return [...new Map(shown.map(words => [words.join(' '), ['-L', ...words]])).values()]
}

const carrierOf = ({ family, protocol }: DoubtfulPlace) => [
  ...(family === 'IPv6' ? ['-f', 'ipv6'] : []),
  ...['-p', protocol],
]

const placeWords = ({ address, port }: Place) => [
  ...(address === null ? [] : ['--orig-dst', address]),
  ...['--orig-port-dst', String(port)],
]

/** Who is asked, and who answers. */
const FLOW = /^(\w+) .*?dst=(\S+) sport=\d+ dport=(\d+) .*?src=(\S+) dst=\S+ sport=(\d+) /

/** Arguments for `conntrack` that forget what it has listed and nobody answers any more. */
export function staleFlows(listed: string, places: readonly DoubtfulPlace[]): string[][] {
  const deletions = new Map<string, string[]>()
  for (const line of listed.split('\n')) {
    const [, protocol, asked, askedPort, answering = '', answeringPort = ''] = FLOW.exec(line) ?? []
    for (const place of places) {
      const isMeant =
        place.protocol === protocol &&
        String(place.port) === askedPort &&
        (place.address === null || place.address === asked)
      if (!isMeant || place.kept.has(`${answering} ${answeringPort}`)) continue
      const who = ['--reply-src', answering, '--reply-port-src', answeringPort]
      const words = ['-D', ...carrierOf(place), ...placeWords(place), ...who]
      deletions.set(words.join(' '), words)
    }
  }
  return [...deletions.values()]
}
