/**
 * The one table of options. Out of it come the flags of `mk8s install`, the MK8S_… variables, the keys of
 * configuration files, the help and docs/configuration.md.
 */

import { defaultDataDir, system } from '../host/system.ts'
import { imageOptions } from './image-options.ts'

export type OptionType =
  | 'address'
  | 'cidr'
  | 'domain'
  | 'failure-domain'
  | 'etcd-listen'
  | 'log-level'
  | 'node-name'
  | 'path'
  | 'port'
  | 'port-range'
  | 'runtime'
  | 'socket'
  | 'failover'
  | 'voters'
  | 'file'
  | 'text'
  | 'count'
  | 'duration'
  | 'priority-times'
  | 'thresholds'
  | 'seconds'
  | 'signal-times'
  | 'signal-amounts'
  | 'quantities'
  | 'any-count'
  | 'cpu-policy'
  | 'cpu-list'
  | 'admission-plugins'
  | 'image-verification'

export interface OptionInfo {
  /** The key in its file; a dot stands for nesting. */
  readonly key: string
  readonly kind: 'NodeConfig' | 'ClusterConfig'
  /** Without the leading dashes. */
  readonly flag: string
  readonly env: string
  readonly type: OptionType
  /** As text, as one would type it; null when it is found out on the machine. */
  readonly default: string | null
  /** What the default is, when it is found out on the machine. */
  readonly defaultMeaning?: string
  readonly help: string
}

export const DATA_DIR_DEFAULT = defaultDataDir(system, process.env)
export const DATA_DIR_ENV = 'MK8S_DATA_DIR'
/** A cluster of `mk8s cluster list`. */
export const CLUSTER_ENV = 'MK8S_CLUSTER'

const port = (name: string, value: number, help: string): OptionInfo => ({
  key: `ports.${name}`,
  kind: 'NodeConfig',
  flag: `${name}-port`,
  env: `MK8S_${name.toUpperCase()}_PORT`,
  type: 'port',
  default: String(value),
  help,
})

/** Of the API server of this node, under the names that kube-apiserver has for them. */
const apiServer = (
  { name, flag, env, type }: { name: string; flag: string; env: string; type: OptionType },
  value: { readonly default: string; readonly meaning?: string },
  help: string,
): OptionInfo => ({
  key: `apiServer.${name}`,
  kind: 'NodeConfig',
  flag,
  env: `MK8S_${env}`,
  type,
  default: value.default,
  ...(value.meaning !== undefined && { defaultMeaning: value.meaning }),
  help,
})

/** Of the kubelet of this node, under the names that its configuration has upstream. */
const kubelet = (
  { name, flag, type }: { name: string; flag: string; type: OptionType },
  value: { readonly default: string; readonly meaning?: string },
  help: string,
): OptionInfo => ({
  key: `kubelet.${name}`,
  kind: 'NodeConfig',
  flag,
  env: `MK8S_${flag.replaceAll('-', '_').toUpperCase()}`,
  type,
  default: value.default,
  ...(value.meaning !== undefined && { defaultMeaning: value.meaning }),
  help,
})

export const options: readonly OptionInfo[] = [
  {
    key: 'nodeName',
    kind: 'NodeConfig',
    flag: 'node-name',
    env: 'MK8S_NODE_NAME',
    type: 'node-name',
    default: null,
    defaultMeaning: "the machine's hostname",
    help: 'The name of this node in the cluster: lower-case letters, digits and "-".',
  },
  {
    key: 'bindAddress',
    kind: 'NodeConfig',
    flag: 'bind-address',
    env: 'MK8S_BIND_ADDRESS',
    type: 'address',
    default: null,
    defaultMeaning: 'the address of the first network interface that is up, else 127.0.0.1',
    help: 'The address that this node listens on and is known by.',
  },
  {
    key: 'runtime',
    kind: 'NodeConfig',
    flag: 'runtime',
    env: 'MK8S_RUNTIME',
    type: 'runtime',
    default: 'auto',
    help: 'What runs containers: crun or runc directly (oci), containerd, child processes of this host, or a simulation. Decided at install.',
  },
  {
    key: 'criSocket',
    kind: 'NodeConfig',
    flag: 'cri-socket',
    env: 'MK8S_CRI_SOCKET',
    type: 'socket',
    default: '',
    defaultMeaning: 'a containerd of its own',
    help: 'The CRI socket of a runtime that is there already, as unix:///run/containerd/containerd.sock.',
  },
  {
    key: 'imagesDirectory',
    kind: 'NodeConfig',
    flag: 'images',
    env: 'MK8S_IMAGES',
    type: 'file',
    default: '',
    defaultMeaning: '`images` in the data directory',
    help: 'A directory of image archives, which are imported at start and whenever they change.',
  },
  {
    key: 'failureDomain',
    kind: 'NodeConfig',
    flag: 'failure-domain',
    env: 'MK8S_FAILURE_DOMAIN',
    type: 'failure-domain',
    default: '',
    defaultMeaning: 'the node by itself',
    help: 'What fails together, such as a rack or a room: voters of the datastore are spread over them.',
  },
  {
    key: 'logLevel',
    kind: 'NodeConfig',
    flag: 'log-level',
    env: 'MK8S_LOG_LEVEL',
    type: 'log-level',
    default: 'info',
    help: 'How much the daemon writes to its log.',
  },
  {
    key: 'etcd.listen',
    kind: 'NodeConfig',
    flag: 'etcd-listen',
    env: 'MK8S_ETCD_LISTEN',
    type: 'etcd-listen',
    default: 'off',
    help:
      'Where the datastore is served as etcd v3: off, unix (`run/etcd.sock` in the data directory, for root), or an ' +
      'address:port, where clients need a certificate of the group system:masters.',
  },
  apiServer(
    { name: 'auditPolicyFile', flag: 'audit-policy-file', env: 'AUDIT_POLICY_FILE', type: 'file' },
    { default: '', meaning: 'no audit log' },
    'What the API server writes to its audit log, `audit/audit.log` in the data directory: a Policy of audit.k8s.io/v1.',
  ),
  apiServer(
    { name: 'auditLogMaxSize', flag: 'audit-log-maxsize', env: 'AUDIT_LOG_MAXSIZE', type: 'count' },
    { default: '100' },
    'The size in MiB at which a new file of the audit log is begun.',
  ),
  apiServer(
    { name: 'auditLogMaxBackup', flag: 'audit-log-maxbackup', env: 'AUDIT_LOG_MAXBACKUP', type: 'count' },
    { default: '10' },
    'How many earlier files of the audit log are kept.',
  ),
  apiServer(
    { name: 'auditLogMaxAge', flag: 'audit-log-maxage', env: 'AUDIT_LOG_MAXAGE', type: 'count' },
    { default: '30' },
    'For how many days earlier files of the audit log are kept.',
  ),
  apiServer(
    {
      name: 'authenticationConfig',
      flag: 'authentication-config',
      env: 'AUTHENTICATION_CONFIG',
      type: 'file',
    },
    { default: '', meaning: 'nothing but the cluster itself' },
    'Whose tokens are believed: an AuthenticationConfiguration of apiserver.config.k8s.io/v1.',
  ),
  apiServer(
    {
      name: 'tokenWebhookConfigFile',
      flag: 'authentication-token-webhook-config-file',
      env: 'AUTHENTICATION_TOKEN_WEBHOOK_CONFIG_FILE',
      type: 'file',
    },
    { default: '', meaning: 'no other server' },
    'A kubeconfig of the server that is asked about tokens which nobody here knows.',
  ),
  apiServer(
    {
      name: 'authorizationWebhookConfigFile',
      flag: 'authorization-webhook-config-file',
      env: 'AUTHORIZATION_WEBHOOK_CONFIG_FILE',
      type: 'file',
    },
    { default: '', meaning: 'no other server' },
    'A kubeconfig of the server that is asked whether a request may be made which nobody here allows.',
  ),
  apiServer(
    {
      name: 'tokenWebhookCacheTtl',
      flag: 'authentication-token-webhook-cache-ttl',
      env: 'AUTHENTICATION_TOKEN_WEBHOOK_CACHE_TTL',
      type: 'duration',
    },
    { default: '2m' },
    'For how long answers about tokens are kept.',
  ),
  apiServer(
    {
      name: 'authorizationWebhookCacheAuthorizedTtl',
      flag: 'authorization-webhook-cache-authorized-ttl',
      env: 'AUTHORIZATION_WEBHOOK_CACHE_AUTHORIZED_TTL',
      type: 'duration',
    },
    { default: '5m' },
    'For how long the answer is kept that a request may be made.',
  ),
  apiServer(
    {
      name: 'authorizationWebhookCacheUnauthorizedTtl',
      flag: 'authorization-webhook-cache-unauthorized-ttl',
      env: 'AUTHORIZATION_WEBHOOK_CACHE_UNAUTHORIZED_TTL',
      type: 'duration',
    },
    { default: '30s' },
    'For how long the answer is kept that a request may not be made.',
  ),
  apiServer(
    { name: 'authorizationConfig', flag: 'authorization-config', env: 'AUTHORIZATION_CONFIG', type: 'file' },
    { default: '', meaning: 'Node and RBAC' },
    'In which order Node, RBAC and webhooks are asked: an AuthorizationConfiguration of apiserver.config.k8s.io/v1.',
  ),
  apiServer(
    {
      name: 'admissionControlConfigFile',
      flag: 'admission-control-config-file',
      env: 'ADMISSION_CONTROL_CONFIG_FILE',
      type: 'file',
    },
    { default: '', meaning: 'as upstream without one' },
    'What admission plugins are configured with: an AdmissionConfiguration of apiserver.config.k8s.io/v1, read at the start.',
  ),
  apiServer(
    {
      name: 'enableAdmissionPlugins',
      flag: 'enable-admission-plugins',
      env: 'ENABLE_ADMISSION_PLUGINS',
      type: 'admission-plugins',
    },
    { default: '', meaning: 'those that are on by default' },
    'Admission plugins that are on besides, with commas between, such as AlwaysPullImages,PodNodeSelector.',
  ),
  apiServer(
    {
      name: 'disableAdmissionPlugins',
      flag: 'disable-admission-plugins',
      env: 'DISABLE_ADMISSION_PLUGINS',
      type: 'admission-plugins',
    },
    { default: '', meaning: 'none' },
    'Admission plugins that are off although they are on by default, with commas between.',
  ),
  apiServer(
    { name: 'oidcIssuerUrl', flag: 'oidc-issuer-url', env: 'OIDC_ISSUER_URL', type: 'text' },
    { default: '', meaning: 'no issuer' },
    'The https URL of an OpenID Connect issuer whose tokens are believed.',
  ),
  apiServer(
    { name: 'oidcClientId', flag: 'oidc-client-id', env: 'OIDC_CLIENT_ID', type: 'text' },
    { default: '' },
    'The audience that tokens of the OpenID Connect issuer must name.',
  ),
  apiServer(
    { name: 'oidcUsernameClaim', flag: 'oidc-username-claim', env: 'OIDC_USERNAME_CLAIM', type: 'text' },
    { default: 'sub' },
    'The claim that has the name of the user.',
  ),
  apiServer(
    { name: 'oidcUsernamePrefix', flag: 'oidc-username-prefix', env: 'OIDC_USERNAME_PREFIX', type: 'text' },
    { default: '', meaning: 'the URL of the issuer and "#", or nothing for the claim email' },
    'What stands before names of users; "-" for nothing.',
  ),
  apiServer(
    { name: 'oidcGroupsClaim', flag: 'oidc-groups-claim', env: 'OIDC_GROUPS_CLAIM', type: 'text' },
    { default: '', meaning: 'no groups' },
    'The claim that has the groups of the user.',
  ),
  apiServer(
    { name: 'oidcGroupsPrefix', flag: 'oidc-groups-prefix', env: 'OIDC_GROUPS_PREFIX', type: 'text' },
    { default: '', meaning: 'nothing' },
    'What stands before names of groups.',
  ),
  apiServer(
    { name: 'oidcCaFile', flag: 'oidc-ca-file', env: 'OIDC_CA_FILE', type: 'file' },
    { default: '', meaning: 'what this machine trusts' },
    'The authority of the OpenID Connect issuer, PEM.',
  ),
  {
    key: 'scheduler.config',
    kind: 'NodeConfig',
    flag: 'scheduler-config',
    env: 'MK8S_SCHEDULER_CONFIG',
    type: 'file',
    default: '',
    defaultMeaning: "one profile with upstream's defaults",
    help: 'Which profiles the scheduler has: a KubeSchedulerConfiguration of kubescheduler.config.k8s.io/v1; the same on every server.',
  },
  kubelet(
    { name: 'staticPodPath', flag: 'static-pod-path', type: 'file' },
    { default: '', meaning: '`manifests` in the data directory' },
    'A directory of manifests, or one file, of pods that this node runs by itself.',
  ),
  kubelet(
    { name: 'shutdownGracePeriod', flag: 'shutdown-grace-period', type: 'duration' },
    { default: '0s', meaning: '0s: pods get no time of their own' },
    'How long pods may take to end when the machine is shut down (systemd-logind, or mk8s stop --shutdown).',
  ),
  kubelet(
    {
      name: 'shutdownGracePeriodCriticalPods',
      flag: 'shutdown-grace-period-critical-pods',
      type: 'duration',
    },
    { default: '0s' },
    'How much of that time is for critical pods, after all others.',
  ),
  kubelet(
    {
      name: 'shutdownGracePeriodByPodPriority',
      flag: 'shutdown-grace-period-by-pod-priority',
      type: 'priority-times',
    },
    { default: '', meaning: 'from the two above' },
    'Instead of both, priority=time pairs with commas between: pods of that priority and more get the time.',
  ),
  kubelet(
    { name: 'evictionHard', flag: 'eviction-hard', type: 'thresholds' },
    {
      default:
        'memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,imagefs.available<15%,imagefs.inodesFree<5%',
    },
    'What the node must have left; below it pods are evicted at once.',
  ),
  kubelet(
    { name: 'evictionSoft', flag: 'eviction-soft', type: 'thresholds' },
    { default: '', meaning: 'none' },
    'The same, where pods are evicted only after the time of that signal in evictionSoftGracePeriod.',
  ),
  kubelet(
    { name: 'evictionSoftGracePeriod', flag: 'eviction-soft-grace-period', type: 'signal-times' },
    { default: '', meaning: 'none' },
    'How long each soft threshold may stay unmet: memory.available=1m30s,nodefs.available=2m.',
  ),
  kubelet(
    { name: 'evictionMaxPodGracePeriod', flag: 'eviction-max-pod-grace-period', type: 'seconds' },
    { default: '0', meaning: '0: pods end at once' },
    'The most seconds that a pod gets which a soft threshold evicts.',
  ),
  kubelet(
    { name: 'evictionMinimumReclaim', flag: 'eviction-minimum-reclaim', type: 'signal-amounts' },
    { default: '', meaning: 'none' },
    'How much more than its threshold has to be free before evictions end: nodefs.available=500Mi.',
  ),
  kubelet(
    {
      name: 'evictionPressureTransitionPeriod',
      flag: 'eviction-pressure-transition-period',
      type: 'duration',
    },
    { default: '5m', meaning: '5m' },
    'How long a condition of pressure stays after the last shortage.',
  ),
  kubelet(
    { name: 'kubeReserved', flag: 'kube-reserved', type: 'quantities' },
    { default: '', meaning: 'nothing' },
    'What of the machine is for mk8s and not for pods, such as cpu=200m,memory=512Mi,ephemeral-storage=1Gi.',
  ),
  kubelet(
    { name: 'systemReserved', flag: 'system-reserved', type: 'quantities' },
    { default: '', meaning: 'nothing' },
    "What of the machine is for the system's own programs and not for pods, in the same form.",
  ),
  kubelet(
    { name: 'podPidsLimit', flag: 'pod-pids-limit', type: 'any-count' },
    { default: '', meaning: 'any number' },
    'How many processes a pod may have.',
  ),
  ...imageOptions.map(({ option, value, help }) => kubelet(option, value, help)),
  kubelet(
    { name: 'cpuManagerPolicy', flag: 'cpu-manager-policy', type: 'cpu-policy' },
    { default: 'none', meaning: 'none' },
    'static: containers of Guaranteed pods that ask for whole processors have them for themselves (oci, containerd).',
  ),
  kubelet(
    { name: 'reservedSystemCPUs', flag: 'reserved-cpus', type: 'cpu-list' },
    { default: '', meaning: 'as many as kubeReserved and systemReserved say' },
    'Processors that static gives to nobody, such as 0-1; they count as reserved instead of cpu in those two.',
  ),
  port('api', 16443, 'Port of the Kubernetes API.'),
  port('join', 25000, 'Port that joining nodes talk to.'),
  port('raft', 19001, 'Port of the replicated datastore, between members.'),
  port('kubelet', 10250, 'Port of the kubelet.'),
  {
    key: 'serviceCidr',
    kind: 'ClusterConfig',
    flag: 'service-cidr',
    env: 'MK8S_SERVICE_CIDR',
    type: 'cidr',
    default: '10.152.183.0/24',
    help: 'The network that Services get their addresses from, of IPv4 or IPv6; for both, one of each with a comma between them, the first family first. Cannot be changed later.',
  },
  {
    key: 'podCidr',
    kind: 'ClusterConfig',
    flag: 'pod-cidr',
    env: 'MK8S_POD_CIDR',
    type: 'cidr',
    default: '10.1.0.0/16',
    help: 'The network of all Pods, or one of each family as above; every node gets a /24 of IPv4 and a /64 of IPv6. Cannot be changed later.',
  },
  {
    key: 'clusterDomain',
    kind: 'ClusterConfig',
    flag: 'cluster-domain',
    env: 'MK8S_CLUSTER_DOMAIN',
    type: 'domain',
    default: 'cluster.local',
    help: 'The DNS domain of the cluster. Cannot be changed later.',
  },
  {
    key: 'nodePortRange',
    kind: 'ClusterConfig',
    flag: 'node-port-range',
    env: 'MK8S_NODE_PORT_RANGE',
    type: 'port-range',
    default: '30000-32767',
    help: 'The ports that Services of type NodePort get, first-last. Cannot be changed later.',
  },
  {
    key: 'failover',
    kind: 'ClusterConfig',
    flag: 'failover',
    env: 'MK8S_FAILOVER',
    type: 'failover',
    default: 'normal',
    help:
      'How soon a silent node counts as dead: after 9 s, its pods replaced 300 s later (normal), or after 4 s and 20 s ' +
      '(fast): then a pause of a few seconds, of a busy machine or a network, moves pods. Cannot be changed later.',
  },
  {
    key: 'voters',
    kind: 'ClusterConfig',
    flag: 'voters',
    env: 'MK8S_VOTERS',
    type: 'voters',
    default: '3',
    help:
      'How many servers vote on each write once there are that many: with 3 any one of them may be lost, with 5 any ' +
      'two, at the price of slower writes. Cannot be changed later.',
  },
]

/** Keys that `install` writes into a node's config.yaml beside the options. */
export const recordedKeys = ['clusterId', 'memberId', 'role', 'runtimeReason'] as const
