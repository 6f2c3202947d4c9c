/**
 * Selectors as authorizers see them: of requests and of expressions as text, of reviews as requirements. What cannot
 * be read narrows nothing. Pure.
 */
import { compareTexts } from '../../../base/compare-texts.ts'
import { type FieldError, forbidden, invalid, required } from '../../../kube/field-error.ts'
import { type FieldRequirement, parseFieldSelector } from '../../../kube/field-selector.ts'
import { type LabelOperator, type LabelRequirement, parseLabelSelector } from '../../../kube/labels.ts'
import { StatusError } from '../../../kube/status.ts'

export interface Selectors {
  readonly fieldSelector?: readonly FieldRequirement[]
  readonly labelSelector?: readonly LabelRequirement[]
}

/** Of the texts of a query, or of an expression. */
export function selectorsIn(fields: string, labels: string): Selectors {
  if (fields === '' && labels === '') return {}
  return {
    ...given('fieldSelector', fields, parseFieldSelector),
    ...given('labelSelector', labels, parseLabelSelector),
  }
}

function given<K extends string, T>(name: K, text: string, parse: (text: string) => readonly T[]) {
  const found = text === '' ? null : parsed(text, parse)
  return (found?.length ? { [name]: found } : {}) as { readonly [N in K]?: readonly T[] }
}

/** Null for what cannot be read. */
function parsed<T>(text: string, parse: (text: string) => readonly T[]): readonly T[] | null {
  try {
    return parse(text)
  } catch (error) {
    if (error instanceof StatusError) return null
    throw error
  }
}

interface Requirement {
  readonly key?: string
  readonly operator?: string
  readonly values?: readonly string[]
}

/** `spec.resourceAttributes.fieldSelector`, or that of labels. */
export interface SelectorAttributes {
  readonly rawSelector?: string
  readonly requirements?: readonly Requirement[]
}

export interface ReviewedSelectors {
  readonly fieldSelector?: SelectorAttributes | null
  readonly labelSelector?: SelectorAttributes | null
}

const WHERE = 'spec.resourceAttributes'

export function checkSelectors({ fieldSelector, labelSelector }: ReviewedSelectors): FieldError[] {
  return [
    ...checkSelector(fieldSelector, `${WHERE}.fieldSelector`),
    ...checkSelector(labelSelector, `${WHERE}.labelSelector`),
  ]
}

function checkSelector(selector: SelectorAttributes | null | undefined, field: string): FieldError[] {
  if (selector === undefined || selector === null) return []
  const { rawSelector = '', requirements = [] } = selector
  const problems: FieldError[] = []
  if (rawSelector !== '' && requirements.length > 0)
    problems.push(
      invalid(`${field}.rawSelector`, rawSelector, 'may not specified at the same time as requirements'),
    )
  if (rawSelector === '' && requirements.length === 0) {
    const detail = `when ${field} is specified, requirements or rawSelector is required`
    problems.push(required(`${field}.requirements`, detail))
  }
  return [
    ...problems,
    ...requirements.flatMap((one, at) => checkRequirement(one, `${field}.requirements[${at}]`)),
  ]
}

/** Of an operator that is not known here, a newer client may know more. */
function checkRequirement({ key = '', operator, values = [] }: Requirement, field: string): FieldError[] {
  const problems = key === '' ? [required(`${field}.key`, 'must be specified')] : []
  if ((operator === 'In' || operator === 'NotIn') && values.length === 0)
    problems.push(required(`${field}.values`, "must be specified when `operator` is 'In' or 'NotIn'"))
  if ((operator === 'Exists' || operator === 'DoesNotExist') && values.length > 0) {
    const detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
    problems.push(forbidden(`${field}.values`, detail))
  }
  return problems
}

/** The selectors of a review, and what is to be said of parts that were ignored. */
export function selectorsOf(attributes: ReviewedSelectors): {
  selectors: Selectors
  problems: readonly string[]
} {
  const fields = read(attributes.fieldSelector, parseFieldSelector, fieldRequirement)
  const labels = read(attributes.labelSelector, parseLabelSelector, labelRequirement)
  return {
    selectors: {
      ...(fields.found.length > 0 ? { fieldSelector: fields.found } : {}),
      ...(labels.found.length > 0 ? { labelSelector: labels.found } : {}),
    },
    problems: [
      ...(fields.whole ? [] : [ignored('fieldSelector', fields.found.length > 0)]),
      ...(labels.whole ? [] : [ignored('labelSelector', labels.found.length > 0)]),
    ],
  }
}

const ignored = (name: string, partially: boolean): string =>
  `${WHERE}.${name} ${partially ? 'partially ' : ''}ignored due to parse error`

function read<T>(
  selector: SelectorAttributes | null | undefined,
  parse: (text: string) => readonly T[],
  convert: (requirement: Requirement) => T | null,
): { readonly found: readonly T[]; readonly whole: boolean } {
  const { rawSelector = '', requirements = [] } = selector ?? {}
  if (rawSelector !== '') {
    const found = parsed(rawSelector, parse)
    return { found: found ?? [], whole: found !== null }
  }
  const all = requirements.map(convert)
  const found = all.filter(one => one !== null)
  return { found, whole: found.length === all.length }
}

function fieldRequirement({ key = '', operator, values = [] }: Requirement): FieldRequirement | null {
  const [value] = values
  if ((operator !== 'In' && operator !== 'NotIn') || values.length !== 1 || value === undefined) return null
  return { field: key, operator: operator === 'In' ? '=' : '!=', value }
}

const LABEL_OPERATORS: Readonly<Record<string, LabelOperator>> = {
  In: 'in',
  NotIn: 'notin',
  Exists: 'exists',
  DoesNotExist: '!',
}

function labelRequirement({ key = '', operator = '', values = [] }: Requirement): LabelRequirement | null {
  const own = LABEL_OPERATORS[operator]
  return own === undefined ? null : { key, operator: own, values }
}

/** As a webhook is asked; what has no word there is left out, because it only narrows. */
export function selectorAttributes({ fieldSelector = [], labelSelector = [] }: Selectors): ReviewedSelectors {
  const fields = fieldSelector.map(({ field: key, operator, value }) => ({
    key,
    operator: operator === '=' ? 'In' : 'NotIn',
    values: [value],
  }))
  const byKey = labelSelector.toSorted((a, b) => compareTexts(a.key, b.key))
  const labels = byKey.flatMap(({ key, operator, values }) => {
    const word = WORDS[operator]
    if (word === undefined) return []
    return [{ key, operator: word, ...(values.length > 0 ? { values: [...values].sort() } : {}) }]
  })
  return {
    ...(fields.length > 0 ? { fieldSelector: { requirements: fields } } : {}),
    ...(labels.length > 0 ? { labelSelector: { requirements: labels } } : {}),
  }
}

const WORDS: Readonly<Partial<Record<LabelOperator, string>>> = {
  ...{
    in: 'In',
    '=': 'In',
    '==': 'In',
    notin: 'NotIn',
    '!=': 'NotIn',
    exists: 'Exists',
    '!': 'DoesNotExist',
  },
}
