/** Builds what every node runs: the kubelet with its runtime, and the service proxy. */
import { join } from 'node:path'
import { must } from '../base/assert.ts'
import type { Component } from '../base/component.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { GIT_VERSION, MK8S_VERSION } from '../config/version.ts'
import { cidrAddress, formatCidr, parseCidr, subnet } from '../kube/cidr.ts'
import type { ApiServer } from './apiserver/apiserver.ts'
import { readHostFacts } from './kubelet/host-facts.ts'
import { createKubelet } from './kubelet/kubelet.ts'
import { mirrorOf } from './kubelet/runtime/address-pool.ts'
import { ProcessRuntime } from './kubelet/runtime/process/process-runtime.ts'
import type { Runtime } from './kubelet/runtime/runtime.ts'
import { SimulatedRuntime } from './kubelet/runtime/simulated/simulated-runtime.ts'
import { createServiceProxy } from './network/network.ts'
import type { Shared } from './server-api.ts'

export interface Node {
  readonly components: readonly Component[]
  /** Ends every pod's containers on this node, as `mk8s stop` does. */
  readonly stopWorkloads: () => Promise<void>
}

/** Index of the cluster DNS in the service network, as in MicroK8s. */
const DNS_INDEX = 10

export function buildNode(shared: Shared, server: ApiServer): Node {
  const { config, cluster, pki, clock, random } = shared
  const serviceAddress = config.runtime === 'process' ? mirrorOf : (address: string) => address
  const kubelet = createKubelet({
    transport: server.transportFor({
      username: `system:node:${config.nodeName}`,
      groups: ['system:nodes', 'system:authenticated'],
    }),
    runtime: createRuntime(shared),
    nodeName: config.nodeName,
    nodeAddress: config.bindAddress,
    directories: { pods: join(config.dataDir, 'pods'), logs: join(config.dataDir, 'logs') },
    ports: config.ports,
    certificates: {
      certificate: pki.leaves.kubelet.certificate,
      key: pki.leaves.kubelet.key,
      clientAuthority: pki.authorities['cluster-ca'].certificate,
    },
    settings: {
      clusterDns: must(
        cidrAddress(must(parseCidr(cluster.serviceCidr), 'a service network'), DNS_INDEX),
        'DNS address',
      ),
      clusterDomain: cluster.clusterDomain,
      serviceCidr: cluster.serviceCidr,
      serviceAddress,
    },
    host: readHostFacts(config.dataDir),
    version: GIT_VERSION,
    clock,
    random,
    log: shared.log.child({ component: 'kubelet' }),
  })
  const proxy = createServiceProxy({
    transport: server.transportFor({ username: 'system:kube-proxy', groups: ['system:authenticated'] }),
    nodeName: config.nodeName,
    nodeAddresses: [config.bindAddress],
    serviceAddress,
    clock,
    random,
    log: shared.log.child({ component: 'service-proxy' }),
  })
  return {
    components: [kubelet, proxy],
    stopWorkloads: () => kubelet.stopWorkloads(),
  }
}

/** Prefix length of one node's part of the pod network. */
const NODE_PREFIX_LENGTH = 24

function createRuntime(shared: Shared): Runtime {
  const { config, cluster, clock, random } = shared
  const log = shared.log.child({ component: 'runtime' })
  // The first node's part; a node that joins will be told its own.
  const part = subnet(must(parseCidr(cluster.podCidr), 'a pod network'), NODE_PREFIX_LENGTH, 0)
  const podCidr = formatCidr(must(part, 'room for a node in the pod network'))
  const common = { podCidr, version: MK8S_VERSION, clock, random }
  switch (config.runtime) {
    case 'process':
      return new ProcessRuntime({ ...common, directory: containersDirectory(config), log })
    case 'simulated':
      return new SimulatedRuntime(common)
  }
}

const containersDirectory = ({ dataDir }: NodeConfig): string => join(dataDir, 'containers')
