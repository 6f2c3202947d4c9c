/** Cluster roles for people and for what everybody may know: cluster-admin, admin, edit, view, discovery. */
import type { KubeObject } from '../../../kube/object.ts'
import type { PolicyRule } from '../../../kube/types.ts'
import { bindCluster, clusterRole, group, paths, READ, READ_WRITE, rule, WRITE } from './rule.ts'

const PREFIX = 'rbac.authorization.k8s.io/aggregate-to-'
const [TO_ADMIN, TO_EDIT, TO_VIEW] = [`${PREFIX}admin`, `${PREFIX}edit`, `${PREFIX}view`] as const

const WORKLOADS =
  'daemonsets deployments deployments/scale replicasets replicasets/scale statefulsets statefulsets/scale'
const WORKLOAD_STATUS = 'daemonsets/status deployments/status replicasets/status statefulsets/status'

const view: readonly PolicyRule[] = [
  rule(
    READ,
    'core',
    'configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers ' +
      'replicationcontrollers/scale serviceaccounts services services/status',
  ),
  rule(
    READ,
    'core',
    'bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status ' +
      'resourcequotas resourcequotas/status',
  ),
  rule(READ, 'core', 'namespaces'),
  rule(READ, 'discovery.k8s.io', 'endpointslices'),
  rule(READ, 'apps', `controllerrevisions ${WORKLOADS} ${WORKLOAD_STATUS}`),
  rule(READ, 'autoscaling', 'horizontalpodautoscalers horizontalpodautoscalers/status'),
  rule(READ, 'batch', 'cronjobs cronjobs/status jobs jobs/status'),
  rule(
    READ,
    'extensions',
    'daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ' +
      'ingresses/status networkpolicies replicasets replicasets/scale replicasets/status ' +
      'replicationcontrollers/scale',
  ),
  rule(READ, 'policy', 'poddisruptionbudgets poddisruptionbudgets/status'),
  rule(READ, 'networking.k8s.io', 'ingresses ingresses/status networkpolicies'),
  rule(READ, 'resource.k8s.io', 'resourceclaims resourceclaims/status resourceclaimtemplates'),
]

const edit: readonly PolicyRule[] = [
  rule(READ, 'core', 'pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy'),
  rule('impersonate', 'core', 'serviceaccounts'),
  rule(WRITE, 'core', 'pods pods/attach pods/exec pods/portforward pods/proxy'),
  rule('create', 'core', 'pods/eviction'),
  rule(
    WRITE,
    'core',
    'configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets ' +
      'serviceaccounts services services/proxy',
  ),
  rule('create', 'core', 'serviceaccounts/token'),
  rule(WRITE, 'apps', `${WORKLOADS} deployments/rollback`),
  rule(WRITE, 'autoscaling', 'horizontalpodautoscalers'),
  rule(WRITE, 'batch', 'cronjobs jobs'),
  rule(
    WRITE,
    'extensions',
    'daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies replicasets ' +
      'replicasets/scale replicationcontrollers/scale',
  ),
  rule(WRITE, 'policy', 'poddisruptionbudgets'),
  rule(WRITE, 'networking.k8s.io', 'ingresses networkpolicies'),
  rule(READ_WRITE, 'coordination.k8s.io', 'leases'),
  rule(WRITE, 'resource.k8s.io', 'resourceclaims resourceclaimtemplates'),
]

const admin: readonly PolicyRule[] = [
  rule('create', 'authorization.k8s.io', 'localsubjectaccessreviews'),
  rule(READ_WRITE, 'rbac.authorization.k8s.io', 'rolebindings roles'),
]

const PROBES = '/healthz /livez /readyz /version /version/'

/** The aggregated roles begin with the sum of their parts; the aggregation controller keeps them at it. */
export function userRoles(): readonly KubeObject[] {
  return [
    clusterRole('cluster-admin', [rule('*', '*', '*'), paths('*', '*')]),
    clusterRole('system:discovery', [
      paths('get', `/api /api/* /apis /apis/* /openapi /openapi/* ${PROBES}`),
    ]),
    clusterRole('system:public-info-viewer', [paths('get', PROBES)]),
    clusterRole('system:basic-user', [
      rule('create', 'authorization.k8s.io', 'selfsubjectaccessreviews selfsubjectrulesreviews'),
      rule('create', 'authentication.k8s.io', 'selfsubjectreviews'),
    ]),
    clusterRole('system:monitoring', [
      paths('get', '/healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*'),
    ]),
    clusterRole('system:service-account-issuer-discovery', [
      paths(
        'get',
        '/.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/',
      ),
    ]),
    clusterRole('admin', [...admin, ...edit, ...view], { aggregates: [TO_ADMIN] }),
    clusterRole('edit', [...edit, ...view], { aggregates: [TO_EDIT], labels: { [TO_ADMIN]: 'true' } }),
    clusterRole('view', view, { aggregates: [TO_VIEW], labels: { [TO_EDIT]: 'true' } }),
    clusterRole('system:aggregate-to-admin', admin, { labels: { [TO_ADMIN]: 'true' } }),
    clusterRole('system:aggregate-to-edit', edit, { labels: { [TO_EDIT]: 'true' } }),
    clusterRole('system:aggregate-to-view', view, { labels: { [TO_VIEW]: 'true' } }),
    // As metrics-server brings it.
    clusterRole(
      'system:aggregated-metrics-reader',
      [rule('get list watch', 'metrics.k8s.io', 'nodes pods')],
      {
        labels: { [TO_ADMIN]: 'true', [TO_EDIT]: 'true', [TO_VIEW]: 'true' },
      },
    ),
  ]
}

export function userBindings(): readonly KubeObject[] {
  const everybody = group('system:authenticated')
  return [
    bindCluster('cluster-admin', [group('system:masters')]),
    bindCluster('system:discovery', [everybody]),
    bindCluster('system:basic-user', [everybody]),
    bindCluster('system:public-info-viewer', [everybody, group('system:unauthenticated')]),
    bindCluster('system:monitoring', [group('system:monitoring')]),
    bindCluster('system:service-account-issuer-discovery', [group('system:serviceaccounts')]),
  ]
}
