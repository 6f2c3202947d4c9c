/** Builds a node's DNS out of what follows Services for the proxy, and says where pods of this node reach it. */

import { must } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { Informer } from '../client/informer.ts'
import { KubeClient } from '../client/kube-client.ts'
import { CONFIG_MAPS } from '../client/resources.ts'
import type { Transport } from '../client/transport.ts'
import { isIpv6First, type Networks, podNetworks, serviceNetworks } from '../config/cluster-networks.ts'
import type { ClusterConfig, NodeConfig } from '../config/node-config.ts'
import { cidrAddress, parseCidr } from '../kube/cidr.ts'
import { mirrorOf } from '../kube/mirror-address.ts'
import type { ConfigMap } from '../kube/types.ts'
import { type ClusterDns, createDns } from './dns/dns.ts'
import type { ServiceFeed } from './network/service-feed.ts'
import type { Backend } from './network/usable-backends.ts'

/** Index of the cluster DNS in the service network, as in MicroK8s. */
const DNS_INDEX = 10
const DNS_PORT = 53
/** Where it listens when the node's rules lead to it; port 53 of any address is often taken. */
const OWN_PORT = 10_053
/** As CoreDNS'; on the same address. */
const METRICS_PORT = 9_153
export const DNS_SERVICE = 'kube-dns'
export const DNS_CONFIGURATION = 'mk8s-dns'

export type DnsFacts = Networks & Pick<ClusterConfig, 'clusterDomain'>

type ServiceNetwork = Pick<ClusterConfig, 'serviceCidr'>

const serviceAddressAt = ({ serviceCidr }: ServiceNetwork, index: number): string =>
  must(cidrAddress(must(parseCidr(serviceCidr), 'a service network'), index), 'an address for DNS')

/** The address of the service `kube-system/kube-dns`. */
export const dnsServiceIp = (cluster: ServiceNetwork): string => serviceAddressAt(cluster, DNS_INDEX)

/**
 * On loopback, so that nobody outside can ask. IPv6 has one address there, which no rule leads pods to: the service
 * network's own address, which no Service gets, is put beside it.
 */
const ownAddress = (cluster: ServiceNetwork): string =>
  isIpv6First(cluster) ? serviceAddressAt(cluster, 0) : mirrorOf(dnsServiceIp(cluster))

/** What has to be put on loopback before the DNS can listen; undefined where nothing has. */
export const dnsLoopbackAddress = (cluster: ServiceNetwork): string | undefined =>
  isIpv6First(cluster) ? ownAddress(cluster) : undefined

function listenAddress(cluster: DnsFacts, runtime: NodeConfig['runtime']) {
  return { address: ownAddress(cluster), port: runtime === 'process' ? DNS_PORT : OWN_PORT }
}

/** What the node's rules lead the traffic of the service to. */
export function dnsBackends(cluster: DnsFacts, runtime: NodeConfig['runtime']): ReadonlyMap<string, Backend> {
  const own = listenAddress(cluster, runtime)
  const ports = { dns: own.port, 'dns-tcp': own.port, metrics: METRICS_PORT }
  const backends = Object.entries(ports).map(
    ([name, port]) => [`kube-system/${DNS_SERVICE}:${name}`, { ...own, port }] as const,
  )
  return new Map(backends)
}

/** Where a node's DNS tells its figures. */
export const dnsMetricsAddress = (cluster: DnsFacts): Backend => ({
  address: ownAddress(cluster),
  port: METRICS_PORT,
})

export interface NodeDnsParts {
  readonly config: Pick<NodeConfig, 'runtime'>
  readonly cluster: DnsFacts
  /** As `system:kube-proxy`. */
  readonly transport: Transport
  readonly feed: ServiceFeed
  readonly serviceAddress: (address: string) => string
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export function buildNodeDns(parts: NodeDnsParts): ClusterDns {
  const { config, cluster, transport, feed, serviceAddress, clock, random, log } = parts
  const networks = [...serviceNetworks(cluster), ...podNetworks(cluster)]
  const mirrors = config.runtime === 'process' ? [cluster.serviceCidr, cluster.podCidr].map(mirrorOf) : []
  return createDns({
    services: feed.services,
    slices: feed.slices,
    configuration: new Informer<ConfigMap>({
      ...{ clock, random, log },
      client: new KubeClient(transport, { userAgent: 'mk8s-dns' }),
      resource: CONFIG_MAPS,
      namespace: 'kube-system',
      fieldSelector: `metadata.name=${DNS_CONFIGURATION}`,
    }),
    listen: listenAddress(cluster, config.runtime),
    zone: {
      domain: cluster.clusterDomain,
      dnsAddress: serviceAddress(dnsServiceIp(cluster)),
      networks: [...networks, ...mirrors],
    },
    serviceAddress,
    clock,
    log,
  })
}
