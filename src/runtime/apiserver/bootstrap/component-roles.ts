/** Cluster roles of the parts of a cluster: kubelets, proxy, scheduler, controller manager, DNS, approvers. */
import type { KubeObject } from '../../../kube/object.ts'
import type { PolicyRule } from '../../../kube/types.ts'
import { account, bindCluster, clusterRole, events, paths, READ, rule, user } from './rule.ts'

const REVIEWS = 'authorization.k8s.io'

/** What every kubelet may do; the Node authorizer narrows it to what concerns the kubelet's own node. */
export function nodeRules(): readonly PolicyRule[] {
  return [
    rule('create', 'authentication.k8s.io', 'tokenreviews'),
    rule('create', REVIEWS, 'localsubjectaccessreviews subjectaccessreviews'),
    rule(READ, 'core', 'services'),
    rule(`create ${READ}`, 'core', 'nodes'),
    rule('patch update', 'core', 'nodes nodes/status'),
    events(),
    rule(`create delete ${READ}`, 'core', 'pods'),
    rule('patch update', 'core', 'pods/status'),
    rule('create', 'core', 'pods/eviction'),
    rule(READ, 'core', 'configmaps secrets'),
    rule('get', 'core', 'persistentvolumeclaims persistentvolumes endpoints serviceaccounts'),
    rule('get patch update', 'core', 'persistentvolumeclaims/status'),
    rule(`create ${READ}`, 'certificates.k8s.io', 'certificatesigningrequests'),
    rule('create delete get patch update', 'coordination.k8s.io', 'leases'),
    rule('get', 'storage.k8s.io', 'volumeattachments'),
    rule('create', 'core', 'serviceaccounts/token'),
    rule(READ, 'storage.k8s.io', 'csidrivers'),
    rule('create delete get patch update', 'storage.k8s.io', 'csinodes'),
    rule(READ, 'node.k8s.io', 'runtimeclasses'),
    rule('get', 'resource.k8s.io', 'resourceclaims'),
    rule('deletecollection', 'resource.k8s.io', 'resourceslices'),
  ]
}

const schedulerRules = (): readonly PolicyRule[] => [
  events(),
  rule('create', 'coordination.k8s.io', 'leases'),
  rule('get list update watch', 'coordination.k8s.io', 'leases', 'kube-scheduler'),
  rule(
    READ,
    'core',
    'namespaces nodes persistentvolumeclaims persistentvolumes replicationcontrollers services',
  ),
  rule(`delete ${READ}`, 'core', 'pods'),
  rule('create', 'core', 'bindings pods/binding'),
  rule('patch update', 'core', 'pods/status'),
  rule(READ, 'apps extensions', 'replicasets'),
  rule(READ, 'apps', 'statefulsets'),
  rule(READ, 'policy', 'poddisruptionbudgets'),
  rule('create', 'authentication.k8s.io', 'tokenreviews'),
  rule('create', REVIEWS, 'subjectaccessreviews'),
  rule(READ, 'storage.k8s.io', 'csidrivers csinodes csistoragecapacities'),
  rule(READ, 'resource.k8s.io', 'deviceclasses resourceclaims resourceslices'),
  rule('create delete patch update', 'resource.k8s.io', 'resourceclaims'),
  rule('patch update', 'resource.k8s.io', 'resourceclaims/status'),
]

const controllerManagerRules = (): readonly PolicyRule[] => [
  events(),
  rule('create', 'coordination.k8s.io', 'leases'),
  rule('get list update watch', 'coordination.k8s.io', 'leases', 'kube-controller-manager'),
  rule('create update', 'core', 'secrets serviceaccounts'),
  rule('delete', 'core', 'secrets'),
  rule('get', 'core', 'configmaps namespaces secrets serviceaccounts'),
  rule('create', 'authentication.k8s.io', 'tokenreviews'),
  rule('create', REVIEWS, 'subjectaccessreviews'),
  rule('list watch', '*', '*'),
  rule('create', 'core', 'serviceaccounts/token'),
]

const proxyRules = (): readonly PolicyRule[] => [
  rule('list watch', 'core', 'endpoints services'),
  rule(READ, 'core', 'nodes'),
  events(),
  rule('list watch', 'discovery.k8s.io', 'endpointslices'),
  rule('list watch', 'networking.k8s.io', 'servicecidrs'),
]

const kubeletApiRules = (): readonly PolicyRule[] => [
  rule(READ, 'core', 'nodes'),
  rule('proxy', 'core', 'nodes'),
  rule('*', 'core', 'nodes/configz nodes/healthz nodes/log nodes/metrics nodes/pods nodes/proxy nodes/stats'),
]

const volumeSchedulerRules = (): readonly PolicyRule[] => [
  rule(`patch update ${READ}`, 'core', 'persistentvolumeclaims persistentvolumes'),
  rule(READ, 'storage.k8s.io', 'storageclasses volumeattachments'),
]

const provisionerRules = (): readonly PolicyRule[] => [
  rule(`create delete ${READ}`, 'core', 'persistentvolumes'),
  rule(`update ${READ}`, 'core', 'persistentvolumeclaims'),
  rule(READ, 'storage.k8s.io', 'storageclasses'),
  rule('watch', 'core', 'events'),
  events(),
]

const CERTIFICATES = 'certificates.k8s.io'
const REQUESTS = `system:${CERTIFICATES}:certificatesigningrequests`

/** One role per signer that lets its holder approve; one per kind of request that is approved by itself. */
function certificateRoles(): readonly KubeObject[] {
  const approver = (signer: string) =>
    clusterRole(`system:${CERTIFICATES}:${signer}-approver`, [
      rule('approve', CERTIFICATES, 'signers', `kubernetes.io/${signer}`),
    ])
  return [
    ...['kube-apiserver-client', 'kube-apiserver-client-kubelet', 'kubelet-serving', 'legacy-unknown'].map(
      approver,
    ),
    clusterRole(`${REQUESTS}:nodeclient`, [
      rule('create', CERTIFICATES, 'certificatesigningrequests/nodeclient'),
    ]),
    clusterRole(`${REQUESTS}:selfnodeclient`, [
      rule('create', CERTIFICATES, 'certificatesigningrequests/selfnodeclient'),
    ]),
  ]
}

export function componentRoles(): readonly KubeObject[] {
  return [
    clusterRole('system:node', nodeRules()),
    clusterRole('system:node-proxier', proxyRules()),
    // Every node's proxy enforces network policies too, which name pods by labels.
    clusterRole('mk8s:network-policies', [
      rule('list watch', 'core', 'namespaces pods'),
      rule('list watch', 'networking.k8s.io', 'networkpolicies'),
    ]),
    clusterRole('system:kube-scheduler', schedulerRules()),
    clusterRole('system:volume-scheduler', volumeSchedulerRules()),
    clusterRole('system:kube-controller-manager', controllerManagerRules()),
    clusterRole('system:kube-dns', [rule('list watch', 'core', 'endpoints services')]),
    clusterRole('system:kubelet-api-admin', kubeletApiRules()),
    clusterRole('system:node-bootstrapper', [
      rule(`create ${READ}`, CERTIFICATES, 'certificatesigningrequests'),
    ]),
    clusterRole('system:node-problem-detector', [
      rule('get', 'core', 'nodes'),
      rule('patch', 'core', 'nodes/status'),
      events(),
    ]),
    clusterRole('system:auth-delegator', [
      rule('create', 'authentication.k8s.io', 'tokenreviews'),
      rule('create', REVIEWS, 'subjectaccessreviews'),
    ]),
    clusterRole('system:kube-aggregator', [rule('list watch', 'core', 'endpoints services')]),
    clusterRole('system:persistent-volume-provisioner', provisionerRules()),
    clusterRole('system:heapster', [
      rule(READ, 'core', 'events namespaces nodes pods'),
      rule(READ, 'extensions', 'deployments'),
      paths('get', '/metrics'),
    ]),
    ...certificateRoles(),
  ]
}

export function componentBindings(): readonly KubeObject[] {
  return [
    // Nobody: the Node authorizer gives kubelets what they may do.
    bindCluster('system:node', []),
    bindCluster('system:node-proxier', [user('system:kube-proxy')]),
    bindCluster('mk8s:network-policies', [user('system:kube-proxy')]),
    bindCluster('system:kube-scheduler', [user('system:kube-scheduler')]),
    bindCluster('system:volume-scheduler', [user('system:kube-scheduler')]),
    bindCluster('system:kube-controller-manager', [user('system:kube-controller-manager')]),
    bindCluster('system:kube-dns', [account('kube-dns')]),
  ]
}
