/**
 * Affinity and anti-affinity between pods. What must hold is counted once per pod over all nodes, then asked per
 * node, and follows pods that are thought away or added; what is preferred becomes a score.
 */
import type { Node, Pod } from '../../kube/types.ts'
import type { NodeInfo } from './node-info.ts'
import { type PodTerm, termsOf } from './pod-terms.ts'
import type { NamespaceView, World } from './world.ts'

/** Pods by domain (`key=value`). */
type Counts = Map<string, number>

export interface AffinityState {
  readonly pod: Pod
  readonly namespaces: NamespaceView
  readonly affinity: readonly PodTerm[]
  readonly antiAffinity: readonly PodTerm[]
  /** Those that match all terms of the affinity, in the domains of each. */
  readonly wanted: Counts
  readonly unwanted: Counts
  /** Those that keep this pod out of the domain. */
  readonly closed: Counts
}

export type AffinityProblem = 'affinity' | 'anti-affinity' | 'existing-anti-affinity'

export function prepareAffinity(
  pod: Pod,
  nodes: readonly NodeInfo[],
  namespaces: NamespaceView,
): AffinityState {
  const { affinity, antiAffinity } = termsOf(pod)
  const counts = { wanted: new Map(), unwanted: new Map(), closed: new Map() }
  const state = { pod, namespaces, affinity, antiAffinity, ...counts }
  const isPicky = affinity.length > 0 || antiAffinity.length > 0
  for (const info of nodes) {
    if (isPicky) countOwn(state, info)
    if (info.hasTerms) countTheirs(state, info)
  }
  return state
}

function countOwn(state: AffinityState, info: NodeInfo): void {
  const { affinity, antiAffinity, namespaces, wanted, unwanted } = state
  if (affinity.length > 0) {
    const all = info.count(`all ${namespaces.version} ${affinity.map(({ id }) => id).join(' ')}`, other =>
      matchesAll(affinity, other, namespaces),
    )
    for (const term of affinity) raise(wanted, domainOf(term, info.node), all)
  }
  for (const term of antiAffinity) {
    raise(unwanted, domainOf(term, info.node), countTerm(term, info, namespaces))
  }
}

function countTheirs({ pod, namespaces, closed }: AffinityState, info: NodeInfo): void {
  for (const { kind, term, count } of info.terms()) {
    if (kind !== 'antiAffinity') continue
    const domain = domainOf(term, info.node)
    if (domain !== null && term.matches(pod, namespaces)) raise(closed, domain, count)
  }
}

/** As if one more pod, or one less, were on the node. */
export function changeAffinity(state: AffinityState, node: Node, other: Pod, sign: 1 | -1): void {
  const { pod, namespaces, affinity, antiAffinity, wanted, unwanted, closed } = state
  if (affinity.length > 0 && matchesAll(affinity, other, namespaces)) {
    for (const term of affinity) raise(wanted, domainOf(term, node), sign)
  }
  for (const term of antiAffinity) {
    if (term.matches(other, namespaces)) raise(unwanted, domainOf(term, node), sign)
  }
  for (const term of termsOf(other).antiAffinity) {
    if (term.matches(pod, namespaces)) raise(closed, domainOf(term, node), sign)
  }
}

export const copyAffinity = (state: AffinityState): AffinityState => ({
  ...state,
  wanted: new Map(state.wanted),
  unwanted: new Map(state.unwanted),
  closed: new Map(state.closed),
})

export function findAffinityProblem(state: AffinityState, node: Node): AffinityProblem | null {
  if (state.affinity.length > 0 && !hasCompany(state, node)) return 'affinity'
  for (const term of state.antiAffinity) {
    if (countIn(state.unwanted, term, node) > 0) return 'anti-affinity'
  }
  if (state.closed.size === 0) return null
  const isClosed = Object.entries(node.metadata.labels ?? {}).some(([key, value]) =>
    state.closed.has(`${key}=${value}`),
  )
  return isClosed ? 'existing-anti-affinity' : null
}

/** The first of a group, which nobody matches but itself, may go anywhere in a domain. */
function hasCompany({ pod, affinity, wanted, namespaces }: AffinityState, node: Node): boolean {
  if (affinity.some(term => domainOf(term, node) === null)) return false
  if (affinity.every(term => countIn(wanted, term, node) > 0)) return true
  return wanted.size === 0 && matchesAll(affinity, pod, namespaces)
}

/** What each domain is worth, by topology key. */
type Worth = Map<string, Map<string, number>>

/** More is better; null when nobody prefers anything. */
export function affinityScores(
  pod: Pod,
  all: readonly NodeInfo[],
  nodes: readonly NodeInfo[],
  { namespaces, profile }: Pick<World, 'namespaces' | 'profile'>,
): number[] | null {
  const { preferred, avoided } = termsOf(pod)
  const worth: Worth = new Map()
  for (const term of preferred) addOwn(worth, term, all, namespaces, 1)
  for (const term of avoided) addOwn(worth, term, all, namespaces, -1)
  const isIgnored = profile.ignoresPreferred && preferred.length === 0 && avoided.length === 0
  if (!isIgnored) addTheirs(worth, pod, all, { namespaces, profile })
  if (worth.size === 0) return null
  const byKey = [...worth]
  return nodes.map(({ node: { metadata } }) => {
    let sum = 0
    for (const [key, values] of byKey) sum += values.get(metadata.labels?.[key] ?? '') ?? 0
    return sum
  })
}

function addOwn(
  worth: Worth,
  term: PodTerm,
  all: readonly NodeInfo[],
  namespaces: NamespaceView,
  sign: 1 | -1,
): void {
  const key = `${namespaces.version} ${term.id}`
  const matches = (other: Pod) => term.matches(other, namespaces)
  for (const info of all) {
    const count = info.count(key, matches)
    if (count > 0) addWorth(worth, term, info.node, sign * term.weight * count)
  }
}

/** What pods that are there think of the pod. */
function addTheirs(
  worth: Worth,
  pod: Pod,
  all: readonly NodeInfo[],
  { namespaces, profile }: Pick<World, 'namespaces' | 'profile'>,
): void {
  const known = new Map<PodTerm, boolean>()
  for (const info of all) {
    if (!info.hasTerms) continue
    for (const { kind, term, count } of info.terms()) {
      if (kind === 'antiAffinity') continue
      const matches = known.get(term) ?? term.matches(pod, namespaces)
      known.set(term, matches)
      if (!matches) continue
      const weight =
        kind === 'affinity'
          ? profile.hardPodAffinityWeight
          : kind === 'preferred'
            ? term.weight
            : -term.weight
      if (weight !== 0) addWorth(worth, term, info.node, weight * count)
    }
  }
}

function addWorth(worth: Worth, { topologyKey }: PodTerm, { metadata }: Node, by: number): void {
  const value = metadata.labels?.[topologyKey]
  if (value === undefined) return
  const values = worth.get(topologyKey) ?? new Map<string, number>()
  worth.set(topologyKey, values)
  values.set(value, (values.get(value) ?? 0) + by)
}

const matchesAll = (terms: readonly PodTerm[], pod: Pod, namespaces: NamespaceView): boolean =>
  terms.every(term => term.matches(pod, namespaces))

const countTerm = (term: PodTerm, info: NodeInfo, namespaces: NamespaceView): number =>
  info.count(`${namespaces.version} ${term.id}`, other => term.matches(other, namespaces))

function domainOf({ topologyKey }: PodTerm, { metadata }: Node): string | null {
  const value = metadata.labels?.[topologyKey]
  return value === undefined ? null : `${topologyKey}=${value}`
}

const countIn = (counts: Counts, term: PodTerm, node: Node): number =>
  counts.get(domainOf(term, node) ?? '') ?? 0

function raise(counts: Counts, domain: string | null, by: number): void {
  if (domain === null || by === 0) return
  const sum = (counts.get(domain) ?? 0) + by
  if (sum === 0) counts.delete(domain)
  else counts.set(domain, sum)
}
