/** Resource requests and limits: names, signs, and requests that stay within limits. */
import { invalid, required } from '../../../../kube/field-error.ts'
import { checkQualifiedName } from '../../../../kube/names.ts'
import { keyed } from '../support.ts'
import { checkEach, type Problems } from './meta.ts'
import { compareQuantities, isQuantity, isWhole, QUANTITY_PROBLEM } from './quantities.ts'

type Quantities = Record<string, string>

const COMPUTE = ['cpu', 'memory', 'ephemeral-storage']
const STANDARD_RESOURCES = new Set([
  ...COMPUTE,
  ...COMPUTE.flatMap(name => [`requests.${name}`, `limits.${name}`]),
  'pods',
  'resourcequotas',
  'services',
  'replicationcontrollers',
  'secrets',
  'configmaps',
  'persistentvolumeclaims',
  'storage',
  'requests.storage',
  'services.nodeports',
  'services.loadbalancers',
])
const NO_RESOURCE = 'must be a standard resource type or fully qualified'
const isStandard = (name: string): boolean => COMPUTE.includes(name) || name.startsWith('hugepages-')
const isStandardResource = (name: string): boolean =>
  STANDARD_RESOURCES.has(name) || /^(requests\.)?hugepages-/.test(name)
export const isNative = (name: string): boolean => !name.includes('/') || name.includes('kubernetes.io/')

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
  const overcommits = isOvercommitted(name)
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
  if (problems.length > 0) return
  if (name.includes('/')) {
    if (!isNative(name) && !isExtended(name)) {
      out.push(invalid(field, name, "doesn't follow extended resource name standard"))
    }
  } else if (!isStandard(name)) {
    if (!isStandardResource(name)) out.push(invalid(field, name, NO_RESOURCE))
    out.push(invalid(field, name, 'must be a standard resource for containers'))
  }
}

/** The name of anything that has an amount. */
export function checkResourceName(out: Problems, field: string, name: string): void {
  const problems = checkQualifiedName(name)
  checkEach(out, field, name, problems)
  if (problems.length > 0 || name.includes('/') || isStandardResource(name)) return
  out.push(invalid(field, name, NO_RESOURCE))
}

/** A resource of somebody's own; as part of a quota its name has to be one too. */
const isExtended = (name: string): boolean =>
  !name.startsWith('requests.') && checkQualifiedName(`requests.${name}`).length === 0

/** Whether more of it may be promised than there is. */
export const isOvercommitted = (name: string): boolean => isNative(name) && !name.startsWith('hugepages-')

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
