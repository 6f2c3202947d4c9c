/** Builds what every node runs: the kubelet with its runtime, and the service proxy. */

import { join } from 'node:path'
import { bracketed } from '../base/bracketed.ts'
import type { Component } from '../base/component.ts'
import { Mk8sError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { KubeClient } from '../client/kube-client.ts'
import type { Problem } from '../client/node-status.ts'
import { isDualStack, podNetworks } from '../config/cluster-networks.ts'
import { failoverTimes } from '../config/failover.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { GIT_VERSION, MK8S_VERSION } from '../config/version.ts'
import { readAsset } from '../host/assets.ts'
import { instanceName } from '../host/node-files.ts'
import { system } from '../host/system.ts'
import { parseModel } from '../kube/model.ts'
import type { Model } from '../kube/model-types.ts'
import type { Registries } from '../kube/registries/registries.ts'
import type { OwnApi } from './addons/dashboard/dashboard.ts'
import type { ApiServer } from './apiserver/apiserver.ts'
import { createPodReader } from './apiserver/pod-reader.ts'
import type { ClusterDns } from './dns/dns.ts'
import { createDnsMetrics } from './dns-metrics.ts'
import { importArchive } from './images/import-archive.ts'
import { type Architecture, machineArchitecture } from './images/oci-archive.ts'
import { PAUSE_IMAGE, pauseImage, pauseProgram } from './images/pause-image.ts'
import { reservedByCpus } from './kubelet/cpus/create-cpus.ts'
import { readHostFacts } from './kubelet/host-facts.ts'
import { imageSettings } from './kubelet/image-settings.ts'
import { createKubelet, type KubeletParts } from './kubelet/kubelet.ts'
import type { KubeletCertificates, KubeletDirectories } from './kubelet/kubelet-parts.ts'
import { PodRange } from './kubelet/pod-range.ts'
import { parsePressureSettings } from './kubelet/pressure/eviction-settings.ts'
import { mirrorOf } from './kubelet/runtime/address-pool.ts'
import { containerdPaths } from './kubelet/runtime/cri/containerd-config.ts'
import { readContainerdFacts } from './kubelet/runtime/cri/containerd-programs.ts'
import { CriRuntime } from './kubelet/runtime/cri/cri-runtime.ts'
import { ManagedContainerd } from './kubelet/runtime/cri/managed-containerd.ts'
import { PeerMirror } from './kubelet/runtime/cri/peer-mirror.ts'
import { renderRegistryHosts, writeRegistryHosts } from './kubelet/runtime/cri/registry-hosts.ts'
import { KeptRuntime } from './kubelet/runtime/kept/kept-runtime.ts'
import type { ImageStore } from './kubelet/runtime/oci/images/image-store.ts'
import { OciRuntime } from './kubelet/runtime/oci/oci-runtime.ts'
import { ProcessRuntime, type ProcessRuntimeParts } from './kubelet/runtime/process/process-runtime.ts'
import type { Peers, Runtime } from './kubelet/runtime/runtime.ts'
import { SimulatedRuntime } from './kubelet/runtime/simulated/simulated-runtime.ts'
import { parseShutdownSteps, type ShutdownStep, shutdownSteps } from './kubelet/shutdown/plan-shutdown.ts'
import { renderMetrics } from './metrics/metrics.ts'
import { createLoopbackAddress } from './network/loopback-address.ts'
import { createServiceProxy } from './network/network.ts'
import { createNftablesProxy } from './network/nftables-proxy.ts'
import { createNodeRoutes } from './network/node-routes.ts'
import { createPolicyNotice } from './network/policy-notice.ts'
import { ServiceFeed, USER_AGENT } from './network/service-feed.ts'
import { createServiceHealth } from './network/service-health.ts'
import { buildAddonParts } from './node-addons.ts'
import { buildNodeDns, dnsBackends, dnsLoopbackAddress, dnsMetricsAddress, dnsServiceIp } from './node-dns.ts'
import { NodeImages } from './node-images.ts'
import { nodeNetworks } from './node-networks.ts'
import type { NodeParts } from './node-parts.ts'
import { createPeers } from './node-peers.ts'
import { NodeRegistries } from './node-registries.ts'
import { otherNetwork } from './other-network.ts'
import type { Pki } from './pki/pki.ts'
import { secondAddress } from './second-address.ts'
import type { Shared } from './server-api.ts'
import { SideLoading } from './side-loading.ts'
import { createUpgradeReceiver } from './upgrade/receive-upgrade.ts'

export interface Node {
  readonly images: NodeImages
  /** Of this node alone. */
  readonly problems: () => readonly Problem[]
  readonly components: readonly Component[]
  /** What Prometheus is told of this node's own parts. */
  readonly metrics: () => string
  /** Ends every pod's containers on this node, as `mk8s stop` does. */
  readonly stopWorkloads: () => Promise<void>
  /** Ends pods as when the machine goes down. */
  readonly shutDown: () => Promise<void>
  /** Renewed ones of the kubelet's own port, for connections from now on. */
  readonly useCertificates: (certificates: KubeletCertificates) => void
}

/** What a server's own node is built from. */
export function serverNodeParts(shared: Shared, server: ApiServer): NodeParts {
  const { config, cluster, pki, clock, random, log } = shared
  const groups = ['system:authenticated']
  const username = `system:node:${config.nodeName}`
  return {
    ...{ config, cluster, clock, random, log },
    certificates: kubeletCertificates(pki),
    isServer: true,
    ownApi: ownApiOf(shared),
    transports: {
      kubelet: server.transportFor({ username, groups: ['system:nodes', ...groups] }),
      proxy: server.transportFor({ username: 'system:kube-proxy', groups }),
    },
  }
}

function ownApiOf({ config, live }: Shared): OwnApi {
  const { bindAddress, ports } = config
  return {
    url: `https://${bracketed(bindAddress)}:${ports.api}`,
    tls: () => ({
      ...live.current.leaves.apiserver,
      authority: live.current.authorities['cluster-ca'].certificate,
    }),
    onChange: listener => live.onChange(() => listener()),
  }
}

export function kubeletCertificates({ leaves, authorities }: Pki): KubeletCertificates {
  return {
    ...leaves.kubelet,
    clientAuthority: authorities['cluster-ca'].certificate,
    client: leaves['apiserver-kubelet-client'],
  }
}

export function buildNode(parts: NodeParts): Node {
  const { config, cluster, certificates, clock, random } = parts
  const serviceAddress = config.runtime === 'process' ? mirrorOf : (address: string) => address
  const podRange = new PodRange(join(config.dataDir, 'pod-range'))
  let shown = certificates
  const peers = createPeers({
    ...{ nodeName: config.nodeName, transport: parts.transports.proxy, clock },
    identity: () => ({ ...shown.client, authority: shown.clientAuthority }),
  })
  const isOwnContainerd = config.runtime === 'containerd' && config.criSocket === ''
  const directory = join(containerdPaths(config.dataDir).directory, 'mirror')
  const mirror = isOwnContainerd ? new PeerMirror({ peers, directory, clock, random }) : undefined
  const registries = createRegistries(parts, mirror)
  const containers = createRuntime(parts, { podRange, registries, peers })
  const images = new NodeImages({ config, store: containers.store, runtime: containers.runtime })
  const kubelet = createKubelet({
    transport: parts.transports.kubelet,
    runtime: containers.runtime,
    nodeName: config.nodeName,
    nodeAddress: config.bindAddress,
    ...(isDualStack(cluster) && { secondAddress: () => secondAddress(config.bindAddress) }),
    directories: directoriesOf(config),
    readPod: createPodReader(lazyModel()),
    pressure: parsePressureSettings(config.kubelet ?? {}),
    shutdownSteps: shutdownStepsOf(config.kubelet ?? {}),
    ports: config.ports,
    certificates,
    settings: kubeletSettings(parts, serviceAddress),
    podRange,
    networks: nodeNetworks(config, parts.transports.kubelet),
    importImages: archive => images.import(archive),
    removeImages: (names, force) => images.remove(names, { force, ifPresent: true }),
    upgrade: createUpgradeReceiver({ dataDir: config.dataDir, clock }),
    leaseSeconds: failoverTimes(cluster.failover).leaseSeconds,
    host: readHostFacts(config.dataDir),
    version: GIT_VERSION,
    clock,
    random,
    log: parts.log.child({ component: 'kubelet' }),
  })
  const network = createNetwork(parts, serviceAddress, podRange)
  const sideLoading = createSideLoading(parts, images)
  const addonParts = buildAddonParts(parts, { dns: network.dns })
  return {
    // The proxy takes part in starting pods: what they ask for first is often the API server.
    components: [
      ...containers.components,
      ...sideLoading,
      ...(mirror === undefined ? [] : [mirror]),
      registries,
      kubelet,
      ...network.components,
      addonParts,
    ],
    images,
    problems: () => sideLoading.flatMap(each => each.problems()),
    metrics: () => renderMetrics(network.dns?.metrics() ?? []),
    stopWorkloads: () => kubelet.stopWorkloads(),
    shutDown: () => kubelet.shutDown(),
    useCertificates: renewed => {
      shown = renewed
      kubelet.useCertificates(renewed)
    },
  }
}

type Settings = KubeletParts['settings']

function kubeletSettings(
  { cluster, config }: NodeParts,
  serviceAddress: Settings['serviceAddress'],
): Settings {
  return {
    clusterDns: serviceAddress(dnsServiceIp(cluster)),
    clusterDomain: cluster.clusterDomain,
    serviceCidr: cluster.serviceCidr,
    serviceAddress,
    ...resourceSettings(config.kubelet ?? {}),
    ...imageSettings(config.kubelet ?? {}),
  }
}

type ResourceSettings = Pick<Settings, 'podPidsLimit' | 'reserved' | 'cpuPolicy'>

function resourceSettings(options: Readonly<Record<string, string>>): ResourceSettings {
  const amounts = (text = '') =>
    Object.fromEntries(text.split(',').flatMap(pair => (pair === '' ? [] : [pair.trim().split('=')])))
  const { kubeReserved, systemReserved, podPidsLimit, cpuManagerPolicy, reservedSystemCPUs } = options
  const reserved = { kubeReserved: amounts(kubeReserved), systemReserved: amounts(systemReserved) }
  return {
    reserved: reservedSystemCPUs ? reservedByCpus(reserved, reservedSystemCPUs) : reserved,
    ...(cpuManagerPolicy === 'static'
      ? { cpuPolicy: { policy: cpuManagerPolicy, reservedSystemCpus: reservedSystemCPUs || undefined } }
      : {}),
    ...(podPidsLimit === undefined ? {} : { podPidsLimit: Number(podPidsLimit) }),
  }
}

function shutdownStepsOf(options: Readonly<Record<string, string>>): readonly ShutdownStep[] {
  const byPriority = options['shutdownGracePeriodByPodPriority']
  if (byPriority !== undefined) return parseShutdownSteps(byPriority) ?? []
  return shutdownSteps(options['shutdownGracePeriod'], options['shutdownGracePeriodCriticalPods'])
}

function directoriesOf(config: NodeConfig): KubeletDirectories {
  return {
    pods: join(config.dataDir, 'pods'),
    logs: join(config.dataDir, 'logs'),
    volumes: join(config.dataDir, 'volumes'),
    plugins: join(config.dataDir, 'plugins'),
    pluginRegistry: join(config.dataDir, 'plugins_registry'),
    manifests: config.kubelet?.['staticPodPath'] ?? join(config.dataDir, 'manifests'),
  }
}

/** Read with the first static pod: most nodes have none. */
function lazyModel(): () => Model {
  let model: Model | undefined
  return () => {
    model ??= parseModel(readAsset('model.json'))
    return model
  }
}

/** None where there are no images. */
function createSideLoading({ config, clock, log }: NodeParts, images: NodeImages): SideLoading[] {
  if (config.runtime !== 'oci' && config.runtime !== 'containerd') return []
  const directory = config.imagesDirectory ?? join(config.dataDir, 'images')
  const notePath = join(config.dataDir, 'side-loaded.json')
  const sideLog = log.child({ component: 'side-loading' })
  return [new SideLoading({ directory, notePath, images, clock, log: sideLog })]
}

interface Network {
  readonly components: readonly Component[]
  readonly dns: ClusterDns | null
}

function createNetwork(
  parts: NodeParts,
  serviceAddress: (address: string) => string,
  podRange: PodRange,
): Network {
  const { config, cluster, transports, clock, random } = parts
  // Simulated pods ask for nothing and answer nobody.
  if (config.runtime === 'simulated') return { components: [], dns: null }
  const log = parts.log.child({ component: 'service-proxy' })
  const transport = transports.proxy
  const client = new KubeClient(transport, { userAgent: USER_AGENT })
  const feed = new ServiceFeed({ client, clock, random, log })
  const shared = { transport, nodeName: config.nodeName, clock, random }
  const dnsLog = parts.log.child({ component: 'dns' })
  const dns = buildNodeDns({ ...shared, config, cluster, feed, serviceAddress, log: dnsLog })
  const figures = createDnsMetrics({
    listen: dnsMetricsAddress(cluster),
    render: () => renderMetrics(dns.metrics()),
    ...{ clock, log: dnsLog },
  })
  const healthOf = (proxy: Component) =>
    createServiceHealth({
      ...{ feed, nodeName: config.nodeName, address: config.bindAddress, clock, log },
      isProxyHealthy: () => proxy.health().ok,
    })
  if (config.runtime === 'process') {
    const nodeAddresses = [config.bindAddress]
    const proxy = createServiceProxy({ ...shared, log, feed, nodeAddresses, serviceAddress })
    const notice = createPolicyNotice({ ...shared, log })
    return { components: [proxy, healthOf(proxy), notice, dns, figures], dns }
  }
  const table = instanceName(config.dataDir)
  const own = dnsBackends(cluster, config.runtime)
  const proxy = createNftablesProxy({ ...shared, log, feed, podCidrs: podNetworks(cluster), table, own })
  const routes = createNodeRoutes({
    ...shared,
    onPodMtu: mtu => podRange.setMtu(mtu),
    otherNetwork: () => otherNetwork(config),
    log: parts.log.child({ component: 'node-routes' }),
  })
  const loopback = dnsLoopbackAddress(cluster)
  const address = loopback === undefined ? [] : [createLoopbackAddress(loopback)]
  return { components: [...address, proxy, healthOf(proxy), routes, dns, figures], dns }
}

interface Containers {
  readonly runtime: Runtime
  /** Where it keeps images, if we do that for it. */
  readonly store?: ImageStore
  /** What the runtime itself needs to run. */
  readonly components: readonly Component[]
}

/** Follows where images come from; a containerd of our own is told too. */
function createRegistries(
  { config, transports, clock, random, log }: NodeParts,
  mirror: PeerMirror | undefined,
): NodeRegistries {
  const { registries: directory } = containerdPaths(config.dataDir)
  const apply = async (registries: Registries) =>
    writeRegistryHosts(directory, renderRegistryHosts(registries, directory, mirror?.url))
  const isOurs = mirror !== undefined
  return new NodeRegistries({
    ...{ transport: transports.kubelet, clock, random, log: log.child({ component: 'registries' }) },
    ...(isOurs && { apply }),
  })
}

function createRuntime(parts: NodeParts, means: RuntimeMeans): Containers {
  const { config, clock, random } = parts
  const { podRange } = means
  const log = parts.log.child({ component: 'runtime' })
  const common = { podRange: () => podRange.cidr, version: MK8S_VERSION, clock, random }
  switch (config.runtime) {
    case 'containerd':
      return createContainerd(parts, means, log)
    case 'oci':
      return createOci(parts, means, log)
    case 'process':
      return {
        runtime: createProcesses({
          ...{ ...common, directory: containersDirectory(config), log },
          nodeId: instanceName(config.dataDir),
        }),
        components: [],
      }
    case 'simulated':
      return { runtime: new SimulatedRuntime(common), components: [] }
  }
}

/** With keepers that are shell scripts where there are mount namespaces and a /proc, else with mk8s itself as one. */
function createProcesses(parts: ProcessRuntimeParts): Runtime {
  if (system === 'linux') return new ProcessRuntime(parts)
  return new KeptRuntime({ ...parts, system, environment: process.env })
}

interface RuntimeMeans {
  readonly podRange: PodRange
  readonly registries: NodeRegistries
  readonly peers: Peers
}

function createContainerd({ config, clock }: NodeParts, means: RuntimeMeans, log: Log): Containers {
  const { podRange, registries } = means
  const { dataDir, criSocket } = config
  const managed = new ManagedContainerd({
    dataDir,
    podRange,
    sharedDirectories: [join(dataDir, 'pods')],
    facts: () => readContainerdFacts(PAUSE_IMAGE),
    importSandboxImage: async socketPath => {
      await importArchive(socketPath, { archive: pauseImage(supportedArchitecture()) })
    },
    clock,
    log,
  })
  const socketPath = criSocket === '' ? managed.socketPath : criSocket
  const runtime = new CriRuntime({
    ...{ socketPath, nodeId: instanceName(dataDir), clock, log },
    registries: () => registries.current(),
    ...(criSocket === '' && { root: containerdPaths(dataDir).root }),
  })
  return { runtime, components: criSocket === '' ? [managed] : [] }
}

function createOci({ config, clock, random }: NodeParts, means: RuntimeMeans, log: Log): Containers {
  const { podRange, registries, peers } = means
  const { dataDir } = config
  const pause = pauseProgram(supportedArchitecture())
  const sharedDirectories = [join(dataDir, 'pods')]
  const common = { dataDir, nodeId: instanceName(dataDir), podRange, pause, sharedDirectories }
  const runtime = new OciRuntime({
    ...{ ...common, peers, clock, random, log },
    registries: () => registries.current(),
  })
  return { runtime, store: runtime.store, components: [] }
}

function supportedArchitecture(): Architecture {
  const architecture = machineArchitecture()
  if (architecture !== undefined) return architecture
  throw new Mk8sError('host/unsupported', `containers are not supported on ${process.arch} yet`)
}

const containersDirectory = ({ dataDir }: NodeConfig): string => join(dataDir, 'containers')
