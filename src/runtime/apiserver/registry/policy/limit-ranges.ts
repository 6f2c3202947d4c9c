/** Limit ranges: what one container, pod or claim may ask for, and what it gets when it asks for nothing. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { duplicate, forbidden, invalid, required } from '../../../../kube/field-error.ts'
import { checkQualifiedName } from '../../../../kube/names.ts'
import type { LimitRange } from '../../../../kube/types.ts'
import { createdAtTable } from '../columns.ts'
import { defineKind } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind, at, keyed } from '../support.ts'
import { checkEach, type Problems } from '../validation/meta.ts'
import { compareQuantities, isQuantity } from '../validation/quantities.ts'

const TYPES = ['Container', 'PersistentVolumeClaim', 'Pod']
const POD_REFUSAL = "may not be specified when `type` is 'Pod'"

type Amounts = Readonly<Record<string, string>>

/** The types call the field `_default`; on the wire it is `default`. */
interface Item {
  type: string
  max?: Amounts
  min?: Amounts
  default?: Amounts
  defaultRequest?: Amounts
  maxLimitRequestRatio?: Amounts
}

const itemsOf = (range: LimitRange): readonly Item[] =>
  (range.spec?.limits ?? []) as unknown as readonly Item[]

/** What a container gets: the most when no default is given, and that or the least as its request. */
function applyDefaults(range: LimitRange): void {
  for (const item of itemsOf(range)) {
    if (item.type !== 'Container') continue
    const limits = { ...item.max, ...item.default }
    const requests = { ...item.min, ...limits, ...item.defaultRequest }
    if (Object.keys(limits).length > 0) item.default = limits
    if (Object.keys(requests).length > 0) item.defaultRequest = requests
  }
}

function checkItem(out: Problems, field: string, item: Item): void {
  checkEach(out, `${field}.type`, item.type, checkQualifiedName(item.type))
  if (!item.type.includes('/') && !TYPES.includes(item.type)) {
    out.push(invalid(`${field}.type`, item.type, 'must be a standard limit type or fully qualified'))
  }
  if (item.type === 'Pod') {
    for (const name of ['default', 'defaultRequest'] as const) {
      if (Object.keys(item[name] ?? {}).length > 0) out.push(forbidden(`${field}.${name}`, POD_REFUSAL))
    }
  }
  if (item.type === 'PersistentVolumeClaim' && !item.min?.['storage'] && !item.max?.['storage']) {
    const detail = 'either minimum or maximum storage value is required, but neither was provided'
    out.push(required(`${field}.limits`, detail))
  }
  const maps = [item.max, item.min, item.default, item.defaultRequest, item.maxLimitRequestRatio]
  for (const name of new Set(maps.flatMap(map => Object.keys(map ?? {})))) {
    checkAmounts(out, field, name, item)
  }
}

function checkAmounts(out: Problems, field: string, name: string, item: Item): void {
  const min = item.min?.[name]
  const max = item.max?.[name]
  const usual = item.default?.[name]
  const request = item.defaultRequest?.[name]
  const compare = (
    place: string,
    shown: string | undefined,
    [low, lowName]: readonly [string | undefined, string],
    [high, highName]: readonly [string | undefined, string],
  ) => {
    if (!isQuantity(low ?? '') || !isQuantity(high ?? '') || low === undefined || high === undefined) return
    if (compareQuantities(low, high) <= 0) return
    const detail = `${lowName} value ${low} is greater than ${highName} value ${high}`
    out.push(invalid(keyed(`${field}.${place}`, name), shown, detail))
  }
  compare('min', min, [min, 'min'], [max, 'max'])
  compare('defaultRequest', request, [min, 'min'], [request, 'default request'])
  compare('defaultRequest', request, [request, 'default request'], [max, 'max'])
  compare('defaultRequest', request, [request, 'default request'], [usual, 'default limit'])
  compare('default', min, [min, 'min'], [usual, 'default'])
  compare('default', max, [usual, 'default'], [max, 'max'])
  const ratio = item.maxLimitRequestRatio?.[name]
  if (ratio === undefined || !isQuantity(ratio) || compareQuantities(ratio, '1') >= 0) return
  out.push(invalid(keyed(`${field}.maxLimitRequestRatio`, name), ratio, `ratio ${ratio} is less than 1`))
}

export const limitRanges: Strategy = defineKind({
  group: '',
  resource: 'limitranges',
  hasGeneration: false,
  allowCreateOnUpdate: true,
  applyDefaults: object => applyDefaults(asKind<LimitRange>(object)),
  validate(object) {
    const out: FieldError[] = []
    const seen = new Set<string>()
    for (const [index, item] of itemsOf(asKind<LimitRange>(object)).entries()) {
      const field = at('spec.limits', index)
      checkItem(out, field, { ...item, type: item.type ?? '' })
      if (seen.has(item.type)) out.push(duplicate(`${field}.type`, item.type))
      seen.add(item.type)
    }
    return out
  },
  table: createdAtTable,
})
