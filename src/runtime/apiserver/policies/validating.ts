/** Runs ValidatingAdmissionPolicies: each decision is carried out as its binding says. */
import { forbidden, StatusError } from '../../../kube/status.ts'
import { type Answers, rememberAnswers, untilAnswered } from '../admission/answers.ts'
import { nameOf } from '../admission/refuse.ts'
import type { AdmissionRequest, Authorizer } from '../ports.ts'
import type { CompiledPolicy, CompiledValidation } from './compiled-policies.ts'
import type { Evaluation } from './evaluation.ts'
import { evaluationOf, type Invocation, invocationsOf, type Shown, shownAs } from './invocations.ts'

/** Something that is not as the policy wants it. */
interface Violation {
  readonly message: string
  readonly reason: string
  /** Of the validation; -1 for what is wrong with the policy itself. */
  readonly index: number
}

const MESSAGE_MAX = 5 * 1024
const ANNOTATION_MAX = 10 * 1024
const AUDIT_KEY = 'validation.policy.admission.k8s.io/validation_failure'
const CODES: Readonly<Record<string, number>> = {
  Unauthorized: 401,
  Forbidden: 403,
  RequestEntityTooLarge: 413,
}
const UNPROCESSABLE = 422

export async function validateByPolicies(
  policies: readonly CompiledPolicy[],
  request: AdmissionRequest,
  authorizer: Authorizer,
): Promise<void> {
  const audited: unknown[] = []
  const annotations = new Map<string, string[]>()
  const answers = rememberAnswers(authorizer)
  let refusal: StatusError | null = null
  for (const invocation of invocationsOf(policies, request)) {
    const shown = await shownAs(request, invocation.form)
    const judged = await untilAnswered(() => judge(invocation, request, shown, answers))
    for (const [key, text] of judged.annotations)
      annotations.set(key, [...(annotations.get(key) ?? []), text])
    for (const violation of judged.violations) {
      const { validationActions = ['Deny'] } = invocation.binding.spec
      // What is wrong with the policy itself is nobody's to audit away.
      const actions = violation.index === CONFIGURATION ? ['Deny'] : validationActions
      if (actions.includes('Deny')) refusal ??= refusalOf(request, invocation, violation)
      if (actions.includes('Warn'))
        request.warn(`Validation failed for ${described(invocation)}: ${violation.message}`)
      if (actions.includes('Audit')) audited.push(auditOf(invocation, violation))
    }
  }
  for (const [key, values] of annotations) request.annotate(key, [...new Set(values)].join(', '))
  if (audited.length > 0) request.annotate(AUDIT_KEY, JSON.stringify(audited))
  if (refusal !== null) throw refusal
}

const CONFIGURATION = -1

const described = ({ policy, binding }: Invocation): string =>
  `ValidatingAdmissionPolicy '${policy.name}' with binding '${binding.name}'`

function auditOf({ policy, binding }: Invocation, { message, index }: Violation): unknown {
  const { validationActions } = binding.spec
  return { message, policy: policy.name, binding: binding.name, expressionIndex: index, validationActions }
}

interface Judgement {
  readonly violations: readonly Violation[]
  readonly annotations: readonly (readonly [key: string, text: string])[]
}

function judge(invocation: Invocation, request: AdmissionRequest, shown: Shown, answers: Answers): Judgement {
  const { policy, params, problem } = invocation
  const fails = policy.spec.failurePolicy !== 'Ignore'
  const broken = (message: string): readonly Violation[] =>
    fails ? [{ message, reason: 'Invalid', index: CONFIGURATION }] : []
  if (problem !== null) return { violations: broken(problem), annotations: [] }
  const judged = params.map((param): Judgement => {
    const evaluation = evaluationOf(invocation, request, shown, param, answers)
    const undecided = evaluation.conditions(policy.conditions)
    if (undecided === false) return { violations: [], annotations: [] }
    if (undecided.length > 0) return { violations: broken(undecided.join('; ')), annotations: [] }
    const violations = validate(policy, evaluation)
    const annotated = annotate(policy, evaluation)
    return { violations: [...violations, ...annotated.violations], annotations: annotated.annotations }
  })
  return {
    violations: judged.flatMap(one => one.violations),
    annotations: judged.flatMap(one => one.annotations),
  }
}

function validate(policy: CompiledPolicy, evaluation: Evaluation): readonly Violation[] {
  const fails = policy.spec.failurePolicy !== 'Ignore'
  return policy.validations.flatMap((one, index) => {
    const { validation, compiled } = one
    const result = evaluation.evaluate(compiled, validation.expression)
    if (!result.ok) return fails ? [{ message: result.error, reason: 'Invalid', index }] : []
    if (result.value === true) return []
    return [{ message: messageOf(one, evaluation), reason: validation.reason ?? 'Invalid', index }]
  })
}

function messageOf({ validation, message }: CompiledValidation, evaluation: Evaluation): string {
  const { expression, messageExpression = '' } = validation
  if (message !== null) {
    const result = evaluation.evaluate(message, messageExpression)
    const text = result.ok && typeof result.value === 'string' ? result.value.trim() : ''
    if (text !== '' && !text.includes('\n') && Buffer.byteLength(text) <= MESSAGE_MAX) return text
  }
  if (validation.message !== undefined && validation.message !== '') return validation.message.trim()
  return `failed expression: ${expression.trim()}`
}

/** Values that are null are left out; what cannot be evaluated counts like a validation. */
function annotate(policy: CompiledPolicy, evaluation: Evaluation): Judgement {
  const fails = policy.spec.failurePolicy !== 'Ignore'
  const violations: Violation[] = []
  const annotations: [key: string, text: string][] = []
  for (const { key, expression, compiled } of policy.annotations) {
    const result = evaluation.evaluate(compiled, expression)
    if (!result.ok) {
      if (fails) violations.push({ message: result.error, reason: 'Invalid', index: CONFIGURATION })
    } else if (typeof result.value === 'string')
      annotations.push([`${policy.name}/${key}`, result.value.slice(0, ANNOTATION_MAX)])
  }
  return { violations, annotations }
}

function refusalOf(
  request: AdmissionRequest,
  invocation: Invocation,
  { message, reason }: Violation,
): StatusError {
  return policyRefusal(request, `${described(invocation)} denied request: ${message}`, reason)
}

/** 422 unless the reason says otherwise; the message is a cause, too. */
export function policyRefusal(request: AdmissionRequest, text: string, reason: string): StatusError {
  const { status } = forbidden(request.resource, nameOf(request), text)
  const details = { ...status.details, causes: [...(status.details?.causes ?? []), { message: text }] }
  return new StatusError({ ...status, code: CODES[reason] ?? UNPROCESSABLE, reason, details })
}
