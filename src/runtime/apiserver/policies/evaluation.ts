/** The expressions of one policy for one request and one parameter: shared variables, one budget. */

import type { CompiledExpression, CompiledVariable } from '../../../kube/admission-policy/policy-env.ts'
import { NAMESPACE } from '../../../kube/admission-policy/policy-env.ts'
import type { Program } from '../../../kube/cel/cel.ts'
import { fromJson, LazyStruct } from '../../../kube/cel/json-value.ts'
import { DYN, objectOf } from '../../../kube/cel/types.ts'
import { CelError, type CelValue } from '../../../kube/cel/values.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { RequestBindings } from '../admission/expression-request.ts'

const CALL_COST_MAX = 1_000_000
const POLICY_COST_MAX = 10_000_000
const CONDITIONS_COST_MAX = 2_500_000

export interface EvaluationSubject {
  readonly object: KubeObject | null
  readonly oldObject: KubeObject | null
  readonly namespace: KubeObject | null
  readonly params: KubeObject | null
  readonly request: RequestBindings
}

export type Result =
  | { readonly ok: true; readonly value: CelValue }
  | { readonly ok: false; readonly error: string }

export class Evaluation {
  readonly #bindings: Record<string, CelValue>
  #remaining = POLICY_COST_MAX

  constructor(subject: EvaluationSubject, variables: readonly CompiledVariable[]) {
    const { object, oldObject, namespace, params, request } = subject
    const byName = new Map(variables.map(variable => [variable.name, variable]))
    const fields = Object.fromEntries(variables.map(({ name }) => [name, DYN]))
    this.#bindings = {
      object: fromJson(object, DYN),
      oldObject: fromJson(oldObject, DYN),
      namespaceObject: fromJson(namespace, NAMESPACE),
      params: fromJson(params, DYN),
      ...request,
      variables: new LazyStruct(objectOf('kubernetes.variables', fields), name => {
        const variable = byName.get(name)
        return variable === undefined ? undefined : this.#variable(variable)
      }),
    }
  }

  /** `expression` is told in the error. */
  evaluate({ program, error }: CompiledExpression, expression: string): Result {
    if (program === null) return { ok: false, error: `compilation error: ${error}` }
    const outcome = this.#run(program)
    if (this.#remaining < 0) {
      const spent =
        'validation failed due to running out of cost budget, no further validation rules will be run'
      return { ok: false, error: spent }
    }
    if (outcome.ok) return { ok: true, value: outcome.value }
    return { ok: false, error: `expression '${expression}' resulted in error: ${outcome.error}` }
  }

  /** False: one is false. Otherwise the errors of those that could not be decided; empty when all hold. */
  conditions(conditions: readonly PolicyCondition[]): false | readonly string[] {
    const before = this.#remaining
    this.#remaining = CONDITIONS_COST_MAX
    const errors: string[] = []
    let isFalse = false
    for (const { compiled, expression } of conditions) {
      const result = this.evaluate(compiled, expression)
      if (!result.ok) errors.push(result.error)
      else if (result.value !== true) {
        isFalse = true
        break
      }
    }
    this.#remaining = before
    return isFalse ? false : errors
  }

  #run(program: Program) {
    const outcome = program.evaluate(this.#bindings, CALL_COST_MAX)
    this.#remaining -= outcome.cost
    return outcome
  }

  #variable({ name, program, error }: CompiledVariable): CelValue {
    const outcome = program === null ? { ok: false as const, error: error ?? '' } : this.#run(program)
    if (outcome.ok) return outcome.value
    throw new CelError(`composited variable ${JSON.stringify(name)} fails to evaluate: ${outcome.error}`)
  }
}

export interface PolicyCondition {
  readonly compiled: CompiledExpression
  readonly expression: string
}
