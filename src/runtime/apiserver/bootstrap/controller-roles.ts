/** What each controller may do, as a cluster role bound to its service account in kube-system. */
import type { KubeObject } from '../../../kube/object.ts'
import type { PolicyRule } from '../../../kube/types.ts'
import { account, bindCluster, clusterRole, events, paths, READ, rule } from './rule.ts'

const POD_MANAGER = rule(`create delete patch ${READ}`, 'core', 'pods')
const SCALES = rule('get update', '*', '*/scale')

const workloads: Record<string, readonly PolicyRule[]> = {
  'cronjob-controller': [
    rule(`update ${READ}`, 'batch', 'cronjobs'),
    rule(`create delete patch update ${READ}`, 'batch', 'jobs'),
    rule('update', 'batch', 'cronjobs/finalizers cronjobs/status'),
    rule('delete list', 'core', 'pods'),
  ],
  'daemon-set-controller': [
    rule(READ, 'apps extensions', 'daemonsets'),
    rule('update', 'apps extensions', 'daemonsets/finalizers daemonsets/status'),
    rule('list watch', 'core', 'nodes'),
    POD_MANAGER,
    rule('create', 'core', 'pods/binding'),
    rule(`create delete patch update ${READ}`, 'apps', 'controllerrevisions'),
  ],
  'deployment-controller': [
    rule(`patch update ${READ}`, 'apps extensions', 'deployments'),
    rule('update', 'apps extensions', 'deployments/finalizers deployments/status'),
    rule(`create delete patch update ${READ}`, 'apps extensions', 'replicasets'),
    rule(`update ${READ}`, 'core', 'pods'),
  ],
  'job-controller': [
    rule(`patch update ${READ}`, 'batch', 'jobs'),
    rule('update', 'batch', 'jobs/finalizers jobs/status'),
    POD_MANAGER,
  ],
  'replicaset-controller': [
    rule(`update ${READ}`, 'apps extensions', 'replicasets'),
    rule('update', 'apps extensions', 'replicasets/finalizers replicasets/status'),
    POD_MANAGER,
  ],
  'replication-controller': [
    rule(`update ${READ}`, 'core', 'replicationcontrollers'),
    rule('update', 'core', 'replicationcontrollers/finalizers replicationcontrollers/status'),
    POD_MANAGER,
  ],
  'statefulset-controller': [
    rule('list watch', 'core', 'pods'),
    rule(READ, 'apps', 'statefulsets'),
    rule('update', 'apps', 'statefulsets/finalizers statefulsets/status'),
    rule('create delete get patch update', 'core', 'pods'),
    rule(`create delete patch update ${READ}`, 'apps', 'controllerrevisions'),
    rule(`create delete update ${READ}`, 'core', 'persistentvolumeclaims'),
  ],
  'disruption-controller': [
    rule(READ, 'apps extensions', 'deployments replicasets'),
    rule(READ, 'core', 'replicationcontrollers'),
    rule(READ, 'apps', 'statefulsets'),
    rule(READ, 'policy', 'poddisruptionbudgets'),
    rule('update', 'policy', 'poddisruptionbudgets/status'),
    rule(READ, 'core', 'pods'),
    rule('patch update', 'core', 'pods/status'),
    rule('get', '*', '*/scale'),
  ],
  'horizontal-pod-autoscaler': [
    rule(READ, 'autoscaling', 'horizontalpodautoscalers'),
    rule('update', 'autoscaling', 'horizontalpodautoscalers/status'),
    SCALES,
    rule('list', 'core', 'pods'),
    rule('list', 'metrics.k8s.io', 'pods'),
    rule('get list', 'custom.metrics.k8s.io external.metrics.k8s.io', '*'),
  ],
  'ttl-after-finished-controller': [rule(`delete ${READ}`, 'batch', 'jobs')],
  'resource-claim-controller': [
    rule(READ, 'core', 'pods'),
    rule('update', 'core', 'pods/finalizers'),
    rule('patch', 'core', 'pods/status'),
    rule(`create delete ${READ}`, 'resource.k8s.io', 'resourceclaims'),
    rule('patch update', 'resource.k8s.io', 'resourceclaims resourceclaims/status'),
    rule(READ, 'resource.k8s.io', 'resourceclaimtemplates'),
  ],
  'device-taint-eviction-controller': [
    rule(`delete ${READ}`, 'core', 'pods'),
    rule('patch update', 'core', 'pods/status'),
    rule(READ, 'resource.k8s.io', 'resourceclaims resourceslices'),
  ],
}

const network: Record<string, readonly PolicyRule[]> = {
  'endpoint-controller': [
    rule(READ, 'core', 'pods services'),
    rule(`create delete update ${READ}`, 'core', 'endpoints'),
    rule('create', 'core', 'endpoints/restricted'),
  ],
  'endpointslice-controller': [
    rule(READ, 'core', 'nodes pods services'),
    rule('update', 'core', 'services/finalizers'),
    rule(`create delete update ${READ}`, 'discovery.k8s.io', 'endpointslices'),
  ],
  'endpointslicemirroring-controller': [
    rule(READ, 'core', 'endpoints services'),
    rule('update', 'core', 'endpoints/finalizers services/finalizers'),
    rule(`create delete update ${READ}`, 'discovery.k8s.io', 'endpointslices'),
  ],
  'service-controller': [
    rule(READ, 'core', 'services'),
    rule('patch update', 'core', 'services/status'),
    rule('list watch', 'core', 'nodes'),
  ],
  'service-cidrs-controller': [
    rule(`patch update ${READ}`, 'networking.k8s.io', 'servicecidrs'),
    rule('patch update', 'networking.k8s.io', 'servicecidrs/finalizers servicecidrs/status'),
    rule(READ, 'networking.k8s.io', 'ipaddresses'),
  ],
  'route-controller': [rule('list watch', 'core', 'nodes'), rule('patch', 'core', 'nodes/status')],
}

const lifecycle: Record<string, readonly PolicyRule[]> = {
  'clusterrole-aggregation-controller': [
    rule(`escalate patch update ${READ}`, 'rbac.authorization.k8s.io', 'clusterroles'),
  ],
  'generic-garbage-collector': [rule(`delete patch update ${READ}`, '*', '*')],
  'namespace-controller': [
    rule(`delete ${READ}`, 'core', 'namespaces'),
    rule('update', 'core', 'namespaces/finalize namespaces/status'),
    rule('delete deletecollection get list', '*', '*'),
  ],
  'node-controller': [
    rule(`delete patch update ${READ}`, 'core', 'nodes'),
    rule('patch update', 'core', 'nodes/status'),
    rule('patch update', 'core', 'pods/status'),
    rule(`delete ${READ}`, 'core', 'pods'),
    rule(READ, 'networking.k8s.io', 'clustercidrs'),
    rule(READ, 'coordination.k8s.io', 'leases'),
  ],
  'pod-garbage-collector': [
    rule(`delete ${READ}`, 'core', 'pods'),
    rule('get list', 'core', 'nodes'),
    rule('patch', 'core', 'pods/status'),
  ],
  'resourcequota-controller': [rule('list watch', '*', '*'), rule('update', 'core', 'resourcequotas/status')],
  'root-ca-cert-publisher': [
    rule(`create update ${READ}`, 'core', 'configmaps'),
    rule(READ, 'core', 'namespaces'),
  ],
  'service-account-controller': [
    rule(`create ${READ}`, 'core', 'serviceaccounts'),
    rule(READ, 'core', 'namespaces'),
  ],
  'legacy-service-account-token-cleaner': [
    rule('get', 'core', 'configmaps', 'kube-apiserver-legacy-service-account-token-tracking'),
    rule('delete patch', 'core', 'secrets'),
  ],
  'ttl-controller': [rule('list patch update watch', 'core', 'nodes')],
  'certificate-controller': [
    rule(`delete ${READ}`, 'certificates.k8s.io', 'certificatesigningrequests'),
    rule(
      'update',
      'certificates.k8s.io',
      'certificatesigningrequests/approval certificatesigningrequests/status',
    ),
    rule(
      'approve',
      'certificates.k8s.io',
      'signers',
      'kubernetes.io/kube-apiserver-client-kubelet mk8s.io/administrator',
    ),
    rule(
      'sign',
      'certificates.k8s.io',
      'signers',
      'kubernetes.io/kube-apiserver-client kubernetes.io/kube-apiserver-client-kubelet ' +
        'kubernetes.io/kubelet-serving kubernetes.io/legacy-unknown mk8s.io/administrator',
    ),
    rule('create', 'authorization.k8s.io', 'subjectaccessreviews'),
  ],
  'validatingadmissionpolicy-status-controller': [
    rule(READ, 'admissionregistration.k8s.io', 'validatingadmissionpolicies'),
    rule('get patch update', 'admissionregistration.k8s.io', 'validatingadmissionpolicies/status'),
    rule(READ, 'apiextensions.k8s.io', 'customresourcedefinitions'),
  ],
}

const storage: Record<string, readonly PolicyRule[]> = {
  'attachdetach-controller': [
    rule('list watch', 'core', 'persistentvolumeclaims persistentvolumes'),
    rule(READ, 'core', 'nodes'),
    rule('patch update', 'core', 'nodes/status'),
    rule('list watch', 'core', 'pods'),
    rule(`create delete ${READ}`, 'storage.k8s.io', 'volumeattachments'),
    rule(READ, 'storage.k8s.io', 'csidrivers csinodes'),
  ],
  'ephemeral-volume-controller': [
    rule('update', 'core', 'pods/finalizers'),
    rule(READ, 'core', 'pods'),
    rule(`create ${READ}`, 'core', 'persistentvolumeclaims'),
  ],
  'expand-controller': [
    rule(`patch update ${READ}`, 'core', 'persistentvolumeclaims persistentvolumes'),
    rule('patch update', 'core', 'persistentvolumeclaims/status'),
    rule(READ, 'storage.k8s.io', 'storageclasses'),
    rule('get', 'core', 'endpoints secrets services'),
  ],
  'persistent-volume-binder': [
    rule(`create delete update ${READ}`, 'core', 'persistentvolumes'),
    rule('update', 'core', 'persistentvolumeclaims/status persistentvolumes/status'),
    rule(`update ${READ}`, 'core', 'persistentvolumeclaims'),
    rule(`create delete ${READ}`, 'core', 'pods'),
    rule(READ, 'storage.k8s.io', 'storageclasses volumeattributesclasses'),
    rule('get list', 'core', 'nodes'),
  ],
  // Not one of upstream's: it makes the volumes of `hostpath-storage`, and has kubelets remove their directories.
  'hostpath-provisioner': [
    rule(`create delete update ${READ}`, 'core', 'persistentvolumes'),
    rule(`update ${READ}`, 'core', 'persistentvolumeclaims'),
    rule('delete', 'core', 'nodes/proxy'),
  ],
  'pv-protection-controller': [rule(`update ${READ}`, 'core', 'persistentvolumes')],
  'pvc-protection-controller': [
    rule(`update ${READ}`, 'core', 'persistentvolumeclaims'),
    rule(READ, 'core', 'pods'),
  ],
  'volumeattributesclass-protection-controller': [
    rule(READ, 'core', 'persistentvolumeclaims persistentvolumes'),
    rule(`update ${READ}`, 'storage.k8s.io', 'volumeattributesclasses'),
  ],
}

const all = { ...workloads, ...network, ...lifecycle, ...storage }

/** The garbage collector and the namespace controller find out what kinds there are. */
const DISCOVERY = paths('get', '/api /api/* /apis /apis/*')
const discoverers = ['generic-garbage-collector', 'namespace-controller', 'resourcequota-controller']

export function controllerRoles(): readonly KubeObject[] {
  return Object.entries(all).map(([name, rules]) => {
    const discovery = discoverers.includes(name) ? [DISCOVERY] : []
    return clusterRole(`system:controller:${name}`, [...rules, ...discovery, events()])
  })
}

export function controllerBindings(): readonly KubeObject[] {
  return Object.keys(all).map(name => bindCluster(`system:controller:${name}`, [account(name)]))
}
