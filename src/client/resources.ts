/** The resources that mk8s' own clients speak of, by the path they are served at. */

/** One plural of the API: enough to write its URL. */
export interface ResourceRef {
  /** Empty for the core group. */
  readonly group: string
  readonly version: string
  readonly resource: string
  readonly namespaced: boolean
}

const ref = (group: string, version: string, resource: string, namespaced = true): ResourceRef =>
  Object.freeze({ group, version, resource, namespaced })

export const NAMESPACES = ref('', 'v1', 'namespaces', false)
export const NODES = ref('', 'v1', 'nodes', false)
export const PERSISTENT_VOLUMES = ref('', 'v1', 'persistentvolumes', false)
export const PODS = ref('', 'v1', 'pods')
export const REPLICATION_CONTROLLERS = ref('', 'v1', 'replicationcontrollers')
export const SERVICES = ref('', 'v1', 'services')
export const ENDPOINTS = ref('', 'v1', 'endpoints')
export const RUNTIME_CLASSES = ref('node.k8s.io', 'v1', 'runtimeclasses')
export const EVENTS = ref('', 'v1', 'events')
export const CONFIG_MAPS = ref('', 'v1', 'configmaps')
export const SECRETS = ref('', 'v1', 'secrets')
export const SERVICE_ACCOUNTS = ref('', 'v1', 'serviceaccounts')
export const RESOURCE_QUOTAS = ref('', 'v1', 'resourcequotas')
export const PERSISTENT_VOLUME_CLAIMS = ref('', 'v1', 'persistentvolumeclaims')
export const DEPLOYMENTS = ref('apps', 'v1', 'deployments')
export const REPLICA_SETS = ref('apps', 'v1', 'replicasets')
export const STATEFUL_SETS = ref('apps', 'v1', 'statefulsets')
export const DAEMON_SETS = ref('apps', 'v1', 'daemonsets')
export const CONTROLLER_REVISIONS = ref('apps', 'v1', 'controllerrevisions')
export const JOBS = ref('batch', 'v1', 'jobs')
export const CRON_JOBS = ref('batch', 'v1', 'cronjobs')
export const POD_DISRUPTION_BUDGETS = ref('policy', 'v1', 'poddisruptionbudgets')
export const HORIZONTAL_POD_AUTOSCALERS = ref('autoscaling', 'v2', 'horizontalpodautoscalers')
export const ENDPOINT_SLICES = ref('discovery.k8s.io', 'v1', 'endpointslices')
export const IP_ADDRESSES = ref('networking.k8s.io', 'v1', 'ipaddresses')
export const SERVICE_CIDRS = ref('networking.k8s.io', 'v1', 'servicecidrs')
export const NETWORK_POLICIES = ref('networking.k8s.io', 'v1', 'networkpolicies')
/** Of the add-on `multus`. */
export const NETWORK_ATTACHMENT_DEFINITIONS = ref('k8s.cni.cncf.io', 'v1', 'network-attachment-definitions')
export const LEASES = ref('coordination.k8s.io', 'v1', 'leases')
export const CLUSTER_ROLES = ref('rbac.authorization.k8s.io', 'v1', 'clusterroles', false)
export const CERTIFICATE_SIGNING_REQUESTS = ref(
  'certificates.k8s.io',
  'v1',
  'certificatesigningrequests',
  false,
)
export const TOKEN_REVIEWS = ref('authentication.k8s.io', 'v1', 'tokenreviews', false)
export const SUBJECT_ACCESS_REVIEWS = ref('authorization.k8s.io', 'v1', 'subjectaccessreviews', false)
export const API_SERVICES = ref('apiregistration.k8s.io', 'v1', 'apiservices', false)
export const CUSTOM_RESOURCE_DEFINITIONS = ref(
  'apiextensions.k8s.io',
  'v1',
  'customresourcedefinitions',
  false,
)
export const VALIDATING_ADMISSION_POLICIES = ref(
  'admissionregistration.k8s.io',
  'v1',
  'validatingadmissionpolicies',
  false,
)
export const FLOW_SCHEMAS = ref('flowcontrol.apiserver.k8s.io', 'v1', 'flowschemas', false)
export const PRIORITY_LEVELS = ref('flowcontrol.apiserver.k8s.io', 'v1', 'prioritylevelconfigurations', false)
export const PRIORITY_CLASSES = ref('scheduling.k8s.io', 'v1', 'priorityclasses', false)
export const STORAGE_CLASSES = ref('storage.k8s.io', 'v1', 'storageclasses', false)
export const CSI_DRIVERS = ref('storage.k8s.io', 'v1', 'csidrivers', false)
export const VOLUME_ATTACHMENTS = ref('storage.k8s.io', 'v1', 'volumeattachments', false)
export const CSI_STORAGE_CAPACITIES = ref('storage.k8s.io', 'v1', 'csistoragecapacities')
export const CSI_NODES = ref('storage.k8s.io', 'v1', 'csinodes', false)
export const RESOURCE_CLAIMS = ref('resource.k8s.io', 'v1', 'resourceclaims')
export const RESOURCE_SLICES = ref('resource.k8s.io', 'v1', 'resourceslices', false)
export const DEVICE_CLASSES = ref('resource.k8s.io', 'v1', 'deviceclasses', false)
export const RESOURCE_CLAIM_TEMPLATES = ref('resource.k8s.io', 'v1', 'resourceclaimtemplates')

export interface ResourcePath {
  /** Ignored for cluster-wide resources; empty or absent means all namespaces. */
  readonly namespace?: string | undefined
  readonly name?: string | undefined
  readonly subresource?: string | undefined
}

/** `/apis/apps/v1/namespaces/default/deployments/web/scale`. */
export function renderPath(resource: ResourceRef, target: ResourcePath): string {
  const root =
    resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`
  const segments = [root]
  if (resource.namespaced && target.namespace)
    segments.push('namespaces', encodeURIComponent(target.namespace))
  segments.push(resource.resource)
  if (target.name) segments.push(encodeURIComponent(target.name))
  if (target.subresource) segments.push(target.subresource)
  return segments.join('/')
}
