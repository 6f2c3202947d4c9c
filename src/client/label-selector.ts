/** LabelSelector as controllers use it: matching labels, and the text form of the same selector. */
import type { LabelSelector } from './kinds.ts'

export type Labels = Readonly<Record<string, string>> | undefined

/** A selector with nothing in it matches everything; an absent one matches nothing. */
export function matchesSelector(selector: LabelSelector | undefined, labels: Labels): boolean {
  if (selector === undefined) return false
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) {
    if (labels?.[key] !== value) return false
  }
  return (selector.matchExpressions ?? []).every(each => matchesRequirement(each, labels))
}

export interface Requirement {
  readonly key: string
  readonly operator: string
  readonly values?: readonly string[]
}

/** In, NotIn, Exists, DoesNotExist, and for node selectors Gt and Lt too. */
export function matchesRequirement(requirement: Requirement, labels: Labels): boolean {
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

/** True when every pair of `wanted` is in `labels`; an empty `wanted` matches everything. */
export function hasLabels(wanted: Labels, labels: Labels): boolean {
  return Object.entries(wanted ?? {}).every(([key, value]) => labels?.[key] === value)
}

const isInteger = (text: string | undefined): text is string => text !== undefined && /^-?\d+$/.test(text)
