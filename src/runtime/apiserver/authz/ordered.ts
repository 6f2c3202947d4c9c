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
    authorize(attributes) {
      if (isSuperuser(attributes.user)) return { allowed: true, reason: '' }
      return decide(asked, attributes)
    },
    rulesFor(user, namespace) {
      const { rules, problems } = local.rulesFor(user, namespace)
      return { rules, problems: [...problems, NO_RULES] }
    },
  }
}

/** At once for as long as no answer has to be waited for. */
function decide(
  asked: readonly Ask[],
  attributes: RequestAttributes,
  before: readonly Decision[] = [],
): Decision | Promise<Decision> {
  const heard = [...before]
  for (const ask of asked.slice(before.length)) {
    const decision = ask(attributes)
    if (decision instanceof Promise)
      return decision.then(one => (isFinal(one) ? one : decide(asked, attributes, [...heard, one])))
    if (isFinal(decision)) return decision
    heard.push(decision)
  }
  const reason = heard.flatMap(one => (one.reason === '' ? [] : [one.reason])).join('\n')
  const errors = heard.flatMap(one => (one.error === undefined ? [] : [one.error]))
  return { allowed: false, reason, ...(errors.length === 0 ? {} : { error: errors.join(', ') }) }
}

const isFinal = ({ allowed, isDenied }: Decision): boolean => allowed || isDenied === true

/** Of a failure nothing is kept. */
function createAsked({ post, webhook }: AskedWebhook, clock: Pick<Clock, 'now'>): Ask {
  const kept = new Kept<Decision>(clock)
  const askNow = async (spec: object, key: string): Promise<Decision> => {
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
  return attributes => {
    const spec = specOf(attributes)
    const key = JSON.stringify(spec)
    return kept.get(key) ?? askNow(spec, key)
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
