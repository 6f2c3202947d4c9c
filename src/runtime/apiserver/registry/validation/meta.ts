/** Labels, annotations, selectors and label-like names inside specs (templates, node selectors). */
import type { FieldError } from '../../../../kube/field-error.ts'
import { forbidden, invalid, notSupported, required, tooLong } from '../../../../kube/field-error.ts'
import { checkLabelValue, checkQualifiedName } from '../../../../kube/names.ts'
import { at } from '../support.ts'

const ANNOTATIONS_BYTES_MAX = 256 * 1024

/** Where problems are gathered: validators add to it. */
export type Problems = FieldError[]

export function checkEach(out: Problems, field: string, value: unknown, problems: readonly string[]): void {
  for (const problem of problems) out.push(invalid(field, value, problem))
}

export function checkLabels(out: Problems, field: string, labels: Record<string, string> | undefined): void {
  for (const [key, value] of Object.entries(labels ?? {})) {
    checkEach(out, field, key, checkQualifiedName(key))
    checkEach(out, field, value, checkLabelValue(value))
  }
}

export function checkAnnotations(
  out: Problems,
  field: string,
  annotations: Record<string, string> | undefined,
): void {
  let size = 0
  for (const [key, value] of Object.entries(annotations ?? {})) {
    checkEach(out, field, key, checkQualifiedName(key.toLowerCase()))
    size += Buffer.byteLength(key) + Buffer.byteLength(value)
  }
  if (size > ANNOTATIONS_BYTES_MAX) out.push(tooLong(field, ANNOTATIONS_BYTES_MAX))
}

interface Requirement {
  key?: string
  operator?: string
  values?: string[]
}
export interface LabelSelectorLike {
  matchLabels?: Record<string, string>
  matchExpressions?: Requirement[]
}

const LABEL_OPERATORS = ['In', 'NotIn', 'Exists', 'DoesNotExist']

export function checkSelector(out: Problems, field: string, selector: LabelSelectorLike | undefined): void {
  if (!selector) return
  checkLabels(out, `${field}.matchLabels`, selector.matchLabels)
  for (const [index, requirement] of (selector.matchExpressions ?? []).entries()) {
    const path = at(`${field}.matchExpressions`, index)
    checkValuesFit(out, path, requirement)
    if (!LABEL_OPERATORS.includes(requirement.operator ?? '')) {
      out.push(invalid(`${path}.operator`, requirement.operator ?? '', 'not a valid selector operator'))
    }
    checkEach(out, `${path}.key`, requirement.key ?? '', checkQualifiedName(requirement.key ?? ''))
    for (const [position, value] of (requirement.values ?? []).entries()) {
      checkEach(out, at(`${path}.values`, position), value, checkLabelValue(value))
    }
  }
}

function checkValuesFit(out: Problems, path: string, { operator, values }: Requirement): void {
  const count = values?.length ?? 0
  if ((operator === 'In' || operator === 'NotIn') && count === 0) {
    out.push(required(`${path}.values`, "must be specified when `operator` is 'In' or 'NotIn'"))
  }
  if ((operator === 'Exists' || operator === 'DoesNotExist') && count > 0) {
    out.push(
      forbidden(`${path}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
    )
  }
}

/** Whether labels satisfy a label selector. */
export function selects(selector: LabelSelectorLike, labels: Record<string, string>): boolean {
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) {
    if (labels[key] !== value) return false
  }
  return (selector.matchExpressions ?? []).every(({ key = '', operator, values = [] }) => {
    const value = labels[key]
    if (operator === 'Exists') return value !== undefined
    if (operator === 'DoesNotExist') return value === undefined
    const among = value !== undefined && values.includes(value)
    return operator === 'In' ? among : !among
  })
}

/** True for `{}`: it selects everything, which workloads refuse. */
export function isEmptySelector(selector: LabelSelectorLike): boolean {
  return (
    Object.keys(selector.matchLabels ?? {}).length === 0 && (selector.matchExpressions ?? []).length === 0
  )
}

const NODE_OPERATORS = ['In', 'NotIn', 'Exists', 'DoesNotExist', 'Gt', 'Lt']

interface NodeSelectorTermLike {
  matchExpressions?: Requirement[]
  matchFields?: Requirement[]
}

export function checkNodeSelectorTerm(out: Problems, path: string, term: NodeSelectorTermLike): void {
  for (const [index, requirement] of (term.matchExpressions ?? []).entries()) {
    const field = at(`${path}.matchExpressions`, index)
    checkValuesFit(out, field, requirement)
    const { operator = '', values = [], key = '' } = requirement
    if ((operator === 'Gt' || operator === 'Lt') && values.length !== 1) {
      out.push(required(`${field}.values`, "must be specified single value when `operator` is 'Lt' or 'Gt'"))
    }
    if (!NODE_OPERATORS.includes(operator)) {
      out.push(invalid(`${field}.operator`, operator, 'not a valid selector operator'))
    }
    checkEach(out, `${field}.key`, key, checkQualifiedName(key))
  }
  for (const [index, requirement] of (term.matchFields ?? []).entries()) {
    const field = at(`${path}.matchFields`, index)
    const { operator = '', values = [], key = '' } = requirement
    if (operator !== 'In' && operator !== 'NotIn') {
      out.push(invalid(`${field}.operator`, operator, 'not a valid selector operator'))
    } else if (values.length !== 1) {
      out.push(
        required(
          `${field}.values`,
          "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
        ),
      )
    }
    if (key !== 'metadata.name') out.push(invalid(`${field}.key`, key, 'not a valid field selector key'))
  }
}

export function checkOneOf(
  out: Problems,
  field: string,
  value: string | undefined,
  supported: readonly string[],
): void {
  if (!supported.includes(value ?? '')) out.push(notSupported(field, value ?? '', supported))
}

export function checkNonNegative(out: Problems, field: string, value: number | undefined): void {
  if (value !== undefined && value < 0) {
    out.push(invalid(field, value, 'must be greater than or equal to 0'))
  }
}
