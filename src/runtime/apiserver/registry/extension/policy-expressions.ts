/** The expressions of admission policies, checked when a policy is written. */

import { type PolicyEnv, policyEnv } from '../../../../kube/admission-policy/policy-env.ts'
import type {
  Mutation,
  NamedExpression,
  PolicySpec,
  Validation,
} from '../../../../kube/admission-policy/policy-kinds.ts'
import {
  duplicate,
  type FieldError,
  forbidden,
  invalid,
  notSupported,
  required,
  tooMany,
} from '../../../../kube/field-error.ts'
import { checkQualifiedName } from '../../../../kube/names.ts'
import { at } from '../support.ts'
import { checkConditions } from './admission-rules.ts'

const REASONS = ['Forbidden', 'Invalid', 'RequestEntityTooLarge', 'Unauthorized']
const PATCH_TYPES = ['ApplyConfiguration', 'JSONPatch']
const ANNOTATIONS_MAX = 20
const IDENTIFIER = /^[_a-zA-Z][_a-zA-Z0-9]*$/

type Kinds = readonly string[]

/** What is wrong with an expression that must be of one of the kinds; null when it is fit. */
function problemOf(env: PolicyEnv, expression: string, kinds: Kinds, wanted: string): string | null {
  const { program, error } = env.compile(expression)
  if (program === null) return error
  return kinds.includes(program.type.kind) || program.type.kind === 'dyn'
    ? null
    : `must evaluate to ${wanted}`
}

function checkExpression(
  out: FieldError[],
  field: string,
  expression: string,
  problem: (expression: string) => string | null,
): void {
  if (expression.trim() === '') {
    out.push(required(field, 'expression is not specified'))
    return
  }
  const found = problem(expression)
  if (found !== null) out.push(invalid(field, expression, found))
}

export function checkPolicyExpressions(out: FieldError[], spec: PolicySpec, isMutating: boolean): void {
  const env = policyEnv(spec, isMutating)
  checkVariables(out, spec.variables ?? [], env)
  checkConditions(out, 'spec.matchConditions', spec.matchConditions ?? [], expression =>
    problemOf(env, expression, ['bool'], 'bool'),
  )
  if (isMutating) checkMutations(out, spec.mutations ?? [], env)
  else {
    checkValidations(out, spec, env)
    checkAnnotations(out, spec.auditAnnotations ?? [], env)
  }
}

function checkVariables(out: FieldError[], variables: readonly NamedExpression[], env: PolicyEnv): void {
  const seen = new Set<string>()
  for (const [index, { name = '', expression = '' }] of variables.entries()) {
    const field = at('spec.variables', index)
    if (name.trim() === '') out.push(required(`${field}.name`, 'name is not specified'))
    else if (!IDENTIFIER.test(name)) {
      out.push(invalid(`${field}.name`, name, 'name is not a valid CEL identifier'))
    } else if (seen.has(name)) out.push(invalid(`${field}.name`, name, 'duplicate variable'))
    seen.add(name)
    checkExpression(out, `${field}.expression`, expression, () => env.variables[index]?.error ?? null)
  }
}

function checkValidations(out: FieldError[], spec: PolicySpec, env: PolicyEnv): void {
  const { validations = [], auditAnnotations = [] } = spec
  if (validations.length === 0 && auditAnnotations.length === 0) {
    const detail = 'validations or auditAnnotations must contain at least one item'
    out.push(required('spec.validations', detail), required('spec.auditAnnotations', detail))
  }
  for (const [index, validation] of validations.entries()) {
    checkValidation(out, at('spec.validations', index), validation, env)
  }
}

function checkValidation(out: FieldError[], field: string, validation: Validation, env: PolicyEnv): void {
  const { expression = '', message = '', messageExpression = '', reason } = validation
  checkExpression(out, `${field}.expression`, expression, one => problemOf(env, one, ['bool'], 'bool'))
  if (messageExpression !== '' && messageExpression.trim() === '') {
    out.push(invalid(`${field}.messageExpression`, messageExpression, 'must be non-empty if specified'))
  } else if (messageExpression !== '') {
    const problem = problemOf(env, messageExpression, ['string'], 'string')
    if (problem !== null) out.push(invalid(`${field}.messageExpression`, messageExpression, problem))
  }
  if (message !== '' && message.trim() === '') {
    out.push(invalid(`${field}.message`, message, 'message must be non-empty if specified'))
  } else if (message.includes('\n')) {
    out.push(invalid(`${field}.message`, message, 'message must not contain line breaks'))
  } else if (expression.includes('\n') && message === '') {
    out.push(required(`${field}.message`, 'message must be specified if expression contains line breaks'))
  }
  if (reason !== undefined && !REASONS.includes(reason)) {
    out.push(notSupported(`${field}.reason`, reason, REASONS))
  }
}

function checkAnnotations(
  out: FieldError[],
  annotations: NonNullable<PolicySpec['auditAnnotations']>,
  env: PolicyEnv,
): void {
  const field = 'spec.auditAnnotations'
  if (annotations.length > ANNOTATIONS_MAX) {
    out.push(tooMany(field, annotations.length, ANNOTATIONS_MAX))
    return
  }
  const seen = new Set<string>()
  for (const [index, { key = '', valueExpression = '' }] of annotations.entries()) {
    const place = at(field, index)
    if (key.trim() === '') out.push(required(`${place}.key`))
    else for (const problem of checkQualifiedName(key)) out.push(invalid(`${place}.key`, key, problem))
    if (key !== '' && seen.has(key)) out.push(duplicate(`${place}.key`, key))
    seen.add(key)
    checkExpression(out, `${place}.valueExpression`, valueExpression, one =>
      problemOf(env, one, ['string', 'null'], 'string or null'),
    )
  }
}

function checkMutations(out: FieldError[], mutations: readonly Mutation[], env: PolicyEnv): void {
  if (mutations.length === 0) out.push(required('spec.mutations', 'mutations must contain at least one item'))
  for (const [index, { patchType = '', applyConfiguration, jsonPatch }] of mutations.entries()) {
    const field = at('spec.mutations', index)
    if (patchType === '') out.push(required(`${field}.patchType`))
    else if (!PATCH_TYPES.includes(patchType)) {
      out.push(notSupported(`${field}.patchType`, patchType, PATCH_TYPES))
    }
    const isApply = patchType === 'ApplyConfiguration'
    checkPatch(out, `${field}.applyConfiguration`, applyConfiguration, {
      isWanted: isApply,
      problem: one => problemOf(env, one, ['object'], 'Object'),
    })
    checkPatch(out, `${field}.jsonPatch`, jsonPatch, {
      isWanted: patchType === 'JSONPatch',
      problem: one => problemOf(env, one, ['list'], 'array of JSONPatch'),
    })
  }
}

function checkPatch(
  out: FieldError[],
  field: string,
  patch: { readonly expression?: string } | undefined,
  { isWanted, problem }: { readonly isWanted: boolean; problem(expression: string): string | null },
): void {
  if (!isWanted) {
    if (patch !== undefined) out.push(forbidden(field, 'not allowed when patchType is not the matching one'))
    return
  }
  if (patch === undefined) out.push(required(field, 'required by patchType'))
  else checkExpression(out, `${field}.expression`, patch.expression ?? '', problem)
}
