/**
 * The one table of options. Out of it come the flags of `mk8s install`, the MK8S_… variables, the keys of
 * configuration files, the help and docs/configuration.md.
 */

import { defaultDataDir, system } from '../host/system.ts'
import { apiServerOptions } from './api-server-options.ts'
import { kubeletOptions } from './kubelet-options.ts'
import type { OptionInfo } from './option-info.ts'

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
  ...apiServerOptions,
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
  ...kubeletOptions,
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
