/** Node selectors and node affinity: which nodes a pod may and which it would rather run on. */

import type { Node, Pod } from '../kube/types.ts'
import { hasLabels, type Labels } from './has-labels.ts'

export const NOT_SELECTED = "node(s) didn't match Pod's node affinity/selector"

interface Requirement {
  readonly key: string
  readonly operator: string
  readonly values?: readonly string[]
}

function matchesRequirement(requirement: Requirement, labels: Labels): boolean {
  const value = labels?.[requirement.key]
  const values = requirement.values ?? []
  switch (requirement.operator) {
    case 'In':
      return value !== undefined && values.includes(value)
    case 'NotIn':
      return value === undefined || !values.includes(value)
    case 'Exists':
      return value !== undefined
    case 'DoesNotExist':
      return value === undefined
    case 'Gt':
      return isInteger(value) && isInteger(values[0]) && Number(value) > Number(values[0])
    case 'Lt':
      return isInteger(value) && isInteger(values[0]) && Number(value) < Number(values[0])
    default:
      return false
  }
}

const isInteger = (text: string | undefined): text is string => text !== undefined && /^-?\d+$/.test(text)

interface SelectorTerm {
  readonly matchExpressions?: readonly Requirement[]
  readonly matchFields?: readonly Requirement[]
}

interface Preference {
  readonly weight: number
  readonly preference: SelectorTerm
}

export function matchesNodeSelection(pod: Pod, node: Node): boolean {
  if (!hasLabels(pod.spec?.nodeSelector, node.metadata.labels)) return false
  const required = pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
  if (required === undefined) return true
  return required.nodeSelectorTerms.some(term => matchesTerm(term, node))
}

/** The sum of the weights of the preferences that the node meets. */
export function preferredAffinityScore(preferred: readonly Preference[], node: Node): number {
  return preferred
    .filter(each => matchesTerm(each.preference, node))
    .reduce((sum, each) => sum + each.weight, 0)
}

/** An empty term matches nothing. */
export function matchesTerm(term: SelectorTerm, node: Node): boolean {
  const expressions = term.matchExpressions ?? []
  const fields = term.matchFields ?? []
  if (expressions.length === 0 && fields.length === 0) return false
  const fieldValues = { 'metadata.name': node.metadata.name ?? '' }
  return (
    expressions.every(each => matchesRequirement(each, node.metadata.labels)) &&
    fields.every(each => matchesRequirement(each, fieldValues))
  )
}
