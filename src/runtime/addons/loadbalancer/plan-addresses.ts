/**
 * Which Service has which addresses. Pure: the statuses of all Services are the table, whoever holds an address
 * rightly keeps it, older Services choose first, and two have the same only where both agreed to share it.
 */
import { formatAddress, parseAddress } from '../../../kube/cidr.ts'
import { equalJson } from '../../../kube/equality.ts'
import type { Service } from '../../../kube/types.ts'
import { annotationOf, FROM_POOL, ingressOf, isOurs, keyOfService, type Pool } from './address-pool.ts'

export type Decision =
  | {
      readonly kind: 'assign'
      readonly service: Service
      readonly pool: string
      readonly addresses: string[]
    }
  /** It is no load balancer of ours any more. */
  | { readonly kind: 'release'; readonly service: Service }
  /** It gets nothing, and loses what it must not have. */
  | { readonly kind: 'refuse'; readonly service: Service; readonly reason: string; readonly message: string }

/** Only what is to be changed or told. */
export function planAddresses(services: readonly Service[], pools: readonly Pool[]): Decision[] {
  const table = new AddressTable()
  const ours = services.filter(isOurs).toSorted(byAge)
  const decisions: Decision[] = services
    .filter(service => !isOurs(service) && service.metadata.annotations?.[FROM_POOL] !== undefined)
    .map(service => ({ kind: 'release', service }))
  const waiting: Service[] = []
  for (const service of ours) {
    const pool = keptPool(service, pools, table)
    if (pool === null) waiting.push(service)
    else {
      const addresses = ingressOf(service)
      for (const address of addresses) table.take(address, service)
      const isNoted = service.metadata.annotations?.[FROM_POOL] === pool.name
      if (!isNoted) decisions.push({ kind: 'assign', service, pool: pool.name, addresses })
    }
  }
  // What is about to be deleted keeps what it has, and gets nothing new.
  const alive = waiting.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
  // Until its status says otherwise, an address is not given to the next one.
  for (const service of waiting) for (const address of ingressOf(service)) table.leave(address, service)
  for (const service of alive) decisions.push(choose(service, pools, table))
  return decisions
}

/** How many addresses of a pool are in use. */
export function assignedOf(services: readonly Service[], pool: Pool): number {
  const used = services.filter(isOurs).flatMap(ingressOf)
  return new Set(used.filter(address => contains(pool, address))).size
}

const byAge = (a: Service, b: Service): number =>
  `${a.metadata.creationTimestamp}/${keyOfService(a)}` < `${b.metadata.creationTimestamp}/${keyOfService(b)}`
    ? -1
    : 1

interface Holder {
  readonly key: string
  readonly ports: ReadonlySet<string>
  readonly sharing: string
  readonly isLocal: boolean
  readonly selector: unknown
}

class AddressTable {
  readonly #holders = new Map<string, Holder[]>()
  readonly #leaving = new Map<string, string[]>()

  take(address: string, service: Service): void {
    this.#holders.set(address, [...(this.#holders.get(address) ?? []), holderOf(service)])
  }

  leave(address: string, service: Service): void {
    this.#leaving.set(address, [...(this.#leaving.get(address) ?? []), keyOfService(service)])
  }

  isFree(address: string, service: Service): boolean {
    const wants = holderOf(service)
    if (this.#leaving.get(address)?.some(key => key !== wants.key) === true) return false
    return (this.#holders.get(address) ?? []).every(each => mayShare(each, wants))
  }
}

function holderOf(service: Service): Holder {
  const ports = (service.spec?.ports ?? []).map(({ protocol = 'TCP', port }) => `${protocol}/${port}`)
  return {
    key: keyOfService(service),
    ports: new Set(ports),
    sharing: annotationOf(service, 'allow-shared-ip'),
    isLocal: service.spec?.externalTrafficPolicy === 'Local',
    selector: service.spec?.selector ?? null,
  }
}

/** The same key, no port in common, and one node that may announce it for both. */
function mayShare(a: Holder, b: Holder): boolean {
  if (a.sharing === '' || a.sharing !== b.sharing || !a.ports.isDisjointFrom(b.ports)) return false
  if (!a.isLocal && !b.isLocal) return true
  return a.isLocal === b.isLocal && equalJson(a.selector, b.selector)
}

interface Wish {
  readonly families: readonly (4 | 6)[]
  /** Fewer families will do. */
  readonly isPartial: boolean
  /** Canonical; empty: any. */
  readonly addresses: readonly string[]
  readonly pool: string
  readonly problem: string
}

function wishOf(service: Service): Wish {
  const { spec = {} } = service
  const families = (spec.ipFamilies ?? ['IPv4']).map(family => (family === 'IPv6' ? 6 : 4))
  const byAnnotation = annotationOf(service, 'loadBalancerIPs')
  const texts = (byAnnotation || spec.loadBalancerIP || '').split(',').map(text => text.trim())
  const wanted = texts.filter(text => text !== '').map(text => ({ text, address: parseAddress(text) }))
  const wrong = wanted.find(({ address }) => address === null)
  const addresses = wanted.flatMap(({ address }) => (address === null ? [] : [formatAddress(address)]))
  const asked = wanted.flatMap(({ address }) => (address === null ? [] : [address.family]))
  let problem = ''
  if (byAnnotation !== '' && spec.loadBalancerIP)
    problem = 'service can not have both spec.loadBalancerIP and the annotation loadBalancerIPs'
  else if (wrong !== undefined) problem = `invalid load balancer IP ${JSON.stringify(wrong.text)}`
  else if (new Set(asked).size !== asked.length) problem = 'more than one address of a family is asked for'
  else if (asked.some(family => !families.includes(family)))
    problem = `requested address ${addresses.join(',')} does not match the ipFamilies of the service`
  return {
    families: asked.length > 0 ? asked : families,
    isPartial: asked.length === 0 && spec.ipFamilyPolicy !== 'RequireDualStack',
    ...{ addresses, pool: annotationOf(service, 'address-pool'), problem },
  }
}

function contains({ ranges }: Pool, text: string): boolean {
  const address = parseAddress(text)
  if (address === null) return false
  const { family, value } = address
  return ranges.some(range => range.family === family && range.first <= value && value <= range.last)
}

/** The pool that all it has is from, if it may keep it. */
function keptPool(service: Service, pools: readonly Pool[], table: AddressTable): Pool | null {
  const has = ingressOf(service)
  const wish = wishOf(service)
  const pool = pools.find(each => has.every(address => contains(each, address)))
  if (has.length === 0 || pool === undefined || wish.problem !== '') return null
  if (wish.pool !== '' && wish.pool !== pool.name) return null
  if (wish.addresses.some(address => !has.includes(address))) return null
  const families = has.map(address => parseAddress(address)?.family ?? 4)
  if (new Set(families).size !== families.length) return null
  if (families.some(family => !wish.families.includes(family))) return null
  if (!wish.isPartial && families.length < wish.families.length) return null
  return has.every(address => table.isFree(address, service)) ? pool : null
}

function choose(service: Service, pools: readonly Pool[], table: AddressTable): Decision {
  const wish = wishOf(service)
  const refuse = (message: string): Decision => {
    const text = `Failed to allocate IP for "${keyOfService(service)}": ${message}`
    return { kind: 'refuse', service, reason: 'AllocationFailed', message: text }
  }
  if (wish.problem !== '') return refuse(wish.problem)
  if (wish.pool !== '' && !pools.some(({ name }) => name === wish.pool))
    return refuse(`unknown pool "${wish.pool}"`)
  const isAsked = wish.pool !== '' || wish.addresses.length > 0
  const candidates = pools.filter(({ name, autoAssign }) =>
    wish.pool !== '' ? name === wish.pool : autoAssign || isAsked,
  )
  const isFree = (address: string) => table.isFree(address, service)
  const found = candidates.map(pool => ({ pool, addresses: fromPool(pool, wish, isFree) }))
  const whole = found.find(({ addresses }) => addresses.length === wish.families.length)
  const best = whole ?? (wish.isPartial ? found.find(({ addresses }) => addresses.length > 0) : undefined)
  if (best === undefined) return refuse(whyNone(wish, candidates, isFree))
  for (const address of best.addresses) table.take(address, service)
  return { kind: 'assign', service, pool: best.pool.name, addresses: best.addresses }
}

function whyNone(wish: Wish, pools: readonly Pool[], isFree: (address: string) => boolean): string {
  const within = wish.pool === '' ? '' : ` in pool "${wish.pool}"`
  const outside = wish.addresses.find(address => !pools.some(pool => contains(pool, address)))
  if (outside !== undefined) return `"${outside}" is not allowed${within || ' in any pool'}`
  const taken = wish.addresses.find(address => !isFree(address))
  if (taken !== undefined) return `can't change sharing key or "${taken}" is in use by another service`
  return `no available IPs${within}`
}

function fromPool(pool: Pool, wish: Wish, isFree: (address: string) => boolean): string[] {
  if (wish.addresses.length > 0)
    return wish.addresses.filter(address => contains(pool, address) && isFree(address))
  return wish.families.flatMap(family => {
    const address = firstFree(pool, family, isFree)
    return address === null ? [] : [address]
  })
}

/** Ends soon in any range: as many are taken as there are Services. */
function firstFree({ ranges }: Pool, family: 4 | 6, isFree: (address: string) => boolean): string | null {
  for (const range of ranges.filter(each => each.family === family)) {
    for (let value = range.first; value <= range.last; value++) {
      const address = formatAddress({ family, value })
      if (isFree(address)) return address
    }
  }
  return null
}
