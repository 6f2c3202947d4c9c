/** Builds what every node runs: the kubelet with its runtime, and the service proxy. */
import { join } from 'node:path'
import { must } from '../base/assert.ts'
import type { Component } from '../base/component.ts'
import { Mk8sError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { GIT_VERSION, MK8S_VERSION } from '../config/version.ts'
import { instanceName } from '../host/node-files.ts'
import { cidrAddress, formatCidr, parseCidr, subnet } from '../kube/cidr.ts'
import type { ApiServer } from './apiserver/apiserver.ts'
import { importArchive } from './images/import-archive.ts'
import { machineArchitecture } from './images/oci-archive.ts'
import { PAUSE_IMAGE, pauseImage } from './images/pause-image.ts'
import { readHostFacts } from './kubelet/host-facts.ts'
import { createKubelet } from './kubelet/kubelet.ts'
import { mirrorOf } from './kubelet/runtime/address-pool.ts'
import { readContainerdFacts } from './kubelet/runtime/cri/containerd-programs.ts'
import { CriRuntime } from './kubelet/runtime/cri/cri-runtime.ts'
import { ManagedContainerd } from './kubelet/runtime/cri/managed-containerd.ts'
import { ProcessRuntime } from './kubelet/runtime/process/process-runtime.ts'
import type { Runtime } from './kubelet/runtime/runtime.ts'
import { SimulatedRuntime } from './kubelet/runtime/simulated/simulated-runtime.ts'
import { createServiceProxy } from './network/network.ts'
import { createNftablesProxy } from './network/nftables-proxy.ts'
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
  const podCidr = podCidrOf(shared)
  const containers = createRuntime(shared, podCidr)
  const kubelet = createKubelet({
    transport: server.transportFor({
      username: `system:node:${config.nodeName}`,
      groups: ['system:nodes', 'system:authenticated'],
    }),
    runtime: containers.runtime,
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
  return {
    // The proxy takes part in starting pods: what they ask for first is often the API server.
    components: [...containers.components, kubelet, createProxy(shared, server, { podCidr, serviceAddress })],
    stopWorkloads: () => kubelet.stopWorkloads(),
  }
}

function createProxy(
  { config, clock, random, log }: Shared,
  server: ApiServer,
  { podCidr, serviceAddress }: { podCidr: string; serviceAddress: (address: string) => string },
): Component {
  const common = {
    transport: server.transportFor({ username: 'system:kube-proxy', groups: ['system:authenticated'] }),
    nodeName: config.nodeName,
    clock,
    random,
    log: log.child({ component: 'service-proxy' }),
  }
  if (config.runtime === 'containerd') {
    return createNftablesProxy({ ...common, podCidr, table: instanceName(config.dataDir) })
  }
  return createServiceProxy({ ...common, nodeAddresses: [config.bindAddress], serviceAddress })
}

/** Prefix length of one node's part of the pod network. */
const NODE_PREFIX_LENGTH = 24

/** The first node's part; a node that joins will be told its own. */
function podCidrOf({ cluster }: Shared): string {
  const part = subnet(must(parseCidr(cluster.podCidr), 'a pod network'), NODE_PREFIX_LENGTH, 0)
  return formatCidr(must(part, 'room for a node in the pod network'))
}

interface Containers {
  readonly runtime: Runtime
  /** What the runtime itself needs to run. */
  readonly components: readonly Component[]
}

function createRuntime(shared: Shared, podCidr: string): Containers {
  const { config, clock, random } = shared
  const log = shared.log.child({ component: 'runtime' })
  const common = { podCidr, version: MK8S_VERSION, clock, random }
  switch (config.runtime) {
    case 'containerd':
      return createContainerd(shared, podCidr, log)
    case 'process':
      return {
        runtime: new ProcessRuntime({ ...common, directory: containersDirectory(config), log }),
        components: [],
      }
    case 'simulated':
      return { runtime: new SimulatedRuntime(common), components: [] }
  }
}

function createContainerd({ config, clock }: Shared, podCidr: string, log: Log): Containers {
  const { dataDir, criSocket } = config
  const managed = new ManagedContainerd({
    dataDir,
    podCidr,
    sharedDirectories: [join(dataDir, 'pods')],
    facts: () => readContainerdFacts(PAUSE_IMAGE),
    importSandboxImage: async socketPath => {
      const architecture = machineArchitecture()
      if (architecture === undefined) {
        throw new Mk8sError('host/unsupported', `containers are not supported on ${process.arch} yet`)
      }
      await importArchive(socketPath, { archive: pauseImage(architecture) })
    },
    clock,
    log,
  })
  const socketPath = criSocket === '' ? managed.socketPath : criSocket
  const runtime = new CriRuntime({ socketPath, nodeId: instanceName(dataDir), clock, log })
  return { runtime, components: criSocket === '' ? [managed] : [] }
}

const containersDirectory = ({ dataDir }: NodeConfig): string => join(dataDir, 'containers')
