/** ValidatingAdmissionPolicy, MutatingAdmissionPolicy and their bindings: defaults, rules, columns. */

import type {
  BindingSpec,
  MatchResources,
  ParamRef,
  PolicySpec,
} from '../../../../kube/admission-policy/policy-kinds.ts'
import type { FieldError } from '../../../../kube/field-error.ts'
import { duplicate, forbidden, invalid, notSupported, required } from '../../../../kube/field-error.ts'
import { checkDns1123Subdomain } from '../../../../kube/names.ts'
import type { KubeObject } from '../../../../kube/object.ts'
import { age, ageColumn, column, nameColumn, tableOf, UNSET } from '../columns.ts'
import { defineKind, keepMetadata } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { at } from '../support.ts'
import { checkSelector } from '../validation/meta.ts'
import { checkRule } from './admission-rules.ts'
import { checkPolicyExpressions } from './policy-expressions.ts'

const GROUP = 'admissionregistration.k8s.io'
type Writable<T> = { -readonly [Key in keyof T]: T[Key] }

interface Policy extends KubeObject {
  spec?: Writable<PolicySpec>
}
interface Binding extends KubeObject {
  spec?: BindingSpec
}

function applyMatchDefaults(match: Writable<MatchResources> | undefined): void {
  if (match === undefined) return
  match.matchPolicy ??= 'Equivalent'
  match.namespaceSelector ??= {}
  match.objectSelector ??= {}
  for (const rule of [...(match.resourceRules ?? []), ...(match.excludeResourceRules ?? [])]) {
    ;(rule as { scope?: string }).scope ??= '*'
  }
}

function checkMatch(out: FieldError[], field: string, match: MatchResources): void {
  const { matchPolicy, resourceRules = [], excludeResourceRules = [] } = match
  if (matchPolicy !== undefined && !['Equivalent', 'Exact'].includes(matchPolicy)) {
    out.push(notSupported(`${field}.matchPolicy`, matchPolicy, ['Equivalent', 'Exact']))
  }
  checkSelector(out, `${field}.namespaceSelector`, match.namespaceSelector)
  checkSelector(out, `${field}.objectSelector`, match.objectSelector)
  resourceRules.forEach((rule, index) => {
    checkRule(out, at(`${field}.resourceRules`, index), rule)
  })
  excludeResourceRules.forEach((rule, index) => {
    checkRule(out, at(`${field}.excludeResourceRules`, index), rule)
  })
}

function policyProblems({ spec }: Policy, isMutating: boolean): readonly FieldError[] {
  const out: FieldError[] = []
  if (spec === undefined) return [required('spec')]
  const { failurePolicy, paramKind, matchConstraints } = spec
  if (failurePolicy !== undefined && !['Fail', 'Ignore'].includes(failurePolicy)) {
    out.push(notSupported('spec.failurePolicy', failurePolicy, ['Fail', 'Ignore']))
  }
  if (paramKind !== undefined) checkParamKind(out, paramKind)
  if (matchConstraints === undefined) out.push(required('spec.matchConstraints'))
  else {
    checkMatch(out, 'spec.matchConstraints', matchConstraints)
    const { resourceRules = [] } = matchConstraints
    if (resourceRules.length === 0) out.push(required('spec.matchConstraints.resourceRules'))
    if (isMutating) checkNoDeletes(out, resourceRules)
  }
  if (isMutating) checkReinvocation(out, spec)
  checkPolicyExpressions(out, spec, isMutating)
  return out
}

function checkNoDeletes(out: FieldError[], rules: NonNullable<MatchResources['resourceRules']>): void {
  rules.forEach(({ operations = [] }, index) => {
    const found = operations.indexOf('DELETE')
    if (found === -1) return
    const field = at(`${at('spec.matchConstraints.resourceRules', index)}.operations`, found)
    out.push(notSupported(field, 'DELETE', ['*', 'CONNECT', 'CREATE', 'UPDATE']))
  })
}

function checkReinvocation(out: FieldError[], { reinvocationPolicy = '' }: PolicySpec): void {
  const supported = ['IfNeeded', 'Never']
  if (reinvocationPolicy === '') out.push(required('spec.reinvocationPolicy'))
  else if (!supported.includes(reinvocationPolicy)) {
    out.push(notSupported('spec.reinvocationPolicy', reinvocationPolicy, supported))
  }
}

function checkParamKind(
  out: FieldError[],
  { apiVersion = '', kind = '' }: NonNullable<PolicySpec['paramKind']>,
): void {
  if (apiVersion === '') out.push(required('spec.paramKind.apiVersion'))
  else if (apiVersion.split('/').length > 2) {
    const detail = `unexpected GroupVersion string: ${apiVersion}`
    out.push(invalid('spec.paramKind.apiVersion', apiVersion, detail))
  }
  if (kind === '') out.push(required('spec.paramKind.kind'))
}

function bindingProblems({ spec }: Binding, isMutating: boolean): readonly FieldError[] {
  const out: FieldError[] = []
  if (spec === undefined) return [required('spec')]
  const { policyName = '', paramRef, matchResources } = spec
  if (policyName === '') out.push(required('spec.policyName'))
  else {
    for (const problem of checkDns1123Subdomain(policyName)) {
      out.push(invalid('spec.policyName', policyName, problem))
    }
  }
  if (paramRef !== undefined) checkParamRef(out, paramRef)
  if (matchResources !== undefined) checkMatch(out, 'spec.matchResources', matchResources)
  if (!isMutating) checkActions(out, spec.validationActions ?? [])
  return out
}

function checkParamRef(
  out: FieldError[],
  { name = '', selector, parameterNotFoundAction = '' }: ParamRef,
): void {
  const field = 'spec.paramRef'
  if (name !== '') {
    for (const problem of checkDns1123Subdomain(name)) out.push(invalid(`${field}.name`, name, problem))
    if (selector !== undefined) {
      const detail = 'name and selector are mutually exclusive'
      out.push(forbidden(`${field}.name`, detail), forbidden(`${field}.selector`, detail))
    }
  } else if (selector === undefined) {
    out.push(required(field, 'one of name or selector must be specified'))
  } else checkSelector(out, `${field}.selector`, selector)
  const supported = ['Allow', 'Deny']
  if (parameterNotFoundAction === '') out.push(required(`${field}.parameterNotFoundAction`))
  else if (!supported.includes(parameterNotFoundAction)) {
    out.push(notSupported(`${field}.parameterNotFoundAction`, parameterNotFoundAction, supported))
  }
}

const ACTIONS = ['Audit', 'Deny', 'Warn']

function checkActions(out: FieldError[], actions: readonly string[]): void {
  const field = 'spec.validationActions'
  if (actions.length === 0) out.push(required(field))
  actions.forEach((action, index) => {
    if (!ACTIONS.includes(action)) out.push(notSupported(at(field, index), action, ACTIONS))
    if (actions.indexOf(action) < index) out.push(duplicate(at(field, index), action))
  })
  if (actions.includes('Deny') && actions.includes('Warn')) {
    const detail =
      'must not contain both Deny and Warn (repeating the same validation failure information in the API ' +
      'response and headers serves no purpose)'
    out.push(invalid(field, actions, detail))
  }
}

const paramKindText = (kind: PolicySpec['paramKind']): string =>
  kind === undefined ? UNSET : `${kind.apiVersion ?? ''}/${kind.kind ?? ''}`

function paramRefText(ref: ParamRef | undefined): string {
  if (ref === undefined) return UNSET
  return ref.namespace ? `${ref.namespace}/${ref.name ?? ''}` : `*/${ref.name ?? ''}`
}

const paramKindColumn = column('ParamKind', 'The kind of the resource used to parameterize this policy')

function policies(resource: string, isMutating: boolean): Strategy {
  const counted = isMutating ? 'Mutations' : 'Validations'
  return defineKind({
    group: GROUP,
    resource,
    hasStatus: !isMutating,
    hasGeneration: true,
    ...(isMutating ? {} : { prepareForStatusUpdate: keepMetadata }),
    applyDefaults(object) {
      const { spec } = object as Policy
      if (spec === undefined) return
      spec.failurePolicy ??= 'Fail'
      applyMatchDefaults(spec.matchConstraints)
    },
    validate: object => policyProblems(object as Policy, isMutating),
    table: tableOf<Policy>(
      [
        nameColumn,
        column(counted, `How many ${counted.toLowerCase()} the policy has`, 'integer'),
        paramKindColumn,
        ageColumn,
      ],
      (policy, nowMs) => [
        policy.metadata.name ?? '',
        (isMutating ? policy.spec?.mutations : policy.spec?.validations)?.length ?? 0,
        paramKindText(policy.spec?.paramKind),
        age(policy, nowMs),
      ],
    ),
  })
}

function bindings(resource: string, isMutating: boolean): Strategy {
  return defineKind({
    group: GROUP,
    resource,
    hasGeneration: true,
    applyDefaults(object) {
      applyMatchDefaults((object as Binding).spec?.matchResources)
    },
    validate: object => bindingProblems(object as Binding, isMutating),
    table: tableOf<Binding>(
      [
        nameColumn,
        column('PolicyName', 'The policy that is bound'),
        column('ParamRef', 'Where the parameters of the policy are'),
        ageColumn,
      ],
      (binding, nowMs) => [
        binding.metadata.name ?? '',
        binding.spec?.policyName ?? '',
        paramRefText(binding.spec?.paramRef),
        age(binding, nowMs),
      ],
    ),
  })
}

export const validatingPolicies: Strategy = policies('validatingadmissionpolicies', false)
export const validatingBindings: Strategy = bindings('validatingadmissionpolicybindings', false)
export const mutatingPolicies: Strategy = policies('mutatingadmissionpolicies', true)
export const mutatingBindings: Strategy = bindings('mutatingadmissionpolicybindings', true)
