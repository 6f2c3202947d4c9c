/** The node affinity that a profile adds to every pod's own: arguments of NodeAffinity. */
import { isMap, type JsonMap } from '../../kube/json-map.ts'
import type { AddedAffinity, Profile } from './profile.ts'
import { refuseOthers } from './refuse-others.ts'

const REQUIRED = 'requiredDuringSchedulingIgnoredDuringExecution'
const PREFERRED = 'preferredDuringSchedulingIgnoredDuringExecution'
const OPERATORS = ['In', 'NotIn', 'Exists', 'DoesNotExist', 'Gt', 'Lt']
const FIELD_OPERATORS = ['In', 'NotIn']
const WEIGHT_MAX = 100

export function readNodeAffinity(
  args: JsonMap,
  path: string,
  problems: string[],
): Partial<Pick<Profile, 'addedAffinity'>> {
  refuseOthers(args, ['addedAffinity'], path, problems)
  const { addedAffinity } = args
  if (!isMap(addedAffinity)) return {}
  const here = `${path}.addedAffinity`
  refuseOthers(addedAffinity, [REQUIRED, PREFERRED], here, problems, false)
  const { [REQUIRED]: required, [PREFERRED]: preferred } = addedAffinity
  if (required !== undefined) {
    const terms = isMap(required) ? listOf(required['nodeSelectorTerms']) : []
    const at = `${here}.${REQUIRED}.nodeSelectorTerms`
    if (terms.length === 0) problems.push(`${at}: Required value: must have at least one node selector term`)
    for (const [index, term] of terms.entries()) checkTerm(term, `${at}[${index}]`, problems)
  }
  for (const [index, one] of listOf(preferred).entries()) {
    const at = `${here}.${PREFERRED}[${index}]`
    const { weight } = one
    if (!Number.isInteger(weight) || Number(weight) < 1 || Number(weight) > WEIGHT_MAX)
      problems.push(`${at}.weight: Invalid value: ${JSON.stringify(weight)}: must be in the range 1-100`)
    checkTerm(isMap(one['preference']) ? one['preference'] : {}, `${at}.preference`, problems)
  }
  // It has just been looked through.
  return { addedAffinity: addedAffinity as unknown as AddedAffinity }
}

function checkTerm(term: JsonMap, path: string, problems: string[]): void {
  refuseOthers(term, ['matchExpressions', 'matchFields'], path, problems, false)
  for (const [index, one] of listOf(term['matchExpressions']).entries())
    checkRequirement(one, OPERATORS, `${path}.matchExpressions[${index}]`, problems)
  for (const [index, one] of listOf(term['matchFields']).entries())
    checkRequirement(one, FIELD_OPERATORS, `${path}.matchFields[${index}]`, problems)
}

function checkRequirement(
  { key, operator, values }: JsonMap,
  operators: readonly string[],
  path: string,
  problems: string[],
): void {
  if (typeof key !== 'string' || key === '') problems.push(`${path}.key: Required value`)
  const count = Array.isArray(values) ? values.length : 0
  const invalid = `${path}.values: Invalid value: ${JSON.stringify(values ?? [])}`
  if (!operators.includes(String(operator)))
    problems.push(`${path}.operator: Unsupported value: ${JSON.stringify(operator)}: ${operators.join(', ')}`)
  else if ((operator === 'In' || operator === 'NotIn') && count === 0)
    problems.push(`${path}.values: Required value: must be specified when \`operator\` is 'In' or 'NotIn'`)
  else if ((operator === 'Exists' || operator === 'DoesNotExist') && count > 0)
    problems.push(`${invalid}: may not be specified when \`operator\` is 'Exists' or 'DoesNotExist'`)
  else if ((operator === 'Gt' || operator === 'Lt') && count !== 1)
    problems.push(`${invalid}: must be specified single value when \`operator\` is 'Lt' or 'Gt'`)
}

const listOf = (value: unknown): JsonMap[] =>
  (Array.isArray(value) ? value : []).map(one => (isMap(one) ? one : {}))
