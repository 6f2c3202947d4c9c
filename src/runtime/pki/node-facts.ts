/** What a node's configuration says about its certificates: the same at install, at each start and at each renewal. */
import { must } from '../../base/assert.ts'
import { bracketed } from '../../base/bracketed.ts'
import type { Clock } from '../../base/clock.ts'
import type { Random } from '../../base/random.ts'
import { nodePaths } from '../../host/node-files.ts'
import { cidrAddress, parseCidr } from '../../kube/cidr.ts'
import { renderKubeconfig } from './kubeconfig.ts'
import type { PkiParts } from './pki.ts'

/** Of a NodeConfig. */
export interface CertifiedNode {
  readonly dataDir: string
  readonly nodeName: string
  readonly bindAddress: string
  readonly clusterId: string
  readonly memberId: number
}

/** Of a ClusterConfig. */
export interface CertifiedCluster {
  readonly serviceCidr: string
  readonly clusterDomain: string
}

interface Means {
  readonly clock: Pick<Clock, 'now'>
  readonly random: Random
}

export function pkiPartsOf(node: CertifiedNode, cluster: CertifiedCluster, means: Means): PkiParts {
  const network = must(parseCidr(cluster.serviceCidr), 'a service network')
  return {
    directory: nodePaths(node.dataDir).pki,
    nodeName: node.nodeName,
    addresses: [node.bindAddress],
    serviceIp: must(cidrAddress(network, 1), 'its first address'),
    extraSans: [],
    clusterDomain: cluster.clusterDomain,
    clusterId: node.clusterId,
    memberId: node.memberId.toString(16),
    ...means,
  }
}

/** For the certificate of the links to other members, which is needed before the cluster's configuration is known. */
export function peerPartsOf(node: CertifiedNode, means: Means): PkiParts {
  const unknown = { serviceIp: '', clusterDomain: '', extraSans: [] }
  const { nodeName, bindAddress, clusterId, memberId } = node
  const addresses = [bindAddress]
  const directory = nodePaths(node.dataDir).pki
  return { directory, nodeName, addresses, clusterId, memberId: memberId.toString(16), ...unknown, ...means }
}

export interface AdminIdentity {
  /** PEM. */
  readonly authority: string
  readonly certificate: string
  readonly key: string
}

export function adminKubeconfig(
  { bindAddress, ports }: { readonly bindAddress: string; readonly ports: { readonly api: number } },
  identity: AdminIdentity,
): string {
  return renderKubeconfig({ server: `https://${bracketed(bindAddress)}:${ports.api}`, ...identity })
}
