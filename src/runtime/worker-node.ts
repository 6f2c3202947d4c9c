/** Builds what a worker runs: the way to the API servers, then the kubelet, its runtime and the network. No data. */
import { join } from 'node:path'
import { bracketed } from '../base/bracketed.ts'
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { HttpsTransport } from '../client/https-transport.ts'
import type { Transport } from '../client/transport.ts'
import type { ClusterConfig, NodeConfig } from '../config/node-config.ts'
import { loopbackAddress } from '../config/values.ts'
import type { KubeletCertificates } from './kubelet/kubelet-parts.ts'
import { createApiProxy } from './network/api-proxy.ts'
import { createApiServerFeed } from './network/api-server-feed.ts'
import { type ApiServerAddress, ApiServers, addressText } from './network/api-servers.ts'
import type { WorkerLeafName } from './pki/authorities.ts'
import type { LiveCertificates } from './pki/live-pki.ts'
import type { WorkerPki } from './pki/worker-certificates.ts'
import { buildNode, type Node } from './server-node.ts'

export interface WorkerNodeParts {
  readonly config: NodeConfig
  readonly cluster: ClusterConfig
  /** All that a worker is trusted with. */
  readonly live: LiveCertificates<WorkerPki>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export interface WorkerNode extends Node {
  /** Where the API servers are, as the worker knows it now. */
  readonly servers: ApiServers
  /** As this node, over the local proxy. */
  readonly kubeletTransport: Transport
}

/** A name that every API server's certificate bears, wherever the connection goes. */
const SERVER_NAME = 'kubernetes.default.svc'

export const serversPath = (dataDir: string): string => join(dataDir, 'servers.json')

export function buildWorkerNode(parts: WorkerNodeParts): WorkerNode {
  const { config, live, clock, random, log } = parts
  const servers = new ApiServers(serversPath(config.dataDir))
  const listen = { address: loopbackAddress(config.bindAddress), port: config.ports.api }
  const transports = {
    kubelet: transportTo(listen, 'kubelet-client', live),
    proxy: transportTo(listen, 'proxy-client', live),
  }
  const certificates = kubeletCertificates(live.current)
  const node = buildNode({ ...parts, certificates, transports, isServer: false })
  live.onChange(current => node.useCertificates(kubeletCertificates(current)))
  const shared = { servers, clock, random, log: log.child({ component: 'api-proxy' }) }
  return {
    ...node,
    servers,
    kubeletTransport: transports.kubelet,
    components: [
      createApiProxy({ ...shared, listen, probe: createProbe(live) }),
      createApiServerFeed({ ...shared, transport: transports.proxy }),
      ...node.components,
    ],
  }
}

const kubeletCertificates = ({ clusterAuthority, leaves }: WorkerPki): KubeletCertificates => ({
  ...leaves.kubelet,
  clientAuthority: clusterAuthority,
  client: leaves['kubelet-client'],
})

/** Follows the certificates as they are renewed. */
function transportTo(
  { address, port }: ApiServerAddress,
  leaf: WorkerLeafName,
  live: LiveCertificates<WorkerPki>,
): HttpsTransport {
  const credentials = ({ clusterAuthority, leaves }: WorkerPki) => ({
    caPem: clusterAuthority,
    certificatePem: leaves[leaf].certificate,
    keyPem: leaves[leaf].key,
  })
  const transport = new HttpsTransport({
    server: `https://${bracketed(address)}:${port}`,
    serverName: SERVER_NAME,
    ...credentials(live.current),
  })
  live.onChange(current => transport.useCertificates(credentials(current)))
  return transport
}

/** One kept connection per server, which costs next to nothing while it is used. */
function createProbe(live: LiveCertificates<WorkerPki>) {
  const known = new Map<string, HttpsTransport>()
  return async (server: ApiServerAddress, signal: AbortSignal): Promise<boolean> => {
    const name = addressText(server)
    const transport = known.get(name) ?? transportTo(server, 'proxy-client', live)
    known.set(name, transport)
    const response = await transport.request({ method: 'GET', path: '/readyz', signal })
    if (!(response.body instanceof Uint8Array)) await Array.fromAsync(response.body)
    return response.status === 200
  }
}
