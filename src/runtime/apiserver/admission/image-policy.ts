/** Whether the images of a pod may be used is asked of another server, whose answers are kept for a while. */

import type { Clock } from '../../../base/clock.ts'
import { sleep } from '../../../base/clock.ts'
import { messageOf } from '../../../base/errors.ts'
import { isMap } from '../../../kube/json-map.ts'
import type { Pod } from '../../../kube/types.ts'
import { Kept, type PostReview } from '../authn/remote-review.ts'
import type { AdmissionPlugin, AdmissionRequest } from '../ports.ts'
import { refuse } from './refuse.ts'

export interface ImagePolicySettings {
  readonly kubeConfigFile: string
  /** 0: not at all. */
  readonly allowTtlMs: number
  readonly denyTtlMs: number
  readonly retryBackoffMs: number
  /** What counts where nobody can be asked. */
  readonly defaultAllow: boolean
}

export interface ImagePolicyParts {
  readonly settings: ImagePolicySettings
  readonly post: PostReview
  readonly clock: Clock
}

interface Verdict {
  readonly allowed: boolean
  readonly reason: string
  readonly auditAnnotations: Readonly<Record<string, string>>
}

const AUDIT_PREFIX = 'imagepolicywebhook.image-policy.k8s.io/'
const MARK = '.image-policy.k8s.io/'
const ATTEMPTS_MAX = 5
const BACKOFF_FACTOR = 1.5

export function imagePolicyWebhook(parts: ImagePolicyParts): AdmissionPlugin {
  const { settings, clock } = parts
  const kept = new Kept<Verdict>(clock)
  return {
    name: 'ImagePolicyWebhook',
    callsOut: true,
    async validate(request) {
      const images = imagesIn(request)
      if (images === null) return
      const spec = {
        containers: images.map(image => ({ image })),
        annotations: annotationsIn(request),
        namespace: request.namespace,
      }
      const key = JSON.stringify(spec)
      let verdict = kept.get(key)
      if (verdict === undefined) {
        try {
          verdict = await ask(parts, spec, request.signal)
        } catch (error) {
          if (!settings.defaultAllow) throw refuse(request, messageOf(error))
          request.annotate(`${AUDIT_PREFIX}failed-open`, 'true')
          return
        }
        const ttlMs = verdict.allowed ? settings.allowTtlMs : settings.denyTtlMs
        if (ttlMs > 0) kept.set(key, verdict, ttlMs)
      }
      for (const [name, value] of Object.entries(verdict.auditAnnotations))
        request.annotate(`${AUDIT_PREFIX}${name}`, value)
      if (verdict.allowed) return
      const { reason } = verdict
      throw refuse(
        request,
        reason === ''
          ? 'one or more images rejected by webhook backend'
          : `image policy webhook backend denied one or more images: ${reason}`,
      )
    },
  }
}

/** Null for requests that bring no images. */
function imagesIn({ operation, resource, subresource, object }: AdmissionRequest): readonly string[] | null {
  if (operation !== 'CREATE' && operation !== 'UPDATE') return null
  if (resource.group !== '' || resource.resource !== 'pods') return null
  const spec = (object as unknown as Pod | null)?.spec
  if (spec === undefined) return null
  const images = (list: readonly { readonly image?: string }[] = []) => list.map(({ image }) => image ?? '')
  if (subresource === 'ephemeralcontainers') return images(spec.ephemeralContainers)
  return subresource === '' ? [...images(spec.containers), ...images(spec.initContainers)] : null
}

const annotationsIn = ({ object }: AdmissionRequest): Record<string, string> =>
  Object.fromEntries(Object.entries(object?.metadata.annotations ?? {}).filter(([key]) => key.includes(MARK)))

/** Again, with longer and longer pauses, where nothing answers. */
async function ask(
  { settings, post, clock }: ImagePolicyParts,
  spec: object,
  signal: AbortSignal | undefined,
): Promise<Verdict> {
  let pauseMs = settings.retryBackoffMs
  for (let attempt = 1; ; attempt += 1) {
    try {
      const review = { apiVersion: 'imagepolicy.k8s.io/v1alpha1', kind: 'ImageReview', spec, status: {} }
      const { status } = await post(review)
      return verdictOf(status)
    } catch (error) {
      if (attempt >= ATTEMPTS_MAX || signal?.aborted) throw error
    }
    await sleep(clock, pauseMs)
    pauseMs *= BACKOFF_FACTOR
  }
}

function verdictOf(status: unknown): Verdict {
  const { allowed, reason, auditAnnotations } = isMap(status) ? status : {}
  return {
    allowed: allowed === true,
    reason: typeof reason === 'string' ? reason : '',
    auditAnnotations: Object.fromEntries(
      Object.entries(isMap(auditAnnotations) ? auditAnnotations : {}).map(([key, value]) => [
        key,
        String(value),
      ]),
    ),
  }
}
