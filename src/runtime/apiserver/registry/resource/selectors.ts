/** The expressions that choose devices: compiled when they are written, and refused when too dear. */
import { compileExpression } from '../../../../kube/cel/cel.ts'
import { DEVICE_COST_MAX, DEVICE_ENV } from '../../../../kube/devices/device-expressions.ts'
import { forbidden, invalid, required, tooLong } from '../../../../kube/field-error.ts'
import type { Problems } from '../validation/meta.ts'
import { checkItems } from './lists.ts'

const SELECTORS_MAX = 32
const EXPRESSION_BYTES_MAX = 10 * 1024

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
  const compiled = compileExpression(expression, DEVICE_ENV)
  if (!compiled.ok) {
    out.push(invalid(field, expression, `compilation failed: ${compiled.message}`))
    return
  }
  const { kind } = compiled.program.type
  if (kind !== 'bool' && kind !== 'dyn') {
    out.push(invalid(field, expression, `must evaluate to bool or the unknown type, not ${kind}`))
  } else if (compiled.program.estimate().max > DEVICE_COST_MAX) {
    out.push(forbidden(field, 'too complex, exceeds cost limit'))
  }
}
