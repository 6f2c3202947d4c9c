/**
 * Nobody grants what he does not have: writing a role needs its rules (or the verb `escalate`), and binding
 * one needs the role's rules (or the verb `bind`).
 */
import type { KubeObject } from '../../../kube/object.ts'
import { forbidden, notFound } from '../../../kube/status.ts'
import type { ClusterRole, PolicyRule, RoleBinding, RoleRef } from '../../../kube/types.ts'
import type { AdmissionPlugin, AdmissionRequest, Authorizer } from '../ports.ts'
import { isSuperuser, type RbacAuthorizer } from './authz.ts'
import { showRule, uncoveredRules } from './rules.ts'

const GROUP = 'rbac.authorization.k8s.io'

/** Who may is asked of all authorizers, what somebody has of RBAC only. */
export type EscalationAuthorizer = Authorizer & Pick<RbacAuthorizer, 'rulesFor' | 'rulesOf'>

export function createEscalationCheck(authorizer: EscalationAuthorizer): AdmissionPlugin {
  return {
    name: 'RBACEscalationCheck',
    async validate(request) {
      const { resource, operation, object, user } = request
      if (resource.group !== GROUP || object === null || isSuperuser(user)) return
      if (operation !== 'CREATE' && operation !== 'UPDATE') return
      if (resource.resource === 'roles' || resource.resource === 'clusterroles')
        await checkRole(request, authorizer)
      else await checkBinding(request, authorizer)
    },
  }
}

async function checkRole(request: AdmissionRequest, authorizer: EscalationAuthorizer): Promise<void> {
  const role = request.object as unknown as ClusterRole
  const before = request.oldObject as unknown as ClusterRole | null
  const sameRules = before !== null && JSON.stringify(before.rules) === JSON.stringify(role.rules)
  const sameAggregation =
    before !== null && JSON.stringify(before.aggregationRule) === JSON.stringify(role.aggregationRule)
  if (sameRules && sameAggregation) return
  if (await mayDo(request, authorizer, { verb: 'escalate', name: request.name })) return
  const aggregates = (role.aggregationRule?.clusterRoleSelectors?.length ?? 0) > 0
  const wanted: readonly PolicyRule[] = aggregates && !sameAggregation ? FULL : (role.rules ?? [])
  refuseUncovered(request, authorizer, { wanted, namespace: request.namespace })
}

/** An aggregated role may come to hold anything, so it takes everything to make one. */
const FULL: readonly PolicyRule[] = [
  { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
  { verbs: ['*'], nonResourceURLs: ['*'] },
]

async function checkBinding(request: AdmissionRequest, authorizer: EscalationAuthorizer): Promise<void> {
  const binding = request.object as unknown as RoleBinding
  const before = request.oldObject as unknown as RoleBinding | null
  const subjects = (item: RoleBinding) => JSON.stringify([item.subjects ?? [], item.roleRef])
  if (before !== null && subjects(before) === subjects(binding)) return
  const resource = binding.roleRef.kind === 'ClusterRole' ? 'clusterroles' : 'roles'
  if (await mayDo(request, authorizer, { verb: 'bind', name: binding.roleRef.name, resource })) return
  const role = authorizer.rulesOf(binding.roleRef, request.namespace)
  if (role.problem !== undefined) throw missingRole(binding.roleRef)
  refuseUncovered(request, authorizer, { wanted: role.rules, namespace: request.namespace })
}

function missingRole(ref: RoleRef) {
  const resource = ref.kind === 'ClusterRole' ? 'clusterroles' : 'roles'
  return notFound({ group: GROUP, resource }, ref.name)
}

async function mayDo(
  request: AdmissionRequest,
  authorizer: Authorizer,
  wanted: { verb: string; name: string; resource?: string },
): Promise<boolean> {
  const { user, namespace, resource } = request
  const attributes = {
    user,
    isResource: true,
    path: '',
    group: GROUP,
    version: resource.version,
    resource: resource.resource,
    subresource: '',
    namespace,
    ...wanted,
  }
  return (await authorizer.authorize(attributes)).allowed
}

function refuseUncovered(
  request: AdmissionRequest,
  authorizer: EscalationAuthorizer,
  what: { readonly wanted: readonly PolicyRule[]; readonly namespace: string },
): void {
  const owned = authorizer.rulesFor(request.user, what.namespace)
  const extra = uncoveredRules(owned.rules, what.wanted)
  if (extra.length === 0) return
  const { username, groups } = request.user
  const who = `user ${JSON.stringify(username)} (groups=${JSON.stringify(groups).replaceAll(',', ' ')})`
  const problems = owned.problems.length === 0 ? '' : `; resolution errors: [${owned.problems.join(', ')}]`
  const why =
    `${who} is attempting to grant RBAC permissions not currently held:\n` +
    `${extra.map(showRule).join('\n')}${problems}`
  throw forbidden(request.resource, nameOf(request.object, request.name), why)
}

const nameOf = (object: KubeObject | null, fallback: string): string => object?.metadata.name ?? fallback
