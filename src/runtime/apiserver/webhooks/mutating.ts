/**
 * The mutating webhooks of a request: one after the other, each sees what the earlier ones made of the object. When
 * one changed it, those that ask for it are called once more, after the other plugins had a second look as well.
 */
import { equalJson } from '../../../kube/equality.ts'
import { isMap } from '../../../kube/json-map.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { applyJsonPatch } from '../../../kube/patch/json-patch.ts'
import { internalError } from '../../../kube/status.ts'
import type { AdmissionRequest } from '../ports.ts'
import type { Webhook } from './configurations.ts'
import { callWebhook, consequence, type Invocation, invocationOf, type WebhookParts } from './invocation.ts'

const NAME = 'MutatingAdmissionWebhook'

/** What the first round leaves for the second. */
interface Rounds {
  /** Called, and willing to be called again when somebody else changes the object. */
  readonly willing: Set<string>
  /** To be called in the second round. */
  readonly due: Set<string>
  /** As the last webhook left it. */
  output: string
}

export async function callMutating(
  parts: WebhookParts,
  webhooks: readonly Webhook[],
  request: AdmissionRequest,
): Promise<void> {
  const { reinvocation } = request
  const rounds = roundsOf(request)
  if (reinvocation.isSecond && JSON.stringify(request.object) !== rounds.output) makeDue(rounds)
  let index = -1
  for (const webhook of webhooks) {
    index += 1
    if (reinvocation.isSecond && !rounds.due.has(webhook.id)) continue
    const invocation = await invocationOf(parts, webhook, request)
    if (invocation === null) continue
    const place = `round_${reinvocation.isSecond ? 1 : 0}_index_${index}`
    const changed = await callOne(parts, invocation, request, place)
    if (changed) {
      makeDue(rounds)
      reinvocation.wanted = true
    }
    if (webhook.reinvocationPolicy === 'IfNeeded') rounds.willing.add(webhook.id)
  }
  rounds.output = reinvocation.wanted ? JSON.stringify(request.object) : ''
}

function roundsOf({ reinvocation }: AdmissionRequest): Rounds {
  const known = reinvocation.kept.get(NAME) as Rounds | undefined
  if (known !== undefined) return known
  const rounds: Rounds = { willing: new Set(), due: new Set(), output: '' }
  reinvocation.kept.set(NAME, rounds)
  return rounds
}

function makeDue({ willing, due }: Rounds): void {
  for (const id of willing) due.add(id)
  willing.clear()
}

/** Whether the object is another one afterwards. */
async function callOne(
  parts: WebhookParts,
  invocation: Invocation,
  request: AdmissionRequest,
  place: string,
): Promise<boolean> {
  const { webhook } = invocation
  let mutated = false
  try {
    const verdict = await callWebhook(parts, 'admit', invocation, request)
    if (verdict.patch !== undefined) mutated = await change(invocation, request, verdict.patch)
  } catch (error) {
    const failure = consequence(parts, 'admit', webhook, error)
    if (failure !== null) throw failure
    request.annotate(`failed-open.mutation.webhook.admission.k8s.io/${place}`, webhook.name)
  }
  const seen = { configuration: webhook.configuration, webhook: webhook.name, mutated }
  request.annotate(`mutation.webhook.admission.k8s.io/${place}`, JSON.stringify(seen))
  return mutated
}

async function change(invocation: Invocation, request: AdmissionRequest, patch: unknown[]): Promise<boolean> {
  const { form, objects, webhook } = invocation
  if (objects.object === null) {
    const what = 'attempted to modify the object, which is not supported for this operation'
    throw internalError(new Error(`admission webhook ${JSON.stringify(webhook.name)} ${what}`))
  }
  const before = objects.object
  let patched: unknown
  try {
    patched = applyJsonPatch(before, patch)
  } catch (error) {
    throw internalError(new Error(patchProblem(error)))
  }
  if (!isMap(patched)) throw internalError(new Error('the patch leaves no object'))
  if (equalJson(before, patched)) return false
  await request.forms.take(patched as KubeObject, form)
  return true
}

/** The particular reason, where the general message says nothing. */
function patchProblem(error: unknown): string {
  const { status, message } = error as {
    status?: { details?: { causes?: readonly { message?: string }[] } }
    message?: string
  }
  return status?.details?.causes?.[0]?.message ?? message ?? 'the patch does not apply'
}
