/** The expressions that choose devices: compiled when they are written, and refused when too dear. */
import { compileExpression } from '../../../../kube/cel/cel.ts'
import { type CelEnv, TYPE_NAMES } from '../../../../kube/cel/env.ts'
import { kubernetesFunctions } from '../../../../kube/cel/library/library.ts'
import { BOOL, DYN, mapOf, objectOf, opaque, STRING } from '../../../../kube/cel/types.ts'
import { forbidden, invalid, required, tooLong } from '../../../../kube/field-error.ts'
import type { Problems } from '../validation/meta.ts'
import { checkItems } from './lists.ts'

const SELECTORS_MAX = 32
const EXPRESSION_BYTES_MAX = 10 * 1024
const COST_MAX = 1_000_000

const env: CelEnv = {
  variables: new Map([
    [
      'device',
      objectOf('kubernetes.DRADevice', {
        driver: STRING,
        attributes: mapOf(STRING, mapOf(STRING, DYN)),
        capacity: mapOf(STRING, mapOf(STRING, opaque('kubernetes.Quantity'))),
        allowMultipleAllocations: BOOL,
      }),
    ],
  ]),
  functions: kubernetesFunctions,
  typeNames: TYPE_NAMES,
  isHomogeneous: true,
}

interface Selector {
  cel?: { expression?: string }
}

export function checkSelectors(
  out: Problems,
  field: string,
  selectors: readonly Selector[] | undefined,
): void {
  checkItems(out, field, { items: selectors, max: SELECTORS_MAX }, ({ cel }, path) => {
    if (cel) checkExpression(out, `${path}.cel.expression`, cel.expression ?? '')
    else out.push(required(`${path}.cel`))
  })
}

function checkExpression(out: Problems, field: string, expression: string): void {
  if (expression.length > EXPRESSION_BYTES_MAX) {
    out.push(tooLong(field, EXPRESSION_BYTES_MAX))
    return
  }
  const compiled = compileExpression(expression, env)
  if (!compiled.ok) {
    out.push(invalid(field, expression, `compilation failed: ${compiled.message}`))
    return
  }
  const { kind } = compiled.program.type
  if (kind !== 'bool' && kind !== 'dyn') {
    out.push(invalid(field, expression, `must evaluate to bool or the unknown type, not ${kind}`))
  } else if (compiled.program.estimate().max > COST_MAX) {
    out.push(forbidden(field, 'too complex, exceeds cost limit'))
  }
}
