/** Node selectors and node affinity: which nodes a pod may and which it would rather run on. */
import type { Node, Pod } from '../../client/kinds.ts'
import { hasLabels, matchesRequirement, type Requirement } from '../../client/label-selector.ts'

interface SelectorTerm {
  readonly matchExpressions?: readonly Requirement[]
  readonly matchFields?: readonly Requirement[]
}

export function matchesNodeSelection(pod: Pod, node: Node): boolean {
  if (!hasLabels(pod.spec?.nodeSelector, node.metadata.labels)) return false
  const required = pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
  if (required === undefined) return true
  return required.nodeSelectorTerms.some(term => matchesTerm(term, node))
}

/** The sum of the weights of the preferences that the node meets. */
export function preferredAffinityScore(pod: Pod, node: Node): number {
  const preferred = pod.spec?.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []
  return preferred
    .filter(each => matchesTerm(each.preference, node))
    .reduce((sum, each) => sum + each.weight, 0)
}

/** An empty term matches nothing. */
function matchesTerm(term: SelectorTerm, node: Node): boolean {
  const expressions = term.matchExpressions ?? []
  const fields = term.matchFields ?? []
  if (expressions.length === 0 && fields.length === 0) return false
  const fieldValues = { 'metadata.name': node.metadata.name ?? '' }
  return (
    expressions.every(each => matchesRequirement(each, node.metadata.labels)) &&
    fields.every(each => matchesRequirement(each, fieldValues))
  )
}
