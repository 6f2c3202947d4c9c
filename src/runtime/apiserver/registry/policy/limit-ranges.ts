/** Limit ranges: what one container, pod or claim may ask for, and what it gets when it asks for nothing. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { duplicate, forbidden, invalid, required } from '../../../../kube/field-error.ts'
import { checkQualifiedName } from '../../../../kube/names.ts'
import { parseQuantity } from '../../../../kube/quantity.ts'
import type { LimitRange } from '../../../../kube/types.ts'
import { createdAtTable } from '../columns.ts'
import { defineKind } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind, at, keyed } from '../support.ts'
import { checkEach, type Problems } from '../validation/meta.ts'
import { compareQuantities, isQuantity } from '../validation/quantities.ts'
import { checkContainerResourceName, checkResourceName, isOvercommitted } from '../validation/resources.ts'

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

const MAPS = ['max', 'min', 'default', 'defaultRequest', 'maxLimitRequestRatio'] as const

function checkType(out: Problems, field: string, type: string): void {
  const problems = checkQualifiedName(type)
  checkEach(out, field, type, problems)
  if (problems.length > 0 || type.includes('/') || TYPES.includes(type)) return
  out.push(invalid(field, type, 'must be a standard limit type or fully qualified'))
}

function checkItem(out: Problems, field: string, item: Item): void {
  const { type } = item
  const checkName = type === 'Pod' || type === 'Container' ? checkContainerResourceName : checkResourceName
  for (const map of MAPS) {
    const names = Object.keys(item[map] ?? {})
    const isRefused = type === 'Pod' && (map === 'default' || map === 'defaultRequest')
    if (map === 'maxLimitRequestRatio') checkClaimed(out, field, item)
    if (isRefused && names.length > 0) out.push(forbidden(`${field}.${map}`, POD_REFUSAL))
    else for (const name of names) checkName(out, keyed(`${field}.${map}`, name), name)
  }
  const counted = type === 'Pod' ? MAPS.filter(map => !map.startsWith('default')) : MAPS
  const part = Object.fromEntries(counted.map(map => [map, item[map]]))
  for (const name of new Set(counted.flatMap(map => Object.keys(item[map] ?? {})))) {
    checkAmounts(out, field, name, { type, ...part })
  }
}

function checkClaimed(out: Problems, field: string, { type, min, max }: Item): void {
  if (type !== 'PersistentVolumeClaim' || min?.['storage'] || max?.['storage']) return
  const detail = 'either minimum or maximum storage value is required, but neither was provided'
  out.push(required(`${field}.limits`, detail))
}

type Bound = readonly [amount: string | undefined, name: string]

function checkAmounts(out: Problems, field: string, name: string, item: Item): void {
  const { min, max, usual, request } = boundsOf(item, name)
  const compare = (place: string, shown: Bound, low: Bound, high: Bound) => {
    if (!isQuantity(low[0]) || !isQuantity(high[0])) return
    if (compareQuantities(low[0], high[0]) <= 0) return
    const detail = `${low[1]} value ${low[0]} is greater than ${high[1]} value ${high[0]}`
    out.push(invalid(keyed(`${field}.${place}`, name), shown[0], detail))
  }
  compare('min', min, min, max)
  compare('defaultRequest', request, min, request)
  compare('defaultRequest', request, request, max)
  compare('defaultRequest', request, request, [usual[0], 'default limit'])
  compare('default', min, min, usual)
  compare('default', max, usual, max)
  checkRatio(out, keyed(`${field}.maxLimitRequestRatio`, name), item.maxLimitRequestRatio?.[name], [min, max])
  if (isOvercommitted(name) || !isQuantity(usual[0]) || !isQuantity(request[0])) return
  if (compareQuantities(usual[0], request[0]) === 0) return
  const detail = `default value ${usual[0]} must equal to defaultRequest value ${request[0]} in ${name}`
  out.push(invalid(keyed(`${field}.defaultRequest`, name), request[0], detail))
}

const boundsOf = (
  item: Item,
  name: string,
): Readonly<Record<'min' | 'max' | 'usual' | 'request', Bound>> => ({
  min: [item.min?.[name], 'min'],
  max: [item.max?.[name], 'max'],
  usual: [item.default?.[name], 'default'],
  request: [item.defaultRequest?.[name], 'default request'],
})

function checkRatio(
  out: Problems,
  field: string,
  ratio: string | undefined,
  [[min], [max]]: readonly [Bound, Bound],
): void {
  if (!isQuantity(ratio)) return
  if (compareQuantities(ratio, '1') < 0) out.push(invalid(field, ratio, `ratio ${ratio} is less than 1`))
  if (!isQuantity(min) || !isQuantity(max)) return
  const most = amountOf(max) / amountOf(min)
  if (amountOf(ratio) <= most) return
  out.push(invalid(field, ratio, `ratio ${ratio} is greater than max/min = ${most.toFixed(6)}`))
}

const amountOf = (text: string): number => Number(parseQuantity(text).nano) / 1e9

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
      const type = item.type ?? ''
      checkType(out, `${field}.type`, type)
      if (seen.has(type)) out.push(duplicate(`${field}.type`, type))
      seen.add(type)
      checkItem(out, field, { ...item, type })
    }
    return out
  },
  table: createdAtTable,
})
