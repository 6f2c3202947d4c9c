/** Policies and bindings as they are stored, both kinds in one shape. */
import type { LabelSelector } from '../types.ts'

/** Which requests a webhook or policy is about. */
export interface AdmissionRule {
  readonly operations?: readonly string[]
  readonly apiGroups?: readonly string[]
  readonly apiVersions?: readonly string[]
  readonly resources?: readonly string[]
  /** Of policies only: empty means all names. */
  readonly resourceNames?: readonly string[]
  readonly scope?: string
}

export interface MatchResources {
  readonly namespaceSelector?: LabelSelector
  readonly objectSelector?: LabelSelector
  readonly resourceRules?: readonly AdmissionRule[]
  readonly excludeResourceRules?: readonly AdmissionRule[]
  readonly matchPolicy?: string
}

export interface NamedExpression {
  readonly name: string
  readonly expression: string
}

export interface Validation {
  readonly expression: string
  readonly message?: string
  readonly messageExpression?: string
  readonly reason?: string
}

export interface Mutation {
  readonly patchType: string
  readonly applyConfiguration?: { readonly expression?: string }
  readonly jsonPatch?: { readonly expression?: string }
}

export interface PolicySpec {
  readonly paramKind?: { readonly apiVersion?: string; readonly kind?: string }
  readonly matchConstraints?: MatchResources
  readonly matchConditions?: readonly NamedExpression[]
  readonly variables?: readonly NamedExpression[]
  readonly failurePolicy?: string
  readonly validations?: readonly Validation[]
  readonly auditAnnotations?: readonly { readonly key: string; readonly valueExpression: string }[]
  readonly mutations?: readonly Mutation[]
  readonly reinvocationPolicy?: string
}

export interface ParamRef {
  readonly name?: string
  readonly namespace?: string
  readonly selector?: LabelSelector
  readonly parameterNotFoundAction?: string
}

export interface BindingSpec {
  readonly policyName?: string
  readonly paramRef?: ParamRef
  readonly matchResources?: MatchResources
  readonly validationActions?: readonly string[]
}

export const PolicyKinds = {
  validating: { policies: 'validatingadmissionpolicies', bindings: 'validatingadmissionpolicybindings' },
  mutating: { policies: 'mutatingadmissionpolicies', bindings: 'mutatingadmissionpolicybindings' },
} as const
