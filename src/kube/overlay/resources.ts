/**
 * What paths and types do not tell about resources: order of discovery, short names, categories, how they are
 * stored, and the option kinds of connections.
 */

/** Groups in the order of discovery; versions of a group, the preferred one first. */
export const groupOrder: readonly (readonly [group: string, ...versions: string[]])[] = [
  ['', 'v1'],
  ['apiregistration.k8s.io', 'v1'],
  ['apps', 'v1'],
  ['events.k8s.io', 'v1'],
  ['authentication.k8s.io', 'v1'],
  ['authorization.k8s.io', 'v1'],
  ['autoscaling', 'v2', 'v1'],
  ['batch', 'v1'],
  ['certificates.k8s.io', 'v1'],
  ['networking.k8s.io', 'v1'],
  ['policy', 'v1'],
  ['rbac.authorization.k8s.io', 'v1'],
  ['storage.k8s.io', 'v1'],
  ['admissionregistration.k8s.io', 'v1'],
  ['apiextensions.k8s.io', 'v1'],
  ['scheduling.k8s.io', 'v1'],
  ['coordination.k8s.io', 'v1'],
  ['node.k8s.io', 'v1'],
  ['discovery.k8s.io', 'v1'],
  ['flowcontrol.apiserver.k8s.io', 'v1'],
  ['resource.k8s.io', 'v1'],
]

/** Short names by resource (a plural means the same in every group that has it). */
export const shortNames: Readonly<Record<string, readonly string[]>> = {
  certificatesigningrequests: ['csr'],
  componentstatuses: ['cs'],
  configmaps: ['cm'],
  cronjobs: ['cj'],
  customresourcedefinitions: ['crd', 'crds'],
  daemonsets: ['ds'],
  deployments: ['deploy'],
  endpoints: ['ep'],
  events: ['ev'],
  horizontalpodautoscalers: ['hpa'],
  ingresses: ['ing'],
  ipaddresses: ['ip'],
  limitranges: ['limits'],
  namespaces: ['ns'],
  networkpolicies: ['netpol'],
  nodes: ['no'],
  persistentvolumeclaims: ['pvc'],
  persistentvolumes: ['pv'],
  poddisruptionbudgets: ['pdb'],
  pods: ['po'],
  priorityclasses: ['pc'],
  replicasets: ['rs'],
  replicationcontrollers: ['rc'],
  resourcequotas: ['quota'],
  serviceaccounts: ['sa'],
  services: ['svc'],
  statefulsets: ['sts'],
  storageclasses: ['sc'],
  volumeattributesclasses: ['vac'],
}

export const categories: Readonly<Record<string, readonly string[]>> = {
  all: [
    'cronjobs',
    'daemonsets',
    'deployments',
    'horizontalpodautoscalers',
    'jobs',
    'pods',
    'replicasets',
    'replicationcontrollers',
    'services',
    'statefulsets',
  ],
  'api-extensions': [
    'apiservices',
    'customresourcedefinitions',
    'mutatingadmissionpolicies',
    'mutatingadmissionpolicybindings',
    'mutatingwebhookconfigurations',
    'validatingadmissionpolicies',
    'validatingadmissionpolicybindings',
    'validatingwebhookconfigurations',
  ],
}

/** Resources that are another one's view: `group/version/resource` → what is stored. */
export const storedAs: Readonly<Record<string, { group: string; version: string; resource: string }>> = {
  'events.k8s.io/v1/events': { group: '', version: 'v1', resource: 'events' },
  'autoscaling/v1/horizontalpodautoscalers': {
    group: 'autoscaling',
    version: 'v2',
    resource: 'horizontalpodautoscalers',
  },
}

/** Resources that can be listed but not watched. */
export const notWatchable: readonly string[] = ['componentstatuses']

/** Subresources whose requests carry no body of their own: the kind that discovery names. */
export const connectKinds: Readonly<Record<string, string>> = {
  'pods/attach': 'PodAttachOptions',
  'pods/exec': 'PodExecOptions',
  'pods/log': 'Pod',
  'pods/portforward': 'PodPortForwardOptions',
  'pods/proxy': 'PodProxyOptions',
  'services/proxy': 'ServiceProxyOptions',
  'nodes/proxy': 'NodeProxyOptions',
}
