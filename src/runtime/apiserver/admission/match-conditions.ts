/** Match conditions: expressions that keep a webhook or a policy from requests that it has nothing to say about. */
import { requestVariables } from '../../../kube/admission-policy/request-types.ts'
import { compileExpression, type Program } from '../../../kube/cel/cel.ts'
import { type CelEnv, TYPE_NAMES } from '../../../kube/cel/env.ts'
import { fromJson } from '../../../kube/cel/json-value.ts'
import { kubernetesFunctions } from '../../../kube/cel/library/library.ts'
import { DYN } from '../../../kube/cel/types.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { AdmissionRequest, Authorizer, ResourceForm } from '../ports.ts'
import { type Answers, rememberAnswers, untilAnswered } from './answers.ts'
import { requestBindings } from './expression-request.ts'

export interface MatchCondition {
  readonly name: string
  readonly expression: string
}

export interface ConditionSubject {
  readonly object: KubeObject | null
  readonly oldObject: KubeObject | null
  readonly request: AdmissionRequest
  readonly form: ResourceForm
}

export interface MatchConditions {
  /** False: some condition is false. Rejects when one fails and none is false. */
  match(conditions: readonly MatchCondition[], subject: ConditionSubject): Promise<boolean>
}

/** Of kube-apiserver: for one expression, and for all conditions of a request. */
const CALL_COST_MAX = 1_000_000
const COST_MAX = 2_500_000

const ENVIRONMENT: CelEnv = {
  variables: new Map([['object', DYN], ['oldObject', DYN], ...requestVariables]),
  functions: kubernetesFunctions,
  typeNames: TYPE_NAMES,
  isHomogeneous: true,
}

/** What is wrong with a condition's expression; null when it is fit. */
export function conditionProblem(expression: string): string | null {
  const compiled = compileExpression(expression, ENVIRONMENT)
  if (!compiled.ok) return `compilation failed: ${compiled.message}`
  const { kind } = compiled.program.type
  return kind === 'bool' || kind === 'dyn' ? null : 'must evaluate to bool'
}

export function createMatchConditions(authorizer: Authorizer): MatchConditions {
  const programs = new WeakMap<MatchCondition, Program>()
  const programOf = (condition: MatchCondition): Program => {
    const known = programs.get(condition)
    if (known !== undefined) return known
    const compiled = compileExpression(condition.expression, ENVIRONMENT)
    if (!compiled.ok) throw new Error(`compilation error: ${compiled.message}`)
    programs.set(condition, compiled.program)
    return compiled.program
  }
  const matchNow = (
    conditions: readonly MatchCondition[],
    { object, oldObject, request, form }: ConditionSubject,
    answers: Answers,
  ): boolean => {
    const bindings = {
      object: fromJson(object, DYN),
      oldObject: fromJson(oldObject, DYN),
      ...requestBindings(request, form, answers),
    }
    const failures: string[] = []
    let budget = COST_MAX
    for (const condition of conditions) {
      const outcome = programOf(condition).evaluate(bindings, Math.min(CALL_COST_MAX, budget))
      budget -= outcome.cost
      if (outcome.ok && outcome.value === false) return false
      if (!outcome.ok)
        failures.push(`expression '${condition.expression}' resulted in error: ${outcome.error}`)
    }
    if (failures.length === 0) return true
    throw new Error(failures.length === 1 ? failures[0] : `[${failures.join(', ')}]`)
  }
  return {
    async match(conditions, subject) {
      const answers = rememberAnswers(authorizer)
      return await untilAnswered(() => matchNow(conditions, subject, answers))
    },
  }
}
