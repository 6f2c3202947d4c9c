/** Runs MutatingAdmissionPolicies: each sees what the earlier ones made of the object. */

import { configurationOf, operationsOf } from '../../../kube/admission-policy/constructed.ts'
import { mergeValues } from '../../../kube/apply/merge-values.ts'
import { CelError, type CelValue } from '../../../kube/cel/values.ts'
import { equalJson } from '../../../kube/equality.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { applyJsonPatch } from '../../../kube/patch/json-patch.ts'
import { StatusError } from '../../../kube/status.ts'
import { type Answers, rememberAnswers, untilAnswered } from '../admission/answers.ts'
import type { AdmissionRequest, Authorizer } from '../ports.ts'
import type { CompiledPolicy } from './compiled-policies.ts'
import { evaluationOf, type Invocation, invocationsOf, shownAs } from './invocations.ts'
import { policyRefusal } from './validating.ts'

const NAME = 'MutatingAdmissionPolicy'

/** By policy, binding and parameter: the object as it was left in the first round. */
type Rounds = Map<string, string>

/** The mutation cannot be made; the failure policy says what that means. */
class MutationProblem extends Error {}

export async function mutateByPolicies(
  policies: readonly CompiledPolicy[],
  request: AdmissionRequest,
  authorizer: Authorizer,
): Promise<void> {
  const { reinvocation } = request
  const rounds: Rounds = (reinvocation.kept.get(NAME) as Rounds | undefined) ?? new Map()
  reinvocation.kept.set(NAME, rounds)
  const answers = rememberAnswers(authorizer)
  for (const invocation of invocationsOf(policies, request)) {
    const { policy, binding, problem } = invocation
    try {
      if (problem !== null) throw new MutationProblem(problem)
      for (const [index, params] of invocation.params.entries()) {
        const id = `${policy.name}/${binding.name}/${index}`
        if (reinvocation.isSecond && !isDue(policy, rounds.get(id), request)) continue
        if (await mutate(invocation, request, params, answers)) reinvocation.wanted = true
        rounds.set(id, JSON.stringify(request.object))
      }
    } catch (error) {
      if (!(error instanceof MutationProblem)) throw error
      if (policy.spec.failurePolicy === 'Ignore') continue
      const where = `policy '${policy.name}' with binding '${binding.name}'`
      throw policyRefusal(request, `${where} denied request: ${error.message}`, 'Invalid')
    }
  }
}

/** Again only when somebody changed the object since. */
const isDue = ({ spec }: CompiledPolicy, left: string | undefined, request: AdmissionRequest): boolean =>
  spec.reinvocationPolicy === 'IfNeeded' && left !== undefined && left !== JSON.stringify(request.object)

async function mutate(
  invocation: Invocation,
  request: AdmissionRequest,
  params: KubeObject | null,
  answers: Answers,
): Promise<boolean> {
  const { policy, form } = invocation
  const shown = await shownAs(request, form)
  if (shown.object === null) return false
  const undecided = await untilAnswered(() =>
    evaluationOf(invocation, request, shown, params, answers).conditions(policy.conditions),
  )
  if (undecided === false) return false
  if (undecided.length > 0) throw new MutationProblem(undecided.join('; '))
  let object: KubeObject = shown.object
  for (const { mutation, compiled, expression } of policy.mutations) {
    const seen = { ...shown, object }
    const result = await untilAnswered(() =>
      evaluationOf(invocation, request, seen, params, answers).evaluate(compiled, expression),
    )
    if (!result.ok) throw new MutationProblem(result.error)
    object = changed(mutation.patchType, result.value, { object, invocation, request })
  }
  if (equalJson(object, shown.object)) return false
  await request.forms.take(object, form)
  return true
}

function changed(
  patchType: string,
  value: CelValue,
  {
    object,
    invocation,
    request,
  }: { readonly object: KubeObject; readonly invocation: Invocation; readonly request: AdmissionRequest },
): KubeObject {
  try {
    if (patchType === 'JSONPatch') return applyJsonPatch(object, operationsOf(value)) as KubeObject
    const schema = request.cluster.applySchemaOf(invocation.form)
    if (schema === undefined) throw new MutationProblem('the resource is not served any more')
    return mergeValues(schema, object, configurationOf(value)) as KubeObject
  } catch (error) {
    if (error instanceof CelError) throw new MutationProblem(error.message)
    if (error instanceof StatusError) throw new MutationProblem(`JSON Patch: ${error.message}`)
    throw error
  }
}
