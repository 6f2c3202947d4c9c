/** The door of authorization: system:masters first, then the Node authorizer, then RBAC. */
import type { PolicyRule } from '../../../kube/types.ts'
import type { Store } from '../../store/store.ts'
import type { Authorizer, Decision, NodePodsReader, RequestAttributes } from '../ports.ts'
import type { UserInfo } from '../user.ts'
import { createNodeAuthorizer } from './node-authorizer.ts'
import { createRbac, type Rbac } from './rbac.ts'

export interface AuthorizerParts {
  readonly store: Pick<Store, 'watch' | 'revision'>
  readonly objects: NodePodsReader
  /** The rules of the ClusterRole system:node (`bootstrap/node-rules.ts`). */
  readonly nodeRules: readonly PolicyRule[]
  readonly isRemoved?: (node: string) => boolean
}

export interface RbacAuthorizer extends Authorizer {
  authorize(attributes: RequestAttributes): Decision
  readonly rulesFor: Rbac['rulesFor']
  readonly rulesOf: Rbac['rulesOf']
  stop(): void
}

export interface LocalAuthorizer extends RbacAuthorizer {
  /** What each authorizer says by itself. */
  readonly parts: Readonly<Record<'Node' | 'RBAC', (attributes: RequestAttributes) => Decision>>
}

export function createAuthorizer(parts: AuthorizerParts): LocalAuthorizer {
  const rbac = createRbac(parts)
  const authorizeNode = createNodeAuthorizer(parts)
  return {
    authorize(attributes) {
      if (isSuperuser(attributes.user)) return { allowed: true, reason: '' }
      const byNode = authorizeNode(attributes)
      if (byNode.allowed) return byNode
      const byRbac = rbac.authorize(attributes)
      if (byRbac.allowed) return byRbac
      const reasons = [byNode.reason, byRbac.reason].filter(reason => reason !== '')
      return { allowed: false, reason: reasons.join('\n') }
    },
    parts: { Node: authorizeNode, RBAC: rbac.authorize },
    rulesFor: rbac.rulesFor,
    rulesOf: rbac.rulesOf,
    stop: rbac.stop,
  }
}

export const isSuperuser = (user: UserInfo): boolean => user.groups.includes('system:masters')
