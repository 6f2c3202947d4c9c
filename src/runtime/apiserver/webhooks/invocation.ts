/** Which webhooks a request concerns, and one call of one of them: the question, the time, the answer. */
import type { Clock } from '../../../base/clock.ts'
import { messageOf } from '../../../base/errors.ts'
import type { Random } from '../../../base/random.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { badRequest, forbidden, internalError, StatusError } from '../../../kube/status.ts'
import type { ConditionSubject, MatchConditions } from '../admission/match-conditions.ts'
import { matchesNamespace, matchesObject, matchRules, ruleSubject } from '../admission/rule-match.ts'
import type { AdmissionRequest, ObjectReader, ResourceForm } from '../ports.ts'
import type { WebhookCaller } from './caller.ts'
import type { Webhook } from './configurations.ts'
import type { CallOutcome, WebhookKind, WebhookMetrics } from './metrics.ts'
import {
  denial,
  InvalidAnswer,
  InvalidPatch,
  type ReviewObjects,
  reviewOf,
  type Verdict,
  verdictOf,
} from './review.ts'

export interface WebhookParts {
  readonly objects: ObjectReader
  readonly caller: WebhookCaller
  readonly conditions: MatchConditions
  readonly metrics: WebhookMetrics
  readonly clock: Clock
  readonly random: Random
}

export interface Invocation {
  readonly webhook: Webhook
  readonly form: ResourceForm
  readonly objects: ReviewObjects
}

/** The webhook could not be asked, or its answer was none: the failure policy says what that means. */
export class CallFailure extends Error {}

/** Null when the webhook has nothing to say about the request. Throws StatusError. */
export async function invocationOf(
  parts: WebhookParts,
  webhook: Webhook,
  request: AdmissionRequest,
): Promise<Invocation | null> {
  const subject = ruleSubject(request)
  const form = matchRules(webhook.rules, webhook.matchPolicy, subject, () => request.forms.equivalents())
  if (form === null) return null
  if (!matchesObject(webhook.objectSelector, subject)) return null
  if (!matchesNamespace(webhook.namespaceSelector, subject, parts.objects)) return null
  const objects = {
    object: await shown(request, request.object, form),
    oldObject: await shown(request, request.oldObject, form),
  }
  if (webhook.matchConditions.length > 0) {
    const applies = await conditionsHold(parts, webhook, { ...objects, request, form })
    if (!applies) return null
  }
  return { webhook, form, objects }
}

const shown = async (
  request: AdmissionRequest,
  object: KubeObject | null,
  form: ResourceForm,
): Promise<KubeObject | null> => (object === null ? null : await request.forms.show(object, form))

/** A condition that cannot be decided is the request's failure, unless the webhook's failures are ignored. */
async function conditionsHold(
  { conditions, metrics }: WebhookParts,
  webhook: Webhook,
  subject: ConditionSubject,
): Promise<boolean> {
  try {
    return await conditions.match(webhook.matchConditions, subject)
  } catch (error) {
    metrics.conditionFailed(webhook.name)
    if (webhook.failurePolicy === 'Ignore') return false
    throw forbidden(subject.request.resource, subject.request.name, messageOf(error))
  }
}

/** Asks; throws CallFailure, or StatusError for a refusal. */
export async function callWebhook(
  parts: WebhookParts,
  kind: WebhookKind,
  { webhook, form, objects }: Invocation,
  request: AdmissionRequest,
): Promise<Verdict> {
  const { sideEffects, name } = webhook
  if (request.dryRun && sideEffects !== 'None' && sideEffects !== 'NoneOnDryRun') {
    throw badRequest(`admission webhook ${JSON.stringify(name)} does not support dry run`)
  }
  const started = parts.clock.monotonic()
  const outcome: CallOutcome = { code: 200, rejected: false, error: 'no_error' }
  try {
    const verdict = await ask(parts, kind, { webhook, form, objects }, request, outcome)
    for (const [key, value] of Object.entries(verdict.auditAnnotations)) {
      request.annotate(`${name}/${key}`, value)
    }
    for (const warning of verdict.warnings) request.warn(warning)
    if (verdict.allowed) return verdict
    const refusal = denial(name, verdict.result)
    Object.assign(outcome, { rejected: true, code: refusal.code })
    throw refusal
  } finally {
    if (outcome.error === 'calling_webhook_error') outcome.rejected = webhook.failurePolicy !== 'Ignore'
    const seconds = (parts.clock.monotonic() - started) / 1000
    parts.metrics.called({ webhook: name, kind, operation: request.operation, seconds, ...outcome })
  }
}

async function ask(
  parts: WebhookParts,
  kind: WebhookKind,
  { webhook, form, objects }: Invocation,
  request: AdmissionRequest,
  outcome: CallOutcome,
): Promise<Verdict> {
  const { name, clientConfig, timeoutSeconds } = webhook
  const uid = parts.random.uuid()
  const failed = (why: string, error: unknown): CallFailure => {
    Object.assign(outcome, { error: 'calling_webhook_error', code: 500 })
    const text = `failed calling webhook ${JSON.stringify(name)}: ${why}: ${messageOf(error)}`
    return new CallFailure(text, { cause: error })
  }
  const body = reviewOf(uid, request, form, objects)
  const { signal } = request
  const answer = await parts.caller
    .post({ clientConfig, body, timeoutMs: timeoutSeconds * 1000, signal })
    .catch(error => {
      throw failed('failed to call webhook', error)
    })
  try {
    return verdictOf(answer, uid, kind === 'admit')
  } catch (error) {
    if (error instanceof InvalidPatch) throw internalError(error)
    if (error instanceof InvalidAnswer) throw failed('received invalid webhook response', error)
    throw error
  }
}

/** What a failed call means for the request: null when it goes on all the same. */
export function consequence(
  { metrics }: WebhookParts,
  kind: WebhookKind,
  webhook: Webhook,
  error: unknown,
): StatusError | null {
  if (!(error instanceof CallFailure)) return error instanceof StatusError ? error : internalError(error)
  if (webhook.failurePolicy !== 'Ignore') return internalError(error)
  metrics.failedOpen(webhook.name, kind)
  return null
}
