/**
 * Tokens of the cluster at the registry: whose it is says a TokenReview, and whether that one may pull, push or delete
 * a SubjectAccessReview of the verbs get, create and delete on `images` in the group `registry.mk8s.io`.
 */
import type { KubeClient } from '../../../client/kube-client.ts'
import { SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS } from '../../../client/resources.ts'
import type { SubjectAccessReview, TokenReview } from '../../../kube/types.ts'
import type { Asked } from '../../image-registry/access.ts'

const VERBS = { pull: 'get', push: 'create', delete: 'delete' } as const
const GROUP = 'registry.mk8s.io'
const RESOURCE = 'images'

export async function mayToken(client: KubeClient, token: string, asked: Asked): Promise<boolean> {
  const review: TokenReview = {
    ...{ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', metadata: {} },
    spec: { token },
  }
  const { status } = await client.create<TokenReview>(TOKEN_REVIEWS, review)
  if (status?.authenticated !== true) return false
  const { username = '', groups = [], uid = '', extra = {} } = status.user ?? {}
  const access: SubjectAccessReview = {
    ...{ apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', metadata: {} },
    spec: {
      ...{ user: username, groups, uid, extra },
      resourceAttributes: {
        ...{ verb: VERBS[asked.verb], group: GROUP, resource: RESOURCE },
        ...(asked.repository === null ? {} : { name: asked.repository }),
      },
    },
  }
  const answer = await client.create<SubjectAccessReview>(SUBJECT_ACCESS_REVIEWS, access)
  return answer.status?.allowed === true
}
