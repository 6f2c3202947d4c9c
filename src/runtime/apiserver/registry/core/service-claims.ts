/** Cluster IPs and node ports: checks those asked for, chooses those that are not. */
import { canonicalAddress } from '../../../../kube/cidr.ts'
import type { FieldError } from '../../../../kube/field-error.ts'
import { forbidden, invalid } from '../../../../kube/field-error.ts'
import type { Service } from '../../../../kube/types.ts'
import type { Claim, ClaimPool, StrategyContext } from '../strategy.ts'
import { at } from '../support.ts'
import { addressInNetwork, networkOf } from '../validation/addresses.ts'
import { needsClusterIp, needsHealthPort, needsNodePorts } from './service-defaults.ts'
import { familiesOf } from './service-families.ts'

/** Tries at random before every value is looked at in turn. */
const RANDOM_TRIES = 64
/** The first address is the API server's own, the tenth DNS's: given only to who asks for it. */
const RESERVED_OFFSETS: ReadonlySet<number> = new Set([1, 10])

export interface ClaimResult {
  readonly claims: readonly Claim[]
  readonly errors: readonly FieldError[]
}

interface Round {
  readonly service: Service
  readonly previous: Service | null
  readonly pool: ClaimPool
  readonly context: StrategyContext
  readonly claims: Claim[]
  readonly errors: FieldError[]
}

export function claimForService(
  service: Service,
  previous: Service | null,
  pool: ClaimPool,
  context: StrategyContext,
): ClaimResult {
  const round: Round = { service, previous, pool, context, claims: [], errors: [] }
  if (needsClusterIp(service)) claimAddresses(round)
  if (needsNodePorts(service) || hasNodePorts(service)) claimPorts(round)
  if (needsHealthPort(service)) claimHealthPort(round)
  return { claims: round.claims, errors: round.errors }
}

const hasNodePorts = (service: Service): boolean =>
  service.spec?.type !== 'ClusterIP' && (service.spec?.ports ?? []).some(port => port.nodePort)

/** One of each family that the service has, in its order; those that it holds already stay. */
function claimAddresses(round: Round): void {
  const { service, previous, pool, context } = round
  const spec = service.spec
  if (!spec || spec.clusterIP === 'None') return
  const families = spec.ipFamilies?.length ? spec.ipFamilies : familiesOf(context.settings).slice(0, 1)
  const wanted = spec.clusterIPs?.length ? spec.clusterIPs : [spec.clusterIP ?? '']
  const held = previous?.spec?.clusterIPs ?? [previous?.spec?.clusterIP]
  const addresses: string[] = []
  for (const [index, family] of families.entries()) {
    const networks = networksFor(family, round)
    const address = wanted[index] || chooseAddress(networks, pool, context)
    if (!address) {
      round.errors.push(invalid('spec.clusterIPs', null, 'failed to allocate IP 0: range is full'))
      return
    }
    const claim: Claim = { space: 'service-ip', value: canonicalAddress(address) ?? address }
    const problem = held.includes(address) ? null : addressProblem(claim, networks, pool)
    if (wanted[index] && problem !== null) {
      round.errors.push(invalid('spec.clusterIPs', wanted, problem))
      return
    }
    addresses.push(address)
    round.claims.push(claim)
  }
  spec.clusterIP = addresses[0] ?? ''
  spec.clusterIPs = addresses
}

/** The cluster's own first, which is there whatever becomes of its ServiceCIDR. */
function networksFor(family: string, { context: { settings }, pool }: Round): readonly string[] {
  const networks = [settings.serviceCidr, settings.ipv6?.serviceCidr, settings.ipv4?.serviceCidr]
  const isOfFamily = (network: string | undefined) => network?.includes(':') === (family === 'IPv6')
  const own = networks.find(isOfFamily) ?? settings.serviceCidr
  return [...new Set([own, ...pool.serviceNetworks().filter(isOfFamily)])]
}

function addressProblem(claim: Claim, networks: readonly string[], pool: ClaimPool): string | null {
  const failed = `failed to allocate IP ${claim.value}:`
  if (!networks.some(network => addressInNetwork(claim.value, network))) {
    const range = networks.join(', ')
    return `${failed} the provided IP (${claim.value}) is not in the valid range. The range of valid IPs is ${range}`
  }
  return pool.isFree(claim) ? null : `${failed} provided IP is already allocated`
}

/** Of a large network of IPv6 only as many as can be counted are ever given. */
const COUNTED_MAX = 2 ** 48

/** In the first network that has one left. */
function chooseAddress(
  networks: readonly string[],
  pool: ClaimPool,
  context: StrategyContext,
): string | null {
  for (const network of networks) {
    const address = chooseIn(network, pool, context)
    if (address !== null) return address
  }
  return null
}

function chooseIn(range: string, pool: ClaimPool, context: StrategyContext): string | null {
  const network = networkOf(range)
  const hosts = Math.min(network.size - 2, COUNTED_MAX)
  const isUsable = (offset: number) =>
    !RESERVED_OFFSETS.has(offset) && pool.isFree({ space: 'service-ip', value: network.address(offset) })
  const offset = choose({ count: hosts, random: context.random, isUsable: index => isUsable(index + 1) })
  return offset === null ? null : network.address(offset + 1)
}

/** An index below `count` that is usable: at random first, then the next one after a random start. */
function choose(parts: {
  count: number
  random: () => number
  isUsable: (index: number) => boolean
}): number | null {
  const { count, random, isUsable } = parts
  if (count <= 0) return null
  for (let attempt = 0; attempt < RANDOM_TRIES; attempt++) {
    const index = Math.floor(random() * count)
    if (isUsable(index)) return index
  }
  const start = Math.floor(random() * count)
  for (let step = 0; step < count; step++) {
    const index = (start + step) % count
    if (isUsable(index)) return index
  }
  return null
}

const claimOfPort = (port: number, protocol: string): Claim => ({
  space: 'node-port',
  value: `${port}/${protocol}`,
})

/** Asked-for ports first, so that none of them is chosen for another port of the same service. */
function claimPorts(round: Round): void {
  const ports = round.service.spec?.ports ?? []
  for (const [index, port] of ports.entries()) {
    if (!port.nodePort) continue
    takePort(round, `${at('spec.ports', index)}.nodePort`, port.nodePort, port.protocol ?? 'TCP')
  }
  if (!needsNodePorts(round.service)) return
  for (const [index, port] of ports.entries()) {
    if (port.nodePort) continue
    const shared = portOfSibling(round, port)
    const chosen = shared ?? choosePort(round, port.protocol ?? 'TCP')
    if (chosen === null) {
      const detail = 'failed to allocate a nodePort: range is full'
      round.errors.push(invalid(`${at('spec.ports', index)}.nodePort`, 0, detail))
      return
    }
    port.nodePort = chosen
    round.claims.push(claimOfPort(chosen, port.protocol ?? 'TCP'))
  }
}

/** One port number with two protocols gets one node port, when it is free for both. */
function portOfSibling(round: Round, port: { port: number; protocol?: string }): number | null {
  const protocol = port.protocol ?? 'TCP'
  for (const other of round.service.spec?.ports ?? []) {
    if (other.port !== port.port || other.protocol === protocol || !other.nodePort) continue
    if (isPortUsable(round, other.nodePort, protocol)) return other.nodePort
  }
  return null
}

function isPortUsable(round: Round, port: number, protocol: string): boolean {
  const claim = claimOfPort(port, protocol)
  return !round.claims.some(item => item.value === claim.value) && round.pool.isFree(claim)
}

function choosePort(round: Round, protocol: string): number | null {
  const { first, last } = round.context.settings.nodePorts
  const index = choose({
    count: last - first + 1,
    random: round.context.random,
    isUsable: offset => isPortUsable(round, first + offset, protocol),
  })
  return index === null ? null : first + index
}

function takePort(round: Round, field: string, port: number, protocol: string): void {
  const { first, last } = round.context.settings.nodePorts
  const claim = claimOfPort(port, protocol)
  const held = (round.previous?.spec?.ports ?? []).some(
    item => item.nodePort === port && (item.protocol ?? 'TCP') === protocol,
  )
  if (!held && (port < first || port > last)) {
    const detail = `provided port is not in the valid range. The range of valid ports is ${first}-${last}`
    round.errors.push(invalid(field, port, detail))
  } else if (!held && !isPortUsable(round, port, protocol)) {
    round.errors.push(invalid(field, port, 'provided port is already allocated'))
  } else {
    round.claims.push(claim)
  }
}

function claimHealthPort(round: Round): void {
  const spec = round.service.spec
  if (!spec) return
  const wanted = spec.healthCheckNodePort
  const field = 'spec.healthCheckNodePort'
  if (wanted) {
    if (wanted === round.previous?.spec?.healthCheckNodePort) round.claims.push(claimOfPort(wanted, 'TCP'))
    else takePort(round, field, wanted, 'TCP')
    return
  }
  const chosen = choosePort(round, 'TCP')
  if (chosen === null) {
    round.errors.push(forbidden(field, 'failed to allocate a HealthCheck NodePort: range is full'))
    return
  }
  spec.healthCheckNodePort = chosen
  round.claims.push(claimOfPort(chosen, 'TCP'))
}
