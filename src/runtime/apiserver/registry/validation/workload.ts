/** Rules that workloads share: selectors, counts, percentages, what may not change. */
import { type FieldError, forbidden, invalid, required } from '../../../../kube/field-error.ts'
import type { KubeObject } from '../../../../kube/object.ts'
import type { IntOrString } from '../../../../kube/types.ts'
import { asKind, semanticallyEqual } from '../support.ts'
import { checkSelector, isEmptySelector, type LabelSelectorLike, type Problems } from './meta.ts'

export const IMMUTABLE = 'field is immutable'
const PERCENT = '[0-9]+%'

/** Of a selector that is none; the template is not looked at then. */
export const NO_SELECTOR = 'invalid label selector'

/** A selector that must be there and must not select everything; `kind` as in the message. True if it is one. */
export function checkWorkloadSelector(
  out: Problems,
  field: string,
  selector: LabelSelectorLike | undefined,
  kind: string,
): boolean {
  if (!selector) {
    out.push(required(field))
    return true
  }
  const before = out.length
  checkSelector(out, field, selector)
  const isSelector = out.length === before
  if (isEmptySelector(selector)) out.push(invalid(field, selector, `empty selector is invalid for ${kind}`))
  return isSelector
}

export function checkImmutable(out: Problems, field: string, next: unknown, previous: unknown): void {
  if (!semanticallyEqual(next, previous)) out.push(invalid(field, next, IMMUTABLE))
}

/** Whom a workload selects is decided once. */
export function checkSelectorKept(next: KubeObject, previous: KubeObject): readonly FieldError[] {
  const out: FieldError[] = []
  checkImmutable(out, 'spec.selector', selectorOf(next), selectorOf(previous))
  return out
}

const selectorOf = (object: KubeObject): unknown =>
  asKind<{ spec?: { selector?: unknown } }>(object).spec?.selector

/** A count, or a percentage such as `25%`. */
export function checkIntOrPercent(out: Problems, field: string, value: IntOrString | undefined): void {
  if (value === undefined) return
  if (typeof value === 'number') {
    if (value < 0) out.push(invalid(field, value, 'must be greater than or equal to 0'))
  } else if (!/^[0-9]+%$/.test(value)) {
    const text = "a valid percent string must be a numeric string followed by an ending '%'"
    const examples = `(e.g. '1%',  or '93%', regex used for validation is '${PERCENT}')`
    out.push(invalid(field, value, `${text} ${examples}`))
  }
}

/** The number of a percentage; null for a count. */
export function percentOf(value: IntOrString | undefined): number | null {
  return typeof value === 'string' && value.endsWith('%') ? Number.parseInt(value, 10) : null
}

export function checkAtMostAll(out: Problems, field: string, value: IntOrString | undefined): void {
  if ((percentOf(value) ?? 0) > 100) out.push(invalid(field, value, 'must not be greater than 100%'))
}

export function isZero(value: IntOrString | undefined): boolean {
  return value === 0 || percentOf(value) === 0
}

const STATEFUL_ALLOWED =
  "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', " +
  "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"

/** A stateful set keeps everything but a few fields. */
export function checkStatefulSpecKept(out: Problems, next: object, previous: object): void {
  const changeable = new Set([
    'replicas',
    'ordinals',
    'template',
    'updateStrategy',
    'revisionHistoryLimit',
    'persistentVolumeClaimRetentionPolicy',
    'minReadySeconds',
  ])
  const rest = (spec: object) =>
    Object.fromEntries(Object.entries(spec).filter(([key]) => !changeable.has(key)))
  if (!semanticallyEqual(rest(next), rest(previous))) out.push(forbidden('spec', STATEFUL_ALLOWED))
}
