/**
 * Roles and bindings arranged for the question "what may this user do": by subject, cluster-wide and by
 * namespace. Built anew when a role or a binding changed.
 */
import type {
  ClusterRole,
  ClusterRoleBinding,
  PolicyRule,
  Role,
  RoleBinding,
  RoleRef,
  Subject,
} from '../../../kube/types.ts'
import { parseServiceAccount } from '../authn/impersonation.ts'
import type { ObjectReader } from '../ports.ts'
import type { UserInfo } from '../user.ts'

/** What one binding gives one subject. */
export interface Grant {
  /** In the words of an answer's reason. */
  readonly description: string
  readonly rules: readonly PolicyRule[]
  /** The role that the binding names does not exist. */
  readonly problem?: string
}

export interface RoleIndex {
  /** Everything that holds for the user in the namespace; empty for cluster scope. */
  grantsFor(user: UserInfo, namespace: string): Generator<Grant>
  /** The rules of a role, or the problem. */
  resolve(ref: Pick<RoleRef, 'kind' | 'name'>, namespace: string): Pick<Grant, 'rules' | 'problem'>
}

const GROUP = 'rbac.authorization.k8s.io'

type GrantsBySubject = Map<string, Grant[]>

export function buildRoleIndex(objects: ObjectReader): RoleIndex {
  const cluster: GrantsBySubject = new Map()
  const namespaces = new Map<string, GrantsBySubject>()
  const resolve = createResolver(objects)

  for (const object of objects.list(GROUP, 'clusterrolebindings')) {
    const binding = object as unknown as ClusterRoleBinding
    addGrants(cluster, binding, {
      namespace: '',
      head: `ClusterRoleBinding ${JSON.stringify(binding.metadata.name)}`,
      ...resolve(binding.roleRef, ''),
    })
  }
  for (const object of objects.list(GROUP, 'rolebindings')) {
    const binding = object as unknown as RoleBinding
    const namespace = binding.metadata.namespace ?? ''
    const grants = namespaces.get(namespace) ?? new Map<string, Grant[]>()
    namespaces.set(namespace, grants)
    addGrants(grants, binding, {
      namespace,
      head: `RoleBinding ${JSON.stringify(`${binding.metadata.name}/${namespace}`)}`,
      ...resolve(binding.roleRef, namespace),
    })
  }

  return {
    resolve,
    *grantsFor(user, namespace) {
      const keys = subjectKeys(user)
      yield* lookUp(cluster, keys)
      const local = namespace === '' ? undefined : namespaces.get(namespace)
      if (local !== undefined) yield* lookUp(local, keys)
    },
  }
}

function createResolver(objects: ObjectReader): RoleIndex['resolve'] {
  return (ref, namespace) => {
    const clusterWide = ref.kind === 'ClusterRole'
    const resource = clusterWide ? 'clusterroles' : 'roles'
    const role = objects.get(GROUP, resource, clusterWide ? '' : namespace, ref.name)
    if (role !== null) return { rules: (role as unknown as ClusterRole | Role).rules ?? [] }
    const kind = clusterWide ? 'clusterrole' : 'role'
    return { rules: [], problem: `${kind}.${GROUP} ${JSON.stringify(ref.name)} not found` }
  }
}

function addGrants(
  target: GrantsBySubject,
  binding: ClusterRoleBinding | RoleBinding,
  grant: { namespace: string; head: string; rules: readonly PolicyRule[]; problem?: string },
): void {
  const { kind, name } = binding.roleRef
  const of = `of ${kind} ${JSON.stringify(name)}`
  for (const subject of binding.subjects ?? []) {
    const key = subjectKey(subject, grant.namespace)
    const list = target.get(key) ?? []
    target.set(key, list)
    list.push({
      description: `${grant.head} ${of} to ${describeSubject(subject, grant.namespace)}`,
      rules: grant.rules,
      ...(grant.problem === undefined ? {} : { problem: grant.problem }),
    })
  }
}

function subjectKey(subject: Subject, namespace: string): string {
  if (subject.kind !== 'ServiceAccount') return `${subject.kind}:${subject.name}`
  return `ServiceAccount:${subject.namespace || namespace}:${subject.name}`
}

function describeSubject(subject: Subject, namespace: string): string {
  const { kind, name } = subject
  const full = kind === 'ServiceAccount' ? `${name}/${subject.namespace || namespace}` : name
  return `${kind} ${JSON.stringify(full)}`
}

function subjectKeys(user: UserInfo): readonly string[] {
  const account = parseServiceAccount(user.username)
  return [
    `User:${user.username}`,
    ...(account === null ? [] : [`ServiceAccount:${account.namespace}:${account.name}`]),
    ...user.groups.map(group => `Group:${group}`),
  ]
}

function* lookUp(grants: GrantsBySubject, keys: readonly string[]): Generator<Grant> {
  for (const key of keys) yield* grants.get(key) ?? []
}
