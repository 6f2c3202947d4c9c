/**
 * The names of the cluster, to Kubernetes' specification of DNS-based service discovery 1.1: what is known of
 * Services and their endpoints, and the records that a question about them gets. Pure.
 */
import { isIPv4, isIPv6 } from 'node:net'
import type { DnsChanges, DnsService, DnsSlice, ZoneConfig } from './messages.ts'
import { type DnsRecord, RCODE, TYPE } from './record-types.ts'
import { addressOfReverseName, isInNetworks } from './reverse-names.ts'
import { endpointName, type Found, serviceAnswers, TTL_SECONDS } from './service-answers.ts'

/** `elsewhere`: the name is not the cluster's. */
export type ZoneAnswer =
  | { readonly kind: 'elsewhere' }
  | {
      readonly kind: 'answer'
      readonly rcode: number
      readonly answers: readonly DnsRecord[]
      readonly authorities: readonly DnsRecord[]
      readonly additionals: readonly DnsRecord[]
      /** The records end with an alias of this name, which is not the cluster's. */
      readonly chase?: string
    }

export const SCHEMA_VERSION = '1.1.0'
/** Aliases in the cluster that lead to each other; more are a circle. */
const ALIASES_MAX = 8
const NOTHING: Found = { answers: [] }
const ELSEWHERE: ZoneAnswer = { kind: 'elsewhere' }

export class ClusterZone {
  readonly #config: ZoneConfig
  readonly #services = new Map<string, DnsService>()
  readonly #slices = new Map<string, DnsSlice>()
  /** Keys of the slices of a service. */
  readonly #slicesOf = new Map<string, Set<string>>()
  /** How many services a namespace has. */
  readonly #namespaces = new Map<string, number>()
  /** Keys of the services that have an address, or an endpoint with it. */
  readonly #byAddress = new Map<string, Set<string>>()
  #serial = 1

  constructor(config: ZoneConfig) {
    this.#config = config
  }

  change({ services, slices }: DnsChanges): void {
    this.#serial++
    for (const [key, value] of services) this.#putService(key, value)
    for (const [key, value] of slices) this.#putSlice(key, value)
  }

  /** `name` in lower case. */
  lookup(name: string, type: number): ZoneAnswer {
    const labels = this.#labelsBelow(name)
    if (labels === null) return this.#reverse(name, type)
    return this.#forward(name, labels, type)
  }

  /** Whether a name could be the cluster's, so that it must not be asked for elsewhere. */
  owns(name: string): boolean {
    if (this.#labelsBelow(name) !== null) return true
    const address = addressOfReverseName(name)
    return address !== null && isInNetworks(address, this.#config.networks)
  }

  /** The labels in front of the cluster's domain, or null. */
  #labelsBelow(name: string): string[] | null {
    const { domain } = this.#config
    if (name === domain) return []
    return name.endsWith(`.${domain}`) ? name.slice(0, -domain.length - 1).split('.') : null
  }

  #forward(name: string, first: readonly string[], type: number): ZoneAnswer {
    const answers: DnsRecord[] = []
    let labels = first
    let owner = name
    for (let aliases = 0; aliases < ALIASES_MAX; aliases++) {
      const found = this.#find(owner, labels, type)
      if (found === null) return this.#negative(RCODE.NXDOMAIN, answers)
      answers.push(...found.answers)
      const last = found.answers.at(-1)
      const isAlias = last?.type === 'CNAME' && type !== TYPE.CNAME
      if (!isAlias) {
        if (found.answers.length === 0) return this.#negative(RCODE.NOERROR, answers)
        const additionals = found.additionals ?? []
        return { kind: 'answer', rcode: RCODE.NOERROR, answers, authorities: [], additionals }
      }
      const below = this.#labelsBelow(last.target)
      const common = {
        kind: 'answer',
        rcode: RCODE.NOERROR,
        answers,
        authorities: [],
        additionals: [],
      } as const
      if (below === null) return { ...common, chase: last.target }
      ;[owner, labels] = [last.target, below]
    }
    return this.#negative(RCODE.SERVFAIL, [])
  }

  #negative(rcode: number, answers: readonly DnsRecord[]): ZoneAnswer {
    const soa = this.#soa(this.#config.domain)
    return { kind: 'answer', rcode, answers, authorities: [soa], additionals: [] }
  }

  #soa = (name: string): DnsRecord => ({ type: 'SOA', name, ttl: TTL_SECONDS, serial: this.#serial })

  #find(name: string, labels: readonly string[], type: number): Found {
    const [last, namespace, service, ...rest] = labels.toReversed()
    switch (last) {
      case undefined:
        return this.#apex(name, type)
      case 'svc':
        if (namespace === undefined) return NOTHING
        if (service === undefined) return this.#namespaces.has(namespace) ? NOTHING : null
        return this.#service(`${namespace}/${service}`, { name, rest, type })
      case 'pod':
        if (namespace === undefined || service === undefined) return NOTHING
        return rest.length === 0 ? podAnswer(name, service, type) : null
      case 'dns-version':
        if (namespace !== undefined) return null
        return type === TYPE.TXT || type === TYPE.ANY
          ? { answers: [{ type: 'TXT', name, ttl: TTL_SECONDS, text: SCHEMA_VERSION }] }
          : NOTHING
      case 'dns':
        if (namespace === undefined) return NOTHING
        return namespace === 'ns' && service === undefined ? this.#nameServer(name, type) : null
      default:
        return null
    }
  }

  #apex(name: string, type: number): Found {
    if (type === TYPE.SOA) return { answers: [this.#soa(name)] }
    if (type !== TYPE.NS && type !== TYPE.ANY) return NOTHING
    const target = `ns.dns.${name}`
    const additionals = this.#nameServer(target, TYPE.A)?.answers ?? []
    return { answers: [{ type: 'NS', name, ttl: TTL_SECONDS, target }], additionals }
  }

  #nameServer(name: string, type: number): Found {
    const address = this.#config.dnsAddress
    const own = address.includes(':') ? 'AAAA' : 'A'
    return type === TYPE[own] ? { answers: [{ type: own, name, ttl: TTL_SECONDS, address }] } : NOTHING
  }

  #service(key: string, asked: { name: string; rest: readonly string[]; type: number }): Found {
    const service = this.#services.get(key)
    if (service === undefined) return null
    const serviceName = asked.name.split('.').slice(asked.rest.length).join('.')
    return serviceAnswers({ ...asked, service, serviceName, slices: this.#slicesFor(key) })
  }

  #slicesFor(key: string): DnsSlice[] {
    const keys = this.#slicesOf.get(key) ?? []
    return Array.from(keys).flatMap(each => this.#slices.get(each) ?? [])
  }

  // ── names of addresses ───────────────────────────────────────────────────────────────────────────────

  #reverse(name: string, type: number): ZoneAnswer {
    const address = addressOfReverseName(name)
    if (address === null) return ELSEWHERE
    const targets = this.#namesOf(address)
    const common = { kind: 'answer', additionals: [] } as const
    const soa = () => this.#soa(name)
    if (targets.length === 0) {
      if (!isInNetworks(address, this.#config.networks)) return ELSEWHERE
      return { ...common, rcode: RCODE.NXDOMAIN, answers: [], authorities: [soa()] }
    }
    const isAsked = type === TYPE.PTR || type === TYPE.ANY
    const answers = isAsked ? targets.map(target => pointer(name, target)) : []
    return { ...common, rcode: RCODE.NOERROR, answers, authorities: isAsked ? [] : [soa()] }
  }

  #namesOf(address: string): string[] {
    const names: string[] = []
    for (const key of this.#byAddress.get(address) ?? []) {
      const [namespace, service] = key.split('/')
      const name = `${service}.${namespace}.svc.${this.#config.domain}`
      if (this.#services.get(key)?.addresses.includes(address)) names.push(name)
      const endpoints = this.#slicesFor(key).flatMap(slice => slice.endpoints)
      for (const endpoint of endpoints) {
        if (endpoint.addresses.includes(address)) names.push(`${endpointName(endpoint, address)}.${name}`)
      }
    }
    return [...new Set(names)]
  }

  // ── what is known ────────────────────────────────────────────────────────────────────────────────────

  #putService(key: string, value: DnsService | null): void {
    const before = this.#services.get(key)
    const [namespace = ''] = key.split('/')
    const count = (this.#namespaces.get(namespace) ?? 0) + (value === null ? 0 : 1) - (before ? 1 : 0)
    if (count > 0) this.#namespaces.set(namespace, count)
    else this.#namespaces.delete(namespace)
    if (value === null) this.#services.delete(key)
    else this.#services.set(key, value)
    this.#index(key, before?.addresses ?? [], value?.addresses ?? [])
  }

  #putSlice(key: string, value: DnsSlice | null): void {
    const before = this.#slices.get(key)
    const addressesOf = (slice: DnsSlice | null | undefined) =>
      slice?.endpoints.flatMap(({ addresses }) => addresses) ?? []
    if (before !== undefined) {
      this.#slices.delete(key)
      drop(this.#slicesOf, before.service, key)
      this.#index(before.service, addressesOf(before), [])
    }
    if (value === null) return
    this.#slices.set(key, value)
    add(this.#slicesOf, value.service, key)
    this.#index(value.service, [], addressesOf(value))
  }

  #index(service: string, before: readonly string[], now: readonly string[]): void {
    for (const address of before) if (!this.#has(service, address)) drop(this.#byAddress, address, service)
    for (const address of now) add(this.#byAddress, address, service)
  }

  #has(key: string, address: string): boolean {
    if (this.#services.get(key)?.addresses.includes(address)) return true
    const endpoints = this.#slicesFor(key).flatMap(slice => slice.endpoints)
    return endpoints.some(({ addresses }) => addresses.includes(address))
  }
}

function add(map: Map<string, Set<string>>, key: string, value: string): void {
  const known = map.get(key)
  if (known === undefined) map.set(key, new Set([value]))
  else known.add(value)
}

function drop(map: Map<string, Set<string>>, key: string, value: string): void {
  const known = map.get(key)
  known?.delete(value)
  if (known?.size === 0) map.delete(key)
}

const pointer = (name: string, target: string): DnsRecord => ({
  type: 'PTR',
  name,
  ttl: TTL_SECONDS,
  target,
})

/** `10-1-0-7`: the name says the address; nobody looks whether there is such a pod. */
function podAnswer(name: string, label: string, type: number): Found {
  const dotted = label.replaceAll('-', '.')
  if (isIPv4(dotted)) {
    const isAsked = type === TYPE.A || type === TYPE.ANY
    return isAsked ? { answers: [{ type: 'A', name, ttl: TTL_SECONDS, address: dotted }] } : NOTHING
  }
  const colons = label.replaceAll('-', ':')
  if (!isIPv6(colons)) return null
  return type === TYPE.AAAA
    ? { answers: [{ type: 'AAAA', name, ttl: TTL_SECONDS, address: colons }] }
    : NOTHING
}
