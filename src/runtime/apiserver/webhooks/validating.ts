/** The validating webhooks of a request: all at once; the first refusal in their order is the answer. */
import type { StatusError } from '../../../kube/status.ts'
import type { AdmissionRequest } from '../ports.ts'
import type { Webhook } from './configurations.ts'
import { callWebhook, consequence, type Invocation, invocationOf, type WebhookParts } from './invocation.ts'

export async function callValidating(
  parts: WebhookParts,
  webhooks: readonly Webhook[],
  request: AdmissionRequest,
): Promise<void> {
  const invocations: Invocation[] = []
  for (const webhook of webhooks) {
    const invocation = await invocationOf(parts, webhook, request)
    if (invocation !== null) invocations.push(invocation)
  }
  const failures = await Promise.all(
    invocations.map((invocation, index) => callOne(parts, invocation, request, index)),
  )
  const first = failures.find(failure => failure !== null)
  if (first !== undefined && first !== null) throw first
}

async function callOne(
  parts: WebhookParts,
  invocation: Invocation,
  request: AdmissionRequest,
  index: number,
): Promise<StatusError | null> {
  const { webhook } = invocation
  try {
    await callWebhook(parts, 'validating', invocation, request)
    return null
  } catch (error) {
    const failure = consequence(parts, 'validating', webhook, error)
    if (failure === null) {
      const key = `failed-open.validating.webhook.admission.k8s.io/round_0_index_${index}`
      request.annotate(key, webhook.name)
    }
    return failure
  }
}
