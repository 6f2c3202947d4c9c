/** The door of the admission webhooks: two plugins that call what the cluster's configurations say. */
import type { Store } from '../../store/store.ts'
import type { AdmissionPlugin, AdmissionRequest } from '../ports.ts'
import { keep } from '../storage/kept.ts'
import { isExempt, REGISTRATION_GROUP, type WebhookResource, webhooksOf } from './configurations.ts'
import type { WebhookParts } from './invocation.ts'
import { callMutating } from './mutating.ts'
import { callValidating } from './validating.ts'

export interface WebhookPlugins {
  readonly mutating: AdmissionPlugin
  readonly validating: AdmissionPlugin
  stop(): void
}

export function createWebhookPlugins(
  parts: WebhookParts & { readonly store: Pick<Store, 'watch' | 'revision'> },
): WebhookPlugins {
  const kept = (resource: WebhookResource) =>
    keep(parts.store, [`/registry/${REGISTRATION_GROUP}/${resource}/`], () =>
      webhooksOf(parts.objects, resource),
    )
  const mutating = kept('mutatingwebhookconfigurations')
  const validating = kept('validatingwebhookconfigurations')
  return {
    mutating: {
      name: 'MutatingAdmissionWebhook',
      callsOut: true,
      admit(request) {
        const webhooks = mutating.current()
        if (webhooks.length === 0 || isExempt(request.resource)) return
        return waited(parts, request, callMutating(parts, webhooks, request))
      },
    },
    validating: {
      name: 'ValidatingAdmissionWebhook',
      callsOut: true,
      validate(request) {
        const webhooks = validating.current()
        if (webhooks.length === 0 || isExempt(request.resource)) return
        return waited(parts, request, callValidating(parts, webhooks, request))
      },
    },
    stop() {
      mutating.stop()
      validating.stop()
    },
  }
}

async function waited(
  { clock }: WebhookParts,
  request: AdmissionRequest,
  calls: Promise<void>,
): Promise<void> {
  const begun = clock.monotonic()
  try {
    await calls
  } finally {
    request.waited(clock.monotonic() - begun)
  }
}
