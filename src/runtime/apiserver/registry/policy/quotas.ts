/** ResourceQuotas: what may be counted, and for which objects. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { invalid, required } from '../../../../kube/field-error.ts'
import { checkQualifiedName } from '../../../../kube/names.ts'
import type { ResourceQuota } from '../../../../kube/types.ts'
import { ageColumn, column, nameColumn, since, tableOf } from '../columns.ts'
import { defineKind } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind, keyed, semanticallyEqual } from '../support.ts'
import { checkEach, type Problems } from '../validation/meta.ts'
import { compareQuantities, isQuantity, isWhole, QUANTITY_PROBLEM } from '../validation/quantities.ts'
import { checkImmutable } from '../validation/workload.ts'

type Spec = NonNullable<ResourceQuota['spec']>
type Requirement = NonNullable<NonNullable<Spec['scopeSelector']>['matchExpressions']>[number]

const COUNTED = [
  'pods',
  'resourcequotas',
  'services',
  'replicationcontrollers',
  'secrets',
  'configmaps',
  'persistentvolumeclaims',
  'services.nodeports',
  'services.loadbalancers',
]
const COMPUTE = ['cpu', 'memory', 'limits.cpu', 'limits.memory', 'requests.cpu', 'requests.memory']
const STORED = [
  'ephemeral-storage',
  'limits.ephemeral-storage',
  'requests.ephemeral-storage',
  'requests.storage',
]
const STANDARD: ReadonlySet<string> = new Set([...COUNTED, ...COMPUTE, ...STORED])

/** What each scope may be applied to; a resource that upstream does not know is not judged. */
const APPLIES_TO: Readonly<Record<string, readonly string[]>> = {
  Terminating: ['pods', ...COMPUTE],
  NotTerminating: ['pods', ...COMPUTE],
  NotBestEffort: ['pods', ...COMPUTE],
  PriorityClass: ['pods', ...COMPUTE],
  CrossNamespacePodAffinity: ['pods', ...COMPUTE],
  BestEffort: ['pods'],
  VolumeAttributesClass: ['persistentvolumeclaims', 'requests.storage'],
}
const CONFLICTS = [
  ['BestEffort', 'NotBestEffort'],
  ['Terminating', 'NotTerminating'],
]
/** Scopes that an object is in or not: only `Exists` makes sense of them. */
const PLAIN = ['BestEffort', 'NotBestEffort', 'Terminating', 'NotTerminating', 'CrossNamespacePodAffinity']
const PLAIN_PROBLEM =
  "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, " +
  'ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity'

const isStandard = (name: string): boolean =>
  STANDARD.has(name) || name.startsWith('hugepages-') || name.startsWith('requests.hugepages-')

/** A resource of somebody's own, which is counted in whole pieces. */
const isExtended = (name: string): boolean =>
  name.includes('/') && !name.includes('kubernetes.io/') && !name.startsWith('requests.')

function checkName(out: Problems, field: string, name: string): void {
  const problems = checkQualifiedName(name)
  checkEach(out, field, name, problems)
  if (name.includes('/') || isStandard(name)) return
  if (problems.length === 0 && name !== 'storage') {
    out.push(invalid(field, name, 'must be a standard resource type or fully qualified'))
  }
  out.push(invalid(field, name, 'must be a standard resource for quota'))
}

function checkAmounts(out: Problems, field: string, amounts: Record<string, string> | undefined): void {
  for (const [name, amount] of Object.entries(amounts ?? {})) {
    const path = keyed(field, name)
    checkName(out, path, name)
    if (!isQuantity(amount)) {
      out.push(invalid(path, amount, QUANTITY_PROBLEM))
      continue
    }
    if (compareQuantities(amount, '0') < 0) {
      out.push(invalid(path, amount, 'must be greater than or equal to 0'))
    }
    if ((COUNTED.includes(name) || isExtended(name)) && !isWhole(amount)) {
      out.push(invalid(path, amount, 'must be an integer'))
    }
  }
}

/** The scope's resources and its conflicts with others; `shown` is what the messages quote. */
function checkScope(out: Problems, field: string, scope: string, { spec, shown }: Judged): void {
  const allowed = APPLIES_TO[scope]
  for (const name of Object.keys(spec.hard ?? {}).sort()) {
    if (allowed === undefined || !isStandard(name) || allowed.includes(name)) continue
    out.push(invalid(field, shown, 'unsupported scope applied to resource'))
  }
}

interface Judged {
  readonly spec: Spec
  readonly shown: unknown
}

function checkConflicts(out: Problems, field: string, scopes: readonly string[], shown: unknown): void {
  for (const pair of CONFLICTS) {
    if (pair.every(scope => scopes.includes(scope))) out.push(invalid(field, shown, 'conflicting scopes'))
  }
}

function checkScopes(out: Problems, spec: Spec): void {
  const scopes = spec.scopes ?? []
  const field = 'spec.scopes'
  for (const scope of scopes) {
    if (!Object.hasOwn(APPLIES_TO, scope)) out.push(invalid(field, scopes, 'unsupported scope'))
    checkScope(out, field, scope, { spec, shown: scopes })
  }
  checkConflicts(out, field, scopes, scopes)
}

/** A selector as upstream's messages show it. */
const shownSelector = (list: readonly Requirement[]): unknown => ({
  MatchExpressions: list.map(({ scopeName, operator, values }) => ({
    ScopeName: scopeName,
    Operator: operator,
    Values: values ?? null,
  })),
})

function checkScopeSelector(out: Problems, spec: Spec): void {
  const list = spec.scopeSelector?.matchExpressions ?? []
  const field = 'spec.scopeSelector.matchExpressions'
  const shown = shownSelector(list)
  for (const requirement of list) {
    const scope = requirement.scopeName ?? ''
    if (!Object.hasOwn(APPLIES_TO, scope)) out.push(invalid(`${field}.scopeName`, scope, 'unsupported scope'))
    checkScope(out, field, scope, { spec, shown })
    checkOperator(out, field, requirement)
  }
  const scopes = list.map(({ scopeName }) => scopeName)
  checkConflicts(out, field, scopes, spec.scopes ?? null)
}

function checkOperator(out: Problems, field: string, requirement: Requirement): void {
  const { scopeName, operator = '', values = [] } = requirement
  if (PLAIN.includes(scopeName) && operator !== 'Exists') {
    out.push(invalid(`${field}.operator`, operator, PLAIN_PROBLEM))
  }
  if (operator === 'In' || operator === 'NotIn') {
    if (values.length > 0) return
    const detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
    out.push(required(`${field}.values`, detail))
  } else if (operator === 'Exists' || operator === 'DoesNotExist') {
    if (values.length === 0) return
    const detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
    out.push(invalid(`${field}.values`, values, detail))
  } else out.push(invalid(`${field}.operator`, operator, 'not a valid selector operator'))
}

/** `limits.…` of the quota, or everything else, as `name: used/hard`. */
function quotaText({ status }: ResourceQuota, which: 'limits' | 'others'): string {
  return Object.entries(status?.hard ?? {})
    .filter(([name]) => name.startsWith('limits.') === (which === 'limits'))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, hard]) => `${name}: ${status?.used?.[name] ?? '0'}/${hard}`)
    .join(', ')
}

export const resourceQuotas: Strategy = defineKind({
  group: '',
  resource: 'resourcequotas',
  hasStatus: true,
  hasGeneration: false,
  validate(object) {
    const { spec = {} } = asKind<ResourceQuota>(object)
    const out: FieldError[] = []
    checkAmounts(out, 'spec.hard', spec.hard)
    checkScopes(out, spec)
    checkScopeSelector(out, spec)
    return out
  },
  validateUpdate(next, previous) {
    const out: FieldError[] = []
    const after = [...(asKind<ResourceQuota>(next).spec?.scopes ?? [])]
    const before = [...(asKind<ResourceQuota>(previous).spec?.scopes ?? [])]
    if (!semanticallyEqual([...after].sort(), [...before].sort())) {
      checkImmutable(out, 'spec.scopes', after, before)
    }
    return out
  },
  validateStatusUpdate(next) {
    const { status } = asKind<ResourceQuota>(next)
    const out: FieldError[] = []
    checkAmounts(out, 'status.hard', status?.hard)
    checkAmounts(out, 'status.used', status?.used)
    return out
  },
  table: tableOf<ResourceQuota>(
    [
      nameColumn,
      column('Request', 'Used and allowed, but for limits'),
      column('Limit', 'Limits used and allowed'),
      ageColumn,
    ],
    (quota, nowMs) => [
      quota.metadata.name ?? '',
      quotaText(quota, 'others'),
      quotaText(quota, 'limits'),
      since(quota.metadata.creationTimestamp, nowMs),
    ],
  ),
})
