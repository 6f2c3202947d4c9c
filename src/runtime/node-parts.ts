/** What everything that runs on a node is built from. */
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { Transport } from '../client/transport.ts'
import type { ClusterConfig, NodeConfig } from '../config/node-config.ts'
import type { OwnApi } from './addons/dashboard/dashboard.ts'
import type { KubeletCertificates } from './kubelet/kubelet-parts.ts'

export interface NodeParts {
  readonly config: NodeConfig
  readonly cluster: ClusterConfig
  readonly certificates: KubeletCertificates
  readonly transports: NodeTransports
  readonly isServer: boolean
  /** What this server's API shows of itself, for what else it serves; absent on workers. */
  readonly ownApi?: OwnApi
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** How what runs on a node reaches the API: in process on a server, through the local proxy on a worker. */
export interface NodeTransports {
  /** As `system:node:<name>` in `system:nodes`. */
  readonly kubelet: Transport
  /** As `system:kube-proxy`. */
  readonly proxy: Transport
}
