/** The other nodes of the cluster, for whoever looks for an image: asked for when one is pulled, and kept for a moment. */
import { bracketed } from '../base/bracketed.ts'
import type { Clock } from '../base/clock.ts'
import { KubeClient } from '../client/kube-client.ts'
import { NODES } from '../client/resources.ts'
import type { Transport } from '../client/transport.ts'
import type { Node } from '../kube/types.ts'
import type { PeerIdentity, PeerNode, Peers } from './kubelet/runtime/runtime.ts'

export interface NodePeersParts {
  readonly nodeName: string
  /** As `system:kube-proxy`, who may see all nodes. */
  readonly transport: Transport
  readonly identity: () => PeerIdentity
  readonly clock: Clock
}

const KEPT_MS = 5_000
const KUBELET_PORT = 10_250

export function createPeers({ nodeName, transport, identity, clock }: NodePeersParts): Peers {
  const client = new KubeClient(transport, { userAgent: 'mk8s-images' })
  let known: Promise<readonly PeerNode[]> = Promise.resolve([])
  let untilMs = 0
  const list = async () => {
    const { items } = await client.list<Node>(NODES, { resourceVersion: '0' })
    return items.filter(({ metadata }) => metadata.name !== nodeName).flatMap(peerOf)
  }
  return {
    nodeName,
    identity,
    async nodes() {
      if (clock.monotonic() < untilMs) return known
      untilMs = clock.monotonic() + KEPT_MS
      known = list()
      known.catch(() => {
        untilMs = 0
      })
      return known
    },
  }
}

/** Nodes that are Ready and have an address. */
function peerOf({ metadata, status }: Node): PeerNode[] {
  const isReady = status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True')
  const address = status?.addresses?.find(({ type }) => type === 'InternalIP')?.address
  if (isReady !== true || address === undefined) return []
  const port = status?.daemonEndpoints?.kubeletEndpoint?.Port ?? KUBELET_PORT
  const host = `${bracketed(address)}:${port}`
  const images = (status?.images ?? []).flatMap(({ names = [] }) => names)
  return [{ nodeName: metadata.name ?? '', host, images }]
}
