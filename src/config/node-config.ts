/** `kind: NodeConfig`: what one node was told at install. Parsed, complete and frozen. */
import type { Failover } from './failover.ts'

export type RuntimeName = 'oci' | 'containerd' | 'process' | 'simulated'

export interface NodePorts {
  readonly api: number
  readonly join: number
  readonly raft: number
  readonly kubelet: number
}

export interface NodeConfig {
  readonly dataDir: string
  /** Given to the cluster by its first node; a UUID. */
  readonly clusterId: string
  /** What the datastore calls this member: below 2^48, never reused. Workers have one too, of no use. */
  readonly memberId: number
  /** A server holds the datastore and serves the API; a worker runs pods only. */
  readonly role: 'server' | 'worker'
  /** What fails together, such as a rack or a room; empty for the node by itself. */
  readonly failureDomain: string
  readonly nodeName: string
  /** IPv4 or IPv6 address that the servers listen on and that the node is known by. */
  readonly bindAddress: string
  readonly ports: NodePorts
  /** Decided once at install and recorded. */
  readonly runtime: RuntimeName
  /** Why it was decided so, for `mk8s status`. */
  readonly runtimeReason: string
  /** Path of the CRI socket to use; empty for a containerd of our own. */
  readonly criSocket: string
  /** Where archives of images are imported from; `images` in the data directory unless given. */
  readonly imagesDirectory?: string
  /** `off`, `unix`, or `address:port`. */
  readonly etcdListen: string
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error'
  /** Options of the API server that are not as by default, by their names without `apiServer.`. */
  readonly apiServer?: Readonly<Record<string, string>>
  /** The same of the kubelet, without `kubelet.`. */
  readonly kubelet?: Readonly<Record<string, string>>
  /** The same of the scheduler, without `scheduler.`. */
  readonly scheduler?: Readonly<Record<string, string>>
}

export interface NetworkPair {
  readonly serviceCidr: string
  readonly podCidr: string
}

/** `kind: ClusterConfig`: the same for all nodes, in the store, immutable after install. */
export interface ClusterConfig {
  /** Of the cluster's first family, as is `podCidr`. */
  readonly serviceCidr: string
  readonly podCidr: string
  /** The networks of IPv6, where the cluster has two families and that of IPv4 is first. */
  readonly ipv6?: NetworkPair
  /** Those of IPv4, where IPv6 is first. */
  readonly ipv4?: NetworkPair
  readonly clusterDomain: string
  readonly nodePortRange: { readonly first: number; readonly last: number }
  /** How many servers vote once there are that many: 3 or 5. */
  readonly voters: number
  /** How soon silent nodes count as dead. */
  readonly failover: Failover
}
