/** The rules (x-kubernetes-validations) of a schema, compiled once per version. */
import { compileRules } from '../../../kube/cel/rules/rules.ts'
import type { Structural } from '../../../kube/structural-schema/structural.ts'
import type { Rules } from './custom-strategy.ts'

export function rulesOf(schema: Structural): Rules | null {
  const rules = compileRules(schema)
  if (rules === null) return null
  return { validate: (value, oldValue) => rules.validate({ value, oldValue }) }
}
