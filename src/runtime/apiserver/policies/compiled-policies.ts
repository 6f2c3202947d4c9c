/** The policies of the cluster with their bindings and compiled expressions, in the order of their names. */

import {
  type CompiledExpression,
  type PolicyEnv,
  policyEnv,
} from '../../../kube/admission-policy/policy-env.ts'
import {
  type BindingSpec,
  type Mutation,
  PolicyKinds,
  type PolicySpec,
  type Validation,
} from '../../../kube/admission-policy/policy-kinds.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { ObjectReader } from '../ports.ts'
import { REGISTRATION_GROUP } from '../webhooks/configurations.ts'
import type { PolicyCondition } from './evaluation.ts'

export interface CompiledPolicy {
  readonly name: string
  readonly spec: PolicySpec
  readonly bindings: readonly PolicyBinding[]
  readonly env: PolicyEnv
  readonly conditions: readonly PolicyCondition[]
  readonly validations: readonly CompiledValidation[]
  readonly annotations: readonly {
    readonly key: string
    readonly expression: string
    readonly compiled: CompiledExpression
  }[]
  readonly mutations: readonly {
    readonly mutation: Mutation
    readonly expression: string
    readonly compiled: CompiledExpression
  }[]
}

export interface PolicyBinding {
  readonly name: string
  readonly spec: BindingSpec
}

export interface CompiledValidation {
  readonly validation: Validation
  readonly compiled: CompiledExpression
  readonly message: CompiledExpression | null
}

export function compilePolicies(
  objects: ObjectReader,
  kind: keyof typeof PolicyKinds,
): readonly CompiledPolicy[] {
  const { policies, bindings } = PolicyKinds[kind]
  const byPolicy = Map.groupBy(
    objects.list(REGISTRATION_GROUP, bindings),
    binding => (binding['spec'] as BindingSpec | undefined)?.policyName ?? '',
  )
  return objects
    .list(REGISTRATION_GROUP, policies)
    .filter(policy => byPolicy.has(nameOf(policy)))
    .toSorted(byName)
    .map(policy => compilePolicy(policy, byPolicy.get(nameOf(policy)) ?? [], kind === 'mutating'))
}

const nameOf = (object: KubeObject): string => object.metadata.name ?? ''
const byName = (a: KubeObject, b: KubeObject): number => (nameOf(a) < nameOf(b) ? -1 : 1)

function compilePolicy(
  policy: KubeObject,
  bindings: readonly KubeObject[],
  isMutating: boolean,
): CompiledPolicy {
  const spec = (policy['spec'] ?? {}) as PolicySpec
  const env = policyEnv(spec, isMutating)
  const compiled = (expression: string) => ({ expression, compiled: env.compile(expression) })
  return {
    name: nameOf(policy),
    spec,
    env,
    bindings: [...bindings]
      .sort(byName)
      .map(binding => ({ name: nameOf(binding), spec: (binding['spec'] ?? {}) as BindingSpec })),
    conditions: (spec.matchConditions ?? []).map(({ expression }) => compiled(expression)),
    validations: (spec.validations ?? []).map(validation => ({
      validation,
      compiled: env.compile(validation.expression),
      message: validation.messageExpression ? env.compile(validation.messageExpression) : null,
    })),
    annotations: (spec.auditAnnotations ?? []).map(({ key, valueExpression }) => ({
      key,
      ...compiled(valueExpression),
    })),
    mutations: (spec.mutations ?? []).map(mutation => ({
      mutation,
      ...compiled(mutation.applyConfiguration?.expression ?? mutation.jsonPatch?.expression ?? ''),
    })),
  }
}
