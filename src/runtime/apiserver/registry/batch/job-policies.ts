/** What a job says of its pods' failures, and of when it has succeeded. */
import {
  duplicate,
  invalid,
  invalidWhole,
  notSupported,
  required,
  tooLong,
  tooMany,
} from '../../../../kube/field-error.ts'
import { checkQualifiedName } from '../../../../kube/names.ts'
import type { JobSpec } from '../../../../kube/types.ts'
import { at } from '../support.ts'
import { checkEach, checkNonNegative, type Problems } from '../validation/meta.ts'
import { countIndexes } from './indexes.ts'

type FailureRule = NonNullable<NonNullable<JobSpec['podFailurePolicy']>['rules']>[number]
type ExitCodes = NonNullable<FailureRule['onExitCodes']>
type Conditions = NonNullable<FailureRule['onPodConditions']>
type SuccessRule = NonNullable<NonNullable<JobSpec['successPolicy']>['rules']>[number]

const RULES_MAX = 20
const CONDITIONS_MAX = 20
const CODES_MAX = 255
const INDEXES_BYTES_MAX = 64 * 1024
const ACTIONS = ['Count', 'FailIndex', 'FailJob', 'Ignore']
const STATUSES = ['False', 'True', 'Unknown']
const OPERATORS = ['In', 'NotIn']

/** One of a list; what is missing is told the whole list, in Go's way. */
function checkChoice(out: Problems, field: string, value: string, choices: readonly string[]): void {
  const quoted = choices.map(choice => JSON.stringify(choice)).join(' ')
  if (value === '') out.push(required(field, `valid values: [${quoted}]`))
  else if (!choices.includes(value)) out.push(notSupported(field, value, choices))
}

export function checkFailurePolicy(out: Problems, field: string, spec: JobSpec): void {
  if (!spec.podFailurePolicy) return
  const rules = spec.podFailurePolicy.rules ?? []
  if (rules.length > RULES_MAX) out.push(tooMany(`${field}.rules`, rules.length, RULES_MAX))
  const pod = spec.template?.spec
  const names = [...(pod?.containers ?? []), ...(pod?.initContainers ?? [])].map(({ name }) => name)
  const hasOwnLimit = spec.backoffLimitPerIndex !== undefined
  for (const [index, rule] of rules.entries()) {
    checkFailureRule(out, at(`${field}.rules`, index), rule, { names, hasOwnLimit })
  }
}

interface Surroundings {
  readonly names: readonly string[]
  readonly hasOwnLimit: boolean
}

function checkFailureRule(out: Problems, field: string, rule: FailureRule, around: Surroundings): void {
  const { action = '', onExitCodes, onPodConditions = [] } = rule
  if (action === 'FailIndex' && !around.hasOwnLimit) {
    out.push(invalid(`${field}.action`, action, 'requires the backoffLimitPerIndex to be set'))
  }
  checkChoice(out, `${field}.action`, action, ACTIONS)
  if (onExitCodes) checkExitCodes(out, `${field}.onExitCodes`, onExitCodes, around.names)
  if (onPodConditions.length > 0) checkConditions(out, `${field}.onPodConditions`, onPodConditions)
  const both = onExitCodes !== undefined && onPodConditions.length > 0
  const neither = onExitCodes === undefined && onPodConditions.length === 0
  const what = 'OnExitCodes and OnPodConditions is'
  if (both) out.push(invalidWhole(field, `specifying both ${what} not supported`))
  if (neither) out.push(invalidWhole(field, `specifying one of ${what} required`))
}

function checkConditions(out: Problems, field: string, patterns: Conditions): void {
  if (patterns.length > CONDITIONS_MAX) out.push(tooMany(field, patterns.length, CONDITIONS_MAX))
  for (const [index, { type = '', status = '' }] of patterns.entries()) {
    checkEach(out, `${at(field, index)}.type`, type, checkQualifiedName(type))
    checkChoice(out, `${at(field, index)}.status`, status, STATUSES)
  }
}

function checkExitCodes(out: Problems, field: string, codes: ExitCodes, names: readonly string[]): void {
  const { operator = '', containerName, values = [] } = codes
  checkChoice(out, `${field}.operator`, operator, OPERATORS)
  if (containerName !== undefined && !names.includes(containerName)) {
    const detail = 'must be one of the container or initContainer names in the pod template'
    out.push(invalid(`${field}.containerName`, containerName, detail))
  }
  const path = `${field}.values`
  if (values.length === 0) out.push(invalid(path, codes.values, 'at least one value is required'))
  else if (values.length > CODES_MAX) out.push(tooMany(path, values.length, CODES_MAX))
  for (const [index, value] of values.entries()) {
    if (operator === 'In' && value === 0) {
      out.push(invalid(at(path, index), value, 'must not be 0 for the In operator'))
    }
    if (values.indexOf(value) < index) out.push(duplicate(at(path, index), value))
  }
  const isOrdered = values.every((value, index) => index === 0 || (values[index - 1] ?? 0) <= value)
  if (!isOrdered) out.push(invalid(path, values, 'must be ordered'))
}

export function checkSuccessPolicy(out: Problems, field: string, spec: JobSpec, refusal: string): void {
  const { successPolicy } = spec
  if (!successPolicy) return
  const rules = successPolicy.rules ?? []
  if (spec.completionMode !== 'Indexed') {
    out.push(invalid(field, { Rules: rules.map(shownRule) }, refusal))
    return
  }
  const path = `${field}.rules`
  if (rules.length === 0) {
    out.push(required(path, 'at least one rules must be specified when the successPolicy is specified'))
  }
  if (rules.length > RULES_MAX) out.push(tooMany(path, rules.length, RULES_MAX))
  for (const [index, rule] of rules.entries()) {
    checkSuccessRule(out, at(path, index), rule, spec.completions ?? 0)
  }
}

/** A rule as upstream's messages show it. */
const shownRule = ({ succeededIndexes, succeededCount }: SuccessRule): unknown => ({
  SucceededIndexes: succeededIndexes ?? null,
  SucceededCount: succeededCount ?? null,
})

function checkSuccessRule(out: Problems, field: string, rule: SuccessRule, completions: number): void {
  const { succeededCount: count, succeededIndexes: indexes } = rule
  if (count === undefined && indexes === undefined) {
    out.push(required(field, 'at least one of succeededCount or succeededIndexes must be specified'))
  }
  let total = 0
  if (indexes !== undefined) {
    const path = `${field}.succeededIndexes`
    if (indexes.length > INDEXES_BYTES_MAX) out.push(tooLong(path, INDEXES_BYTES_MAX))
    const counted = countIndexes(indexes, completions)
    if (typeof counted === 'string') {
      out.push(invalid(path, indexes, `error parsing succeededIndexes: ${counted}`))
    } else total = counted
  }
  if (count === undefined) return
  const path = `${field}.succeededCount`
  checkNonNegative(out, path, count)
  const most = (limit: number, what: string) =>
    out.push(invalid(path, count, `must be less than or equal to ${limit} (the number of ${what})`))
  if (count > completions) most(completions, 'specified completions')
  if (indexes !== undefined && count > total) {
    most(total, 'indexes in the specified succeededIndexes field')
  }
}
