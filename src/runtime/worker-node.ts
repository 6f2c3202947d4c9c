/** Builds what a worker runs: the way to the API servers, then the kubelet, its runtime and the network. No data. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { bracketed } from '../base/bracketed.ts'
import type { Clock } from '../base/clock.ts'
import { Mk8sError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { HttpsTransport } from '../client/https-transport.ts'
import type { ClusterConfig, NodeConfig } from '../config/node-config.ts'
import { loopbackAddress } from '../config/values.ts'
import { nodePaths } from '../host/node-files.ts'
import { createApiProxy } from './network/api-proxy.ts'
import { createApiServerFeed } from './network/api-server-feed.ts'
import { type ApiServerAddress, ApiServers, addressText } from './network/api-servers.ts'
import type { PemPair } from './pki/pki.ts'
import { buildNode, type Node } from './server-node.ts'

/** All that a worker is trusted with, as PEM. */
export interface WorkerPki {
  /** Of the cluster authority, without its key. */
  readonly authority: string
  /** The kubelet's own server. */
  readonly kubelet: PemPair
  /** `system:node:<name>`. */
  readonly kubeletClient: PemPair
  /** `system:kube-proxy`. */
  readonly proxyClient: PemPair
}

export interface WorkerNodeParts {
  readonly config: NodeConfig
  readonly cluster: ClusterConfig
  readonly pki: WorkerPki
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** A name that every API server's certificate bears, wherever the connection goes. */
const SERVER_NAME = 'kubernetes.default.svc'

export const serversPath = (dataDir: string): string => join(dataDir, 'servers.json')

/** Reads the files that the join left; see `WorkerPki`. */
export function loadWorkerPki(dataDir: string): WorkerPki {
  const { pki } = nodePaths(dataDir)
  const pair = (name: string): PemPair => ({
    certificate: mustRead(join(pki, `${name}.crt`)),
    key: mustRead(join(pki, `${name}.key`)),
  })
  return {
    authority: mustRead(join(pki, 'cluster-ca.crt')),
    kubelet: pair('kubelet'),
    kubeletClient: pair('kubelet-client'),
    proxyClient: pair('proxy-client'),
  }
}

export function buildWorkerNode(parts: WorkerNodeParts): Node {
  const { config, pki, clock, random, log } = parts
  const servers = new ApiServers(serversPath(config.dataDir))
  const listen = { address: loopbackAddress(config.bindAddress), port: config.ports.api }
  const as = ({ certificate, key }: PemPair, { address, port } = listen) =>
    new HttpsTransport({
      server: `https://${bracketed(address)}:${port}`,
      serverName: SERVER_NAME,
      caPem: pki.authority,
      certificatePem: certificate,
      keyPem: key,
    })
  const transports = { kubelet: as(pki.kubeletClient), proxy: as(pki.proxyClient) }
  const node = buildNode({
    ...parts,
    certificates: { ...pki.kubelet, clientAuthority: pki.authority },
    transports,
  })
  const probe = createProbe(server => as(pki.proxyClient, server))
  const shared = { servers, clock, random, log: log.child({ component: 'api-proxy' }) }
  return {
    ...node,
    components: [
      createApiProxy({ ...shared, listen, probe }),
      createApiServerFeed({ ...shared, transport: transports.proxy }),
      ...node.components,
    ],
  }
}

/** One kept connection per server, which costs next to nothing while it is used. */
function createProbe(transportTo: (server: ApiServerAddress) => HttpsTransport) {
  const known = new Map<string, HttpsTransport>()
  return async (server: ApiServerAddress, signal: AbortSignal): Promise<boolean> => {
    const name = addressText(server)
    const transport = known.get(name) ?? transportTo(server)
    known.set(name, transport)
    const response = await transport.request({ method: 'GET', path: '/readyz', signal })
    if (!(response.body instanceof Uint8Array)) await Array.fromAsync(response.body)
    return response.status === 200
  }
}

function mustRead(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new Mk8sError('pki/invalid', `${path} cannot be read`, {
      hint: 'Restore it from a backup, or leave the cluster and join it again.',
      cause,
    })
  }
}
