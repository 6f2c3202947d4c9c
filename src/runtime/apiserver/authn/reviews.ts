/** TokenReview and SelfSubjectReview: who does a token belong to, and who am I. */
import type { Clock } from '../../../base/clock.ts'
import { required } from '../../../kube/field-error.ts'
import { invalid } from '../../../kube/status.ts'
import type { VirtualHandler } from '../ports.ts'
import type { UserInfo } from '../user.ts'
import type { TokenAuthenticator } from './authn.ts'

const GROUP = 'authentication.k8s.io'
const API_VERSION = `${GROUP}/v1`

/** The handlers of authentication.k8s.io. */
export function createAuthenticationHandlers(
  reviewToken: ReviewAnyToken,
  clock: Pick<Clock, 'now'>,
): readonly VirtualHandler[] {
  return [tokenReviews(reviewToken), selfSubjectReviews(clock)]
}

type ReviewAnyToken = TokenAuthenticator['reviewAnyToken']

function tokenReviews(reviewToken: ReviewAnyToken): VirtualHandler {
  return {
    group: GROUP,
    resource: 'tokenreviews',
    subresource: '',
    async handle({ body }) {
      const spec = (body?.['spec'] ?? {}) as { token?: string; audiences?: readonly string[] }
      if (!spec.token) {
        throw invalid({ group: GROUP, kind: 'TokenReview' }, '', [required('spec.token')])
      }
      const audiences = spec.audiences?.length ? spec.audiences : undefined
      const status = await reviewStatus(reviewToken, spec.token, audiences)
      const metadata = body?.metadata ?? {}
      return { status: 201, object: { kind: 'TokenReview', apiVersion: API_VERSION, metadata, spec, status } }
    },
  }
}

async function reviewStatus(
  reviewToken: ReviewAnyToken,
  token: string,
  audiences: readonly string[] | undefined,
) {
  const verdict = await reviewToken(token, audiences)
  if (verdict.valid) {
    return { authenticated: true, user: wireUser(verdict.user), audiences: verdict.audiences }
  }
  const { reason } = verdict
  return { user: {}, error: reason === '' ? 'invalid bearer token' : `[invalid bearer token, ${reason}]` }
}

function selfSubjectReviews(clock: Pick<Clock, 'now'>): VirtualHandler {
  return {
    group: GROUP,
    resource: 'selfsubjectreviews',
    subresource: '',
    async handle({ user }) {
      const creationTimestamp = new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z')
      const object = {
        kind: 'SelfSubjectReview',
        apiVersion: API_VERSION,
        metadata: { creationTimestamp },
        status: { userInfo: wireUser(user) },
      }
      return { status: 201, object }
    },
  }
}

function wireUser(user: UserInfo): Record<string, unknown> {
  const { username, uid, groups, extra } = user
  return {
    username,
    ...(uid === undefined || uid === '' ? {} : { uid }),
    groups,
    ...(extra === undefined || Object.keys(extra).length === 0 ? {} : { extra }),
  }
}
