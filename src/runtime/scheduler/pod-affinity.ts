/** Required affinity and anti-affinity between pods: counted once per pod over all nodes, then asked per node. */
import { selects } from '../../kube/labels.ts'
import type { Node, Pod } from '../../kube/types.ts'
import type { NodeInfo } from './node-info.ts'

type Affinity = NonNullable<NonNullable<Pod['spec']>['affinity']>
type Term = NonNullable<
  NonNullable<Affinity['podAffinity']>['requiredDuringSchedulingIgnoredDuringExecution']
>[number]

/** How many pods match a term in each of its domains. */
interface CountedTerm {
  readonly term: Term
  readonly counts: ReadonlyMap<string, number>
}

export interface AffinityState {
  readonly affinity: readonly CountedTerm[]
  readonly antiAffinity: readonly CountedTerm[]
  /** `key=value` of domains that pods already there keep this pod out of. */
  readonly closed: ReadonlySet<string>
  /** Nobody matches yet but the pod itself does: the first of a group may go anywhere. */
  readonly isFirstOfGroup: boolean
}

const requiredTerms = (pod: Pod): readonly Term[] =>
  pod.spec?.affinity?.podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []

export const requiredAntiTerms = (pod: Pod): readonly Term[] =>
  pod.spec?.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []

export function prepareAffinity(pod: Pod, nodes: readonly NodeInfo[]): AffinityState {
  const affinity = requiredTerms(pod).map(term => countTerm(pod, term, nodes))
  const antiAffinity = requiredAntiTerms(pod).map(term => countTerm(pod, term, nodes))
  const nobody = affinity.every(each => each.counts.size === 0)
  const isFirstOfGroup = nobody && affinity.every(each => matchesTerm(pod, each.term, pod))
  return { affinity, antiAffinity, closed: closedDomains(pod, nodes), isFirstOfGroup }
}

export type AffinityProblem = 'affinity' | 'anti-affinity' | 'existing-anti-affinity'

export function findAffinityProblem(state: AffinityState, node: Node): AffinityProblem | null {
  for (const { term, counts } of state.affinity) {
    const value = node.metadata.labels?.[term.topologyKey]
    if (value === undefined) return 'affinity'
    if ((counts.get(value) ?? 0) === 0 && !state.isFirstOfGroup) return 'affinity'
  }
  for (const { term, counts } of state.antiAffinity) {
    const value = node.metadata.labels?.[term.topologyKey]
    if (value !== undefined && (counts.get(value) ?? 0) > 0) return 'anti-affinity'
  }
  if (state.closed.size === 0) return null
  const isClosed = Object.entries(node.metadata.labels ?? {}).some(([key, value]) =>
    state.closed.has(`${key}=${value}`),
  )
  return isClosed ? 'existing-anti-affinity' : null
}

function countTerm(owner: Pod, term: Term, nodes: readonly NodeInfo[]): CountedTerm {
  const counts = new Map<string, number>()
  for (const info of nodes) {
    const value = info.node.metadata.labels?.[term.topologyKey]
    if (value === undefined) continue
    const count = info.pods().filter(other => matchesTerm(owner, term, other)).length
    if (count > 0) counts.set(value, (counts.get(value) ?? 0) + count)
  }
  return { term, counts }
}

function closedDomains(pod: Pod, nodes: readonly NodeInfo[]): Set<string> {
  const closed = new Set<string>()
  for (const info of nodes) {
    for (const other of info.podsWithAntiAffinity()) {
      for (const term of requiredAntiTerms(other)) {
        const value = info.node.metadata.labels?.[term.topologyKey]
        if (value !== undefined && matchesTerm(other, term, pod)) closed.add(`${term.topologyKey}=${value}`)
      }
    }
  }
  return closed
}

/** Whether `candidate` is one that the term of `owner` speaks of. */
function matchesTerm(owner: Pod, term: Term, candidate: Pod): boolean {
  const namespace = candidate.metadata.namespace ?? ''
  return matchesNamespace(owner, term, namespace) && selects(term.labelSelector, candidate.metadata.labels)
}

/** Of a namespace's labels only the one that holds its name is known here. */
function matchesNamespace(owner: Pod, term: Term, namespace: string): boolean {
  const named = term.namespaces ?? []
  if (named.length === 0 && term.namespaceSelector === undefined) {
    return namespace === (owner.metadata.namespace ?? '')
  }
  return (
    named.includes(namespace) || selects(term.namespaceSelector, { 'kubernetes.io/metadata.name': namespace })
  )
}
