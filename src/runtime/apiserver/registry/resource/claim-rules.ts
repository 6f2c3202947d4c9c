/** What a claim asks for. */
import { invalid, notSupported, required } from '../../../../kube/field-error.ts'
import { checkDns1123Subdomain } from '../../../../kube/names.ts'
import type { ResourceClaim } from '../../../../kube/types.ts'
import { checkEach, type Problems } from '../validation/meta.ts'
import { CONFIGS_MAX, checkConfiguration, checkDeviceTolerations } from './device-rules.ts'
import { checkItems, checkSet } from './lists.ts'
import { checkFullName, checkLabelName, checkRequestReference, type RequestNames } from './names.ts'
import { checkSelectors } from './selectors.ts'

const REQUESTS_MAX = 32
const CONSTRAINTS_MAX = 32
const ALTERNATIVES_MAX = 8

export type DeviceClaim = NonNullable<NonNullable<ResourceClaim['spec']>['devices']>
type DeviceRequest = NonNullable<DeviceClaim['requests']>[number]
type Constraint = NonNullable<DeviceClaim['constraints']>[number]
type Asked = NonNullable<DeviceRequest['exactly']>

export function requestNames(claim: DeviceClaim | undefined): RequestNames {
  return new Map(
    (claim?.requests ?? []).map(request => [
      request.name,
      new Set((request.firstAvailable ?? []).map(item => item.name)),
    ]),
  )
}

export function checkDeviceClaim(out: Problems, field: string, claim: DeviceClaim | undefined): void {
  if (!claim) return
  const names = requestNames(claim)
  checkSet(
    out,
    `${field}.requests`,
    { items: claim.requests, max: REQUESTS_MAX, key: request => request.name },
    (request, path) => checkRequest(out, path, request),
  )
  const constraints = { items: claim.constraints, max: CONSTRAINTS_MAX }
  checkItems(out, `${field}.constraints`, constraints, (constraint, path) =>
    checkConstraint(out, path, constraint, names),
  )
  checkItems(out, `${field}.config`, { items: claim.config, max: CONFIGS_MAX }, (config, path) => {
    checkReferences(out, `${path}.requests`, config.requests, names)
    checkConfiguration(out, path, config)
  })
}

export function checkReferences(
  out: Problems,
  field: string,
  items: readonly string[] | undefined,
  names: RequestNames,
): void {
  checkSet(out, field, { items, max: REQUESTS_MAX, key: name => name }, (name, path) =>
    checkRequestReference(out, path, name, names),
  )
}

function checkRequest(out: Problems, field: string, request: DeviceRequest): void {
  checkLabelName(out, `${field}.name`, request.name ?? '')
  const { exactly, firstAvailable = [] } = request
  const detail = 'exactly one of `exactly` or `firstAvailable` is required'
  if (exactly && firstAvailable.length > 0) {
    out.push(invalid(field, undefined, `${detail}, but multiple fields are set`))
  } else if (exactly) {
    checkAsked(out, `${field}.exactly`, exactly)
  } else if (firstAvailable.length > 0) {
    checkSet(
      out,
      `${field}.firstAvailable`,
      { items: firstAvailable, max: ALTERNATIVES_MAX, key: item => item.name },
      (item, path) => {
        checkLabelName(out, `${path}.name`, item.name ?? '')
        checkAsked(out, path, item)
      },
    )
  } else {
    out.push(required(field, detail))
  }
}

function checkAsked(out: Problems, field: string, asked: Asked): void {
  const { deviceClassName: className = '', allocationMode: mode = '', count = 0 } = asked
  if (className === '') out.push(required(`${field}.deviceClassName`))
  else checkEach(out, `${field}.deviceClassName`, className, checkDns1123Subdomain(className))
  checkSelectors(out, `${field}.selectors`, asked.selectors)
  if (mode === 'All') {
    if (count !== 0) {
      out.push(invalid(`${field}.count`, count, "must not be specified when allocationMode is 'All'"))
    }
  } else if (mode === 'ExactCount') {
    if (count <= 0) out.push(invalid(`${field}.count`, count, 'must be greater than zero'))
  } else {
    out.push(notSupported(`${field}.allocationMode`, mode, ['All', 'ExactCount']))
  }
  checkDeviceTolerations(out, `${field}.tolerations`, asked.tolerations)
}

function checkConstraint(out: Problems, field: string, constraint: Constraint, names: RequestNames): void {
  checkReferences(out, `${field}.requests`, constraint.requests, names)
  const { matchAttribute, distinctAttribute } = constraint
  if (matchAttribute !== undefined) checkFullName(out, `${field}.matchAttribute`, matchAttribute)
  else if (distinctAttribute !== undefined) {
    checkFullName(out, `${field}.distinctAttribute`, distinctAttribute)
  } else {
    const detail = 'exactly one of "matchAttribute" or "distinctAttribute" is required'
    out.push(required(field, `${detail}, but multiple fields are set`))
  }
}
