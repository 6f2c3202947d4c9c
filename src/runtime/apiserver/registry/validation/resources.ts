/** Resource requests and limits: names, signs, and requests that stay within limits. */
import { invalid, required } from '../../../../kube/field-error.ts'
import { checkQualifiedName } from '../../../../kube/names.ts'
import { keyed } from '../support.ts'
import { checkEach, type Problems } from './meta.ts'
import { compareQuantities, isQuantity, isWhole, QUANTITY_PROBLEM } from './quantities.ts'

type Quantities = Record<string, string>

const STANDARD = new Set(['cpu', 'memory', 'ephemeral-storage'])
const isStandard = (name: string): boolean => STANDARD.has(name) || name.startsWith('hugepages-')
const isNative = (name: string): boolean => !name.includes('/') || name.includes('kubernetes.io/')

export interface ResourcesLike {
  requests?: Quantities
  limits?: Quantities
}

export function checkResources(out: Problems, field: string, resources: ResourcesLike | undefined): void {
  if (!resources) return
  const { limits = {}, requests = {} } = resources
  for (const [name, quantity] of Object.entries(limits)) {
    checkContainerResource(out, keyed(`${field}.limits`, name), name, quantity)
  }
  for (const [name, quantity] of Object.entries(requests)) {
    checkContainerResource(out, keyed(`${field}.requests`, name), name, quantity)
    checkWithinLimit(out, `${field}.requests`, name, { request: quantity, limit: limits[name] })
  }
  const has = (name: string) => name in limits || name in requests
  const huge = Object.keys({ ...limits, ...requests }).some(name => name.startsWith('hugepages-'))
  if (huge && !has('cpu') && !has('memory')) {
    out.push({
      type: 'FieldValueForbidden',
      field,
      message: 'Forbidden: HugePages require cpu or memory',
    })
  }
}

function checkWithinLimit(
  out: Problems,
  field: string,
  name: string,
  { request, limit }: { request: string; limit: string | undefined },
): void {
  const overcommits = isNative(name) && !name.startsWith('hugepages-')
  if (limit === undefined) {
    if (!overcommits)
      out.push(
        required(field.replace(/requests$/, 'limits'), 'Limit must be set for non overcommitable resources'),
      )
    return
  }
  if (!isQuantity(request) || !isQuantity(limit)) return
  const order = compareQuantities(request, limit)
  if (!overcommits && order !== 0) {
    out.push(invalid(field, request, `must be equal to ${name} limit of ${limit}`))
  } else if (order > 0) {
    out.push(invalid(field, request, `must be less than or equal to ${name} limit of ${limit}`))
  }
}

/** The name of what a container may ask for. */
export function checkContainerResourceName(out: Problems, field: string, name: string): void {
  const problems = checkQualifiedName(name)
  checkEach(out, field, name, problems)
  if (problems.length === 0 && !name.includes('/') && !isStandard(name)) {
    out.push(invalid(field, name, 'must be a standard resource for containers'))
  }
}

function checkContainerResource(out: Problems, field: string, name: string, quantity: string): void {
  checkContainerResourceName(out, field, name)
  checkQuantity(out, field, name, quantity)
}

/** A quantity that is one, is not negative, and is whole where only whole ones make sense. */
export function checkQuantity(out: Problems, field: string, name: string, quantity: string): void {
  if (!isQuantity(quantity)) {
    out.push(invalid(field, quantity, QUANTITY_PROBLEM))
    return
  }
  if (compareQuantities(quantity, '0') < 0) {
    out.push(invalid(field, quantity, 'must be greater than or equal to 0'))
  }
  const wholeOnly = !isNative(name) || name.startsWith('hugepages-') || name === 'pods'
  if (wholeOnly && !isWhole(quantity)) out.push(invalid(field, quantity, 'must be an integer'))
}
