/** The records of one Service and of its endpoints (specification, 2.3 to 2.5). Pure. */
import type { DnsEndpoint, DnsPort, DnsService, DnsSlice } from './messages.ts'
import { type DnsRecord, TYPE } from './record-types.ts'

/** Records, or null for a name that is not there. An empty list is a name without records of this type. */
export type Found = {
  readonly answers: readonly DnsRecord[]
  readonly additionals?: readonly DnsRecord[]
} | null

/** Clients ask a cache on their own machine, so that asking often costs little and changes are seen soon. */
export const TTL_SECONDS = 5

export interface Asked {
  readonly service: DnsService
  readonly slices: readonly DnsSlice[]
  /** The name in question, in lower case. */
  readonly name: string
  /** `web.default.svc.cluster.local`. */
  readonly serviceName: string
  /** The labels in front of that, the nearest first. */
  readonly rest: readonly string[]
  readonly type: number
}

const WEIGHT_SUM = 100

export function serviceAnswers(asked: Asked): Found {
  const { service, rest } = asked
  if (service.kind === 'external-name') return rest.length === 0 ? alias(asked) : null
  const [first, second, ...more] = rest
  if (more.length > 0) return null
  if (first === undefined) return ofService(asked)
  if (isProtocol(first)) return ofPort(asked, first.slice(1), second)
  return second === undefined ? ofEndpoint(asked, first) : null
}

const isProtocol = (label: string) => /^_(tcp|udp|sctp)$/.test(label)

/** `10-1-0-7` where the endpoint has no name. */
export function endpointName({ hostname }: DnsEndpoint, address: string): string {
  if (hostname !== null) return hostname
  return address.replaceAll(/[.:]/g, '-')
}

function alias({ name, service }: Asked): Found {
  return { answers: [{ type: 'CNAME', name, ttl: TTL_SECONDS, target: service.target }] }
}

function ofService(asked: Asked): Found {
  const { service, slices, name, type } = asked
  const isHeadless = service.kind === 'headless'
  const addresses = isHeadless ? addressesOf(slices) : service.addresses
  // The specification has it that a headless service without ready endpoints is not there.
  if (isHeadless && addresses.length === 0) return null
  if (type === TYPE.SRV) return portRecords(asked, () => true)
  return { answers: addressRecords(name, addresses, type) }
}

/** `_http._tcp.web…`; with `port` absent, what lies above the ports of one protocol. */
function ofPort(asked: Asked, protocol: string, port: string | undefined): Found {
  const isMeant = (each: DnsPort) =>
    each.protocol === protocol && each.name !== '' && (port === undefined || `_${each.name}` === port)
  const found = portRecords(asked, isMeant)
  if (found.answers.length === 0) return null
  return port !== undefined && (asked.type === TYPE.SRV || asked.type === TYPE.ANY) ? found : { answers: [] }
}

function ofEndpoint({ slices, name, type }: Asked, label: string): Found {
  const addresses = slices
    .flatMap(({ endpoints }) => endpoints)
    .flatMap(endpoint => endpoint.addresses.filter(address => endpointName(endpoint, address) === label))
  if (addresses.length === 0) return null
  return { answers: addressRecords(name, [...new Set(addresses)], type) }
}

const addressesOf = (slices: readonly DnsSlice[]): string[] => [
  ...new Set(slices.flatMap(({ endpoints }) => endpoints.flatMap(({ addresses }) => addresses))),
]

function addressRecords(name: string, addresses: readonly string[], type: number): DnsRecord[] {
  const wanted = type === TYPE.ANY ? TYPE.A : type
  return addresses
    .filter(address => TYPE[familyOf(address)] === wanted)
    .map(address => ({ type: familyOf(address), name, ttl: TTL_SECONDS, address }))
}

const familyOf = (address: string): 'A' | 'AAAA' => (address.includes(':') ? 'AAAA' : 'A')

interface Target {
  readonly port: number
  readonly target: string
  readonly addresses: readonly string[]
}

function portRecords(asked: Asked, isMeant: (port: DnsPort) => boolean) {
  const { service, serviceName, slices, name } = asked
  const targets =
    service.kind === 'headless'
      ? slices.flatMap(slice => endpointTargets(slice, serviceName, isMeant))
      : service.ports
          .filter(isMeant)
          .map(({ port }) => ({ port, target: serviceName, addresses: service.addresses }))
  const unique = [...new Map(targets.map(each => [`${each.port} ${each.target}`, each])).values()]
  const weight = Math.max(1, Math.floor(WEIGHT_SUM / Math.max(1, unique.length)))
  const hosts = new Map(
    targets.flatMap(each =>
      each.addresses.map(address => [`${each.target} ${address}`, { ...each, address }]),
    ),
  )
  return {
    answers: unique.map(
      ({ port, target }): DnsRecord => ({ type: 'SRV', name, ttl: TTL_SECONDS, weight, port, target }),
    ),
    additionals: Array.from(
      hosts.values(),
      ({ target, address }): DnsRecord => ({
        type: familyOf(address),
        name: target,
        ttl: TTL_SECONDS,
        address,
      }),
    ),
  }
}

function endpointTargets(
  { endpoints, ports }: DnsSlice,
  serviceName: string,
  isMeant: (port: DnsPort) => boolean,
): Target[] {
  return ports.filter(isMeant).flatMap(({ port }) =>
    endpoints.flatMap(endpoint =>
      endpoint.addresses.map(address => ({
        port,
        target: `${endpointName(endpoint, address)}.${serviceName}`,
        addresses: [address],
      })),
    ),
  )
}
