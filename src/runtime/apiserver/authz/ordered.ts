/** The authorizers in the order of a configuration, webhooks among them; the first one with an opinion decides. */
import type { Clock } from '../../../base/clock.ts'
import { messageOf } from '../../../base/errors.ts'
import { isMap } from '../../../kube/json-map.ts'
import { Kept, type PostReview } from '../authn/remote-review.ts'
import type { Authorizer, Decision, RequestAttributes } from '../ports.ts'
import type { AuthorizationWebhook } from './authorization-configuration.ts'
import { isSuperuser, type LocalAuthorizer } from './authz.ts'
import { selectorAttributes } from './selectors.ts'

export interface AskedWebhook {
  readonly post: PostReview
  readonly webhook: Omit<AuthorizationWebhook, 'kubeConfigFile' | 'timeoutMs'>
}

export type AuthorizerStep = 'Node' | 'RBAC' | AskedWebhook

type Ask = (attributes: RequestAttributes) => Decision | Promise<Decision>

const BOTH = 'webhook subject access review returned both allow and deny response'
const NO_RULES = 'webhook authorizer does not support user rule resolution'

/** Asks in this order; system:masters before all of them. */
export function orderedAuthorizer(
  local: Pick<LocalAuthorizer, 'parts' | 'rulesFor'>,
  steps: readonly AuthorizerStep[],
  clock: Pick<Clock, 'now'>,
): Authorizer & Pick<LocalAuthorizer, 'rulesFor'> {
  const asked = steps.map(
    (step): Ask => (typeof step === 'string' ? local.parts[step] : createAsked(step, clock)),
  )
  return {
    async authorize(attributes) {
      if (isSuperuser(attributes.user)) return { allowed: true, reason: '' }
      const reasons: string[] = []
      const errors: string[] = []
      for (const ask of asked) {
        const decision = await ask(attributes)
        if (decision.allowed || decision.isDenied) return decision
        if (decision.reason !== '') reasons.push(decision.reason)
        if (decision.error !== undefined) errors.push(decision.error)
      }
      const reason = reasons.join('\n')
      return { allowed: false, reason, ...(errors.length === 0 ? {} : { error: errors.join(', ') }) }
    },
    rulesFor(user, namespace) {
      const { rules, problems } = local.rulesFor(user, namespace)
      return { rules, problems: [...problems, NO_RULES] }
    },
  }
}

/** Of a failure nothing is kept. */
function createAsked({ post, webhook }: AskedWebhook, clock: Pick<Clock, 'now'>): Ask {
  const kept = new Kept<Decision>(clock)
  return async attributes => {
    const spec = specOf(attributes)
    const key = JSON.stringify(spec)
    const known = kept.get(key)
    if (known !== undefined) return known
    try {
      if (!webhook.isAsked(spec)) return { allowed: false, reason: '' }
      const answer = await post({ apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec })
      const decision = decisionOf(answer['status'])
      const ttlMs = decision.allowed ? webhook.authorizedTtlMs : webhook.unauthorizedTtlMs
      if (ttlMs > 0 && decision.error === undefined) kept.set(key, decision, ttlMs)
      return decision
    } catch (error) {
      const failed = { allowed: false, reason: '', error: messageOf(error) }
      return webhook.refusesOnFailure ? { ...failed, isDenied: true } : failed
    }
  }
}

function decisionOf(status: unknown): Decision {
  const { allowed, denied, reason } = isMap(status) ? status : {}
  const isAllowed = allowed === true
  const isDenied = denied === true
  return {
    allowed: isAllowed && !isDenied,
    reason: typeof reason === 'string' ? reason : '',
    ...(isDenied ? { isDenied } : {}),
    ...(isAllowed && isDenied ? { error: BOTH } : {}),
  }
}

function specOf(asked: RequestAttributes): object {
  const { user, verb, namespace, group, version, resource, subresource, name, path } = asked
  const given = (fields: object) =>
    Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ''))
  return {
    ...(asked.isResource
      ? {
          resourceAttributes: given({
            namespace,
            verb,
            group,
            version,
            resource,
            subresource,
            name,
            ...selectorAttributes(asked),
          }),
        }
      : { nonResourceAttributes: given({ path, verb }) }),
    user: user.username,
    groups: user.groups,
    ...(user.uid ? { uid: user.uid } : {}),
    ...(user.extra ? { extra: user.extra } : {}),
  }
}
