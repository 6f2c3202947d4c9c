/** How much of a shared device one request may take. */
import { forbidden, invalid, required } from '../../../../kube/field-error.ts'
import { parseQuantity } from '../../../../kube/quantity.ts'
import { at } from '../support.ts'
import type { Problems } from '../validation/meta.ts'
import { compareQuantities } from '../validation/quantities.ts'
import { checkSet } from './lists.ts'

const OPTIONS_MAX = 10

interface Range {
  min?: string
  max?: string
  step?: string
}

export interface RequestPolicy {
  default?: string
  validValues?: string[]
  validRange?: Range
}

export function checkRequestPolicy(
  out: Problems,
  field: string,
  capacity: string,
  policy: RequestPolicy,
): void {
  const { default: usual, validValues = [], validRange } = policy
  if (validValues.length > 0 && validRange) {
    const both = 'cannot specify "validValues" and "validRange" at the same time'
    out.push(forbidden(field, `exactly one policy can be specified, ${both}`))
  } else if (validValues.length > 0) {
    if (usual === undefined) out.push(required(`${field}.default`, 'required when validValues is defined'))
    else checkValues(out, `${field}.validValues`, { capacity, usual, options: validValues })
  } else if (validRange) {
    if (usual === undefined) out.push(required(`${field}.default`, 'required when validRange is defined'))
    else checkRange(out, `${field}.validRange`, { capacity, usual, range: validRange })
  }
}

function checkValues(
  out: Problems,
  field: string,
  { capacity, usual, options }: { capacity: string; usual: string; options: readonly string[] },
): void {
  for (const [index, option] of options.entries()) {
    const before = options[index - 1]
    if (before === undefined || compareQuantities(before, option) <= 0) continue
    out.push(invalid(at(field, index), option, 'values must be sorted in ascending order'))
  }
  const key = (option: string) => String(parseQuantity(option).nano)
  checkSet(out, field, { items: options, max: OPTIONS_MAX, key }, (option, path) => {
    if (compareQuantities(option, capacity) <= 0) return
    out.push(invalid(path, option, `option is larger than capacity value: ${capacity}`))
  })
  if (options.some(option => compareQuantities(option, usual) === 0)) return
  out.push(invalid(field, usual, 'default value is not valid according to the requestPolicy'))
}

function checkRange(
  out: Problems,
  field: string,
  { capacity, usual, range }: { capacity: string; usual: string; range: Range },
): void {
  const { min, max, step } = range
  if (min === undefined) {
    out.push(required(`${field}.min`, 'required when validRange is defined'))
    return
  }
  const isMore = (a: string, b: string) => compareQuantities(a, b) > 0
  const report = (name: string, value: string, detail: string) =>
    out.push(invalid(`${field}.${name}`, value, detail))
  if (isMore(min, capacity)) report('min', min, `min is larger than capacity value: ${capacity}`)
  if (isMore(min, usual)) report('default', usual, `default is less than min: ${min}`)
  if (max !== undefined) {
    if (isMore(min, max)) report('max', min, `min is larger than max: ${max}`)
    if (isMore(max, capacity)) report('max', max, `max is larger than capacity value: ${capacity}`)
    if (isMore(usual, max)) report('default', usual, `default is more than max: ${max}`)
  }
  if (step === undefined) return
  if (compareQuantities(step, '0') <= 0) {
    report('step', step, 'must be greater than zero')
    return
  }
  const nano = (text: string) => parseQuantity(text).nano
  for (const value of max === undefined ? [usual] : [usual, max]) {
    if ((nano(value) - nano(min)) % nano(step) === 0n) continue
    report('step', value, `value is not a multiple of a given step (${step}) from (${min})`)
  }
}
