/** The webhooks of all configurations, in the order in which they are called; pure. */

import type { AdmissionRule } from '../../../kube/admission-policy/policy-kinds.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { LabelSelector } from '../../../kube/types.ts'
import type { MatchCondition } from '../admission/match-conditions.ts'
import type { ObjectReader } from '../ports.ts'
import type { WebhookClientConfig } from './caller.ts'

export interface Webhook {
  /** Of the configuration. */
  readonly configuration: string
  /** Unlike that of all others, the same after an update. */
  readonly id: string
  readonly name: string
  readonly clientConfig: WebhookClientConfig
  readonly rules: readonly AdmissionRule[]
  readonly matchPolicy: string
  readonly namespaceSelector?: LabelSelector
  readonly objectSelector?: LabelSelector
  readonly matchConditions: readonly MatchCondition[]
  readonly failurePolicy: string
  readonly sideEffects: string
  readonly timeoutSeconds: number
  readonly reinvocationPolicy: string
}

export const REGISTRATION_GROUP = 'admissionregistration.k8s.io'
const TIMEOUT_SECONDS = 10

export type WebhookResource = 'mutatingwebhookconfigurations' | 'validatingwebhookconfigurations'

/** By the names of the configurations, and in each of them in the order written there. */
export function webhooksOf(objects: ObjectReader, resource: WebhookResource): readonly Webhook[] {
  return [...objects.list(REGISTRATION_GROUP, resource)]
    .sort((a, b) => ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1))
    .flatMap(webhooksOfOne)
}

function webhooksOfOne(object: KubeObject): Webhook[] {
  const configuration = object.metadata.name ?? ''
  const seen = new Map<string, number>()
  return ((object['webhooks'] ?? []) as readonly Partial<Webhook>[]).map(webhook => {
    const { name = '' } = webhook
    const count = seen.get(name) ?? 0
    seen.set(name, count + 1)
    return {
      ...webhook,
      configuration,
      id: `${configuration}/${name}/${count}`,
      name,
      clientConfig: webhook.clientConfig ?? {},
      rules: webhook.rules ?? [],
      matchPolicy: webhook.matchPolicy ?? 'Equivalent',
      matchConditions: webhook.matchConditions ?? [],
      failurePolicy: webhook.failurePolicy ?? 'Fail',
      sideEffects: webhook.sideEffects ?? 'Unknown',
      timeoutSeconds: webhook.timeoutSeconds ?? TIMEOUT_SECONDS,
      reinvocationPolicy: webhook.reinvocationPolicy ?? 'Never',
    }
  })
}

const EXEMPT = new Set([
  'mutatingwebhookconfigurations',
  'validatingwebhookconfigurations',
  'mutatingadmissionpolicies',
  'mutatingadmissionpolicybindings',
  'validatingadmissionpolicies',
  'validatingadmissionpolicybindings',
])

/** What admission is configured with is not subject to it: nobody must lock himself out. */
export const isExempt = ({
  group,
  resource,
}: {
  readonly group: string
  readonly resource: string
}): boolean => group === REGISTRATION_GROUP && EXEMPT.has(resource)
