/** The custom resource AddressPool, and the words by which Services say what they want of it. Pure. */
import type { ResourceRef } from '../../../client/resources.ts'
import { parseAddress, parseCidr } from '../../../kube/cidr.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { Service } from '../../../kube/types.ts'
import { ADDON_API_VERSION, ADDON_GROUP } from '../addon-object.ts'

export const ADDRESS_POOLS: ResourceRef = {
  ...{ group: ADDON_GROUP, version: 'v1', resource: 'addresspools', namespaced: false },
}
export const ANNOUNCERS: ResourceRef = {
  ...{ group: ADDON_GROUP, version: 'v1', resource: 'announcers', namespaced: false },
}
export const ANNOUNCER = { apiVersion: ADDON_API_VERSION, kind: 'Announcer' } as const

export const ADDON = 'loadbalancer'
/** On a Service: from which pool its addresses are. Only such ones are announced. */
export const FROM_POOL = 'addons.mk8s.io/from-address-pool'
/** The class that a Service may ask for by name; without any it is ours, too. */
export const LOAD_BALANCER_CLASS = 'addons.mk8s.io/loadbalancer'

/** As MetalLB calls them, in its present and its earlier domain. */
const PREFIXES = ['addons.mk8s.io/', 'metallb.io/', 'metallb.universe.tf/']

export interface AddressPool extends KubeObject {
  readonly spec?: { readonly addresses?: readonly string[]; readonly autoAssign?: boolean }
  readonly status?: { readonly assigned?: number; readonly problem?: string }
}

export interface AddressRange {
  readonly family: 4 | 6
  readonly first: bigint
  readonly last: bigint
}

export interface Pool {
  readonly name: string
  readonly autoAssign: boolean
  readonly ranges: readonly AddressRange[]
  /** What of it cannot be used, and why; empty when all can. */
  readonly problem: string
}

/** `10.0.0.1-10.0.0.9`, a network, or one address; null when it is none of them. */
export function parseRange(text: string): AddressRange | null {
  const cidr = parseCidr(text)
  if (cidr !== null) {
    const bits = BigInt((cidr.family === 4 ? 32 : 128) - cidr.prefixLength)
    return { family: cidr.family, first: cidr.base, last: cidr.base + (1n << bits) - 1n }
  }
  const [from = '', to = from, rest] = text.split('-')
  const [first, last] = [parseAddress(from.trim()), parseAddress(to.trim())]
  if (first === null || last === null || rest !== undefined) return null
  if (first.family !== last.family || first.value > last.value) return null
  return { family: first.family, first: first.value, last: last.value }
}

const overlaps = (a: AddressRange, b: AddressRange): boolean =>
  a.family === b.family && a.first <= b.last && b.first <= a.last

/** In the order of their names. An address that two pools have is the first one's. */
export function readPools(objects: readonly AddressPool[]): Pool[] {
  const sorted = objects.toSorted((a, b) => ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1))
  const pools: Pool[] = []
  for (const { metadata, spec } of sorted) {
    const problems: string[] = []
    const ranges = (spec?.addresses ?? []).flatMap(text => {
      const range = parseRange(text)
      if (range === null) problems.push(`${text} is no range of addresses`)
      const other = pools.find(pool => pool.ranges.some(each => range !== null && overlaps(each, range)))
      if (other !== undefined) problems.push(`${text} overlaps with pool ${other.name}`)
      return range === null || other !== undefined ? [] : [range]
    })
    const problem = problems.join('; ')
    pools.push({ name: metadata.name ?? '', autoAssign: spec?.autoAssign !== false, ranges, problem })
  }
  return pools
}

export const isOurs = ({ spec }: Service): boolean =>
  spec?.type === 'LoadBalancer' &&
  (spec.loadBalancerClass === undefined || spec.loadBalancerClass === LOAD_BALANCER_CLASS)

export function annotationOf({ metadata }: Service, name: string): string {
  const found = PREFIXES.map(prefix => metadata.annotations?.[`${prefix}${name}`])
  return found.find(value => value !== undefined)?.trim() ?? ''
}

export const keyOfService = ({ metadata }: Service): string => `${metadata.namespace}/${metadata.name}`

/** What its status says, in canonical text. */
export const ingressOf = ({ status }: Service): string[] =>
  (status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => (ip === undefined ? [] : [ip]))
