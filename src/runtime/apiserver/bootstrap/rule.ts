/** Short ways to write the rules, roles and bindings that a cluster begins with. */
import type { KubeObject } from '../../../kube/object.ts'
import type { PolicyRule, Subject } from '../../../kube/types.ts'

export const RBAC_GROUP = 'rbac.authorization.k8s.io'
const RBAC_VERSION = `${RBAC_GROUP}/v1`

export const READ = 'get list watch'
export const WRITE = 'create delete deletecollection patch update'
export const READ_WRITE = `${READ} ${WRITE}`

const words = (text: string): string[] => text.split(' ').filter(word => word !== '')

/** Words parted by spaces; `core` is the core group. */
export function rule(verbs: string, groups: string, resources: string, names = ''): PolicyRule {
  return {
    verbs: words(verbs),
    apiGroups: words(groups).map(group => (group === 'core' ? '' : group)),
    resources: words(resources),
    ...(names === '' ? {} : { resourceNames: words(names) }),
  }
}

export const paths = (verbs: string, urls: string): PolicyRule => ({
  verbs: words(verbs),
  nonResourceURLs: words(urls),
})

/** Everybody who does something to objects says so in events. */
export const events = (): PolicyRule => rule('create patch update', 'core events.k8s.io', 'events')

export interface RoleOptions {
  readonly labels?: Readonly<Record<string, string>>
  /** Its rules are those of all cluster roles with any of these labels. */
  readonly aggregates?: readonly string[]
}

const metadata = (name: string, namespace = '', labels: Readonly<Record<string, string>> = {}) => ({
  name,
  ...(namespace === '' ? {} : { namespace }),
  labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults', ...labels },
  annotations: { 'rbac.authorization.kubernetes.io/autoupdate': 'true' },
})

export function clusterRole(
  name: string,
  rules: readonly PolicyRule[],
  options: RoleOptions = {},
): KubeObject {
  const selectors = options.aggregates?.map(label => ({ matchLabels: { [label]: 'true' } }))
  return {
    apiVersion: RBAC_VERSION,
    kind: 'ClusterRole',
    metadata: metadata(name, '', options.labels),
    ...(selectors === undefined ? {} : { aggregationRule: { clusterRoleSelectors: selectors } }),
    rules,
  }
}

export const role = (namespace: string, name: string, rules: readonly PolicyRule[]): KubeObject => ({
  apiVersion: RBAC_VERSION,
  kind: 'Role',
  metadata: metadata(name, namespace),
  rules,
})

export const group = (name: string): Subject => ({ kind: 'Group', apiGroup: RBAC_GROUP, name })
export const user = (name: string): Subject => ({ kind: 'User', apiGroup: RBAC_GROUP, name })
export const account = (name: string, namespace = 'kube-system'): Subject => ({
  kind: 'ServiceAccount',
  name,
  namespace,
})

/** A binding of the cluster role to the subjects; it bears the role's name unless told otherwise. */
export function bindCluster(roleName: string, subjects: readonly Subject[], name = roleName): KubeObject {
  return {
    apiVersion: RBAC_VERSION,
    kind: 'ClusterRoleBinding',
    metadata: metadata(name),
    roleRef: { apiGroup: RBAC_GROUP, kind: 'ClusterRole', name: roleName },
    ...(subjects.length === 0 ? {} : { subjects }),
  }
}

export function bind(
  namespace: string,
  roleName: string,
  subjects: readonly Subject[],
  name = roleName,
): KubeObject {
  return {
    apiVersion: RBAC_VERSION,
    kind: 'RoleBinding',
    metadata: metadata(name, namespace),
    roleRef: { apiGroup: RBAC_GROUP, kind: 'Role', name: roleName },
    subjects,
  }
}
