/** Which policies a request concerns, by which bindings, with which parameters, and what they see of it. */

import type { MatchResources } from '../../../kube/admission-policy/policy-kinds.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { Answers } from '../admission/answers.ts'
import { requestBindings } from '../admission/expression-request.ts'
import {
  matchesNamespace,
  matchesObject,
  matchRules,
  type RuleSubject,
  ruleMatches,
  ruleSubject,
} from '../admission/rule-match.ts'
import type { AdmissionRequest, ResourceForm } from '../ports.ts'
import { isExempt } from '../webhooks/configurations.ts'
import type { CompiledPolicy, PolicyBinding } from './compiled-policies.ts'
import { Evaluation } from './evaluation.ts'
import { ParamProblem, paramsOf } from './params.ts'

export interface Invocation {
  readonly policy: CompiledPolicy
  readonly binding: PolicyBinding
  readonly form: ResourceForm
  /** For each parameter. A problem with them or with the match conditions is a text. */
  readonly params: readonly (KubeObject | null)[]
  readonly problem: string | null
}

const REVIEW_GROUPS = new Set(['authentication.k8s.io', 'authorization.k8s.io'])

/** Nobody must lock himself out, and reviews only ask. */
export const isBeyondPolicies = (request: AdmissionRequest): boolean =>
  isExempt(request.resource) || REVIEW_GROUPS.has(request.resource.group)

export function invocationsOf(
  policies: readonly CompiledPolicy[],
  request: AdmissionRequest,
): readonly Invocation[] {
  const subject = ruleSubject(request)
  const found: Invocation[] = []
  for (const policy of policies) {
    const form = matching(policy.spec.matchConstraints ?? {}, request, subject)
    if (form === null) continue
    for (const binding of policy.bindings) {
      const { matchResources } = binding.spec
      if (matchResources !== undefined && matching(matchResources, request, subject) === null) continue
      found.push(invocationOf(policy, binding, form, request))
    }
  }
  return found
}

function invocationOf(
  policy: CompiledPolicy,
  binding: PolicyBinding,
  form: ResourceForm,
  request: AdmissionRequest,
): Invocation {
  try {
    const params = paramsOf(policy.spec, binding.spec, request.cluster, request.namespace)
    return { policy, binding, form, params, problem: null }
  } catch (error) {
    if (!(error instanceof ParamProblem)) throw error
    return { policy, binding, form, params: [], problem: `failed to configure binding: ${error.message}` }
  }
}

/** The form in which the constraints want to see the request; null when they do not mean it. */
function matching(
  { excludeResourceRules = [], resourceRules = [], ...selectors }: MatchResources,
  request: AdmissionRequest,
  subject: RuleSubject,
): ResourceForm | null {
  if (!matchesObject(selectors.objectSelector, subject)) return null
  if (!matchesNamespace(selectors.namespaceSelector, subject, request.cluster.objects)) return null
  const policy = selectors.matchPolicy ?? 'Equivalent'
  const equivalents = () => request.forms.equivalents()
  const isExcluded =
    policy === 'Equivalent'
      ? matchRules(excludeResourceRules, policy, subject, equivalents) !== null
      : excludeResourceRules.some(rule => ruleMatches(rule, subject))
  if (isExcluded) return null
  if (resourceRules.length === 0) return subject.requested
  return matchRules(resourceRules, policy, subject, equivalents)
}

export interface Shown {
  readonly object: KubeObject | null
  readonly oldObject: KubeObject | null
}

export async function shownAs(request: AdmissionRequest, form: ResourceForm): Promise<Shown> {
  const { object, oldObject, forms } = request
  return {
    object: object === null ? null : await forms.show(object, form),
    oldObject: oldObject === null ? null : await forms.show(oldObject, form),
  }
}

export function evaluationOf(
  { policy, form }: Invocation,
  request: AdmissionRequest,
  shown: Shown,
  params: KubeObject | null,
  answers: Answers,
): Evaluation {
  const { namespace } = ruleSubject(request)
  return new Evaluation(
    {
      ...shown,
      params,
      namespace: namespace === '' ? null : request.cluster.objects.get('', 'namespaces', '', namespace),
      request: requestBindings(request, form, answers),
    },
    policy.env.variables,
  )
}
