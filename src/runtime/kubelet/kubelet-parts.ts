/** What the kubelet is made of: everything it touches comes in from outside. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import type { Transport } from '../../client/transport.ts'
import type { CpuPolicy } from './cpus/plan-cpus.ts'
import type { ProviderSettings } from './credential-providers.ts'
import type { HostFacts } from './host-facts.ts'
import type { NetworkSettings } from './networks/plan-networks.ts'
import type { PodRange } from './pod-range.ts'
import type { PressureSettings } from './pressure/eviction-settings.ts'
import type { VerificationPolicy } from './pull-records.ts'
import type { Reserved } from './resources/node-allocatable.ts'
import type { Runtime } from './runtime/runtime.ts'
import type { ShutdownStep } from './shutdown/plan-shutdown.ts'
import type { PodReader } from './static/render-static-pod.ts'

export interface KubeletDirectories {
  /** Volumes and the like, by pod uid: `<data-dir>/pods`. */
  readonly pods: string
  /** Container logs: `<data-dir>/logs`. */
  readonly logs: string
  /** What `hostpath-storage` keeps: `<data-dir>/volumes`. */
  readonly volumes: string
  /** Where CSI drivers have their sockets and their mounts: `<data-dir>/plugins`. */
  readonly plugins: string
  /** Where they make themselves known: `<data-dir>/plugins_registry`. */
  readonly pluginRegistry: string
  /** Where static pods come from, a directory or a file: `<data-dir>/manifests`; absent where there are none. */
  readonly manifests?: string
}

export interface KubeletSettings {
  /** Address of the cluster DNS. */
  readonly clusterDns: string
  readonly clusterDomain: string
  readonly serviceCidr: string
  /** Where pods reach a cluster IP: itself, or its mirror with the process runtime. */
  readonly serviceAddress: (clusterIp: string) => string
  /** How many processes a pod may have; absent for any number. */
  readonly podPidsLimit?: number
  /** Whose images need credentials though they are there; upstream's default unless given. */
  readonly verification?: VerificationPolicy | undefined
  /** Plugins that have logins for registries. */
  readonly credentialProviders?: ProviderSettings | undefined
  /** What is not for pods. */
  readonly reserved?: Reserved
  /** Whether containers may have processors of their own; nobody has unless given. */
  readonly cpuPolicy?: CpuPolicy
}

/** PEM texts of the kubelet's own HTTPS server. */
export interface KubeletCertificates {
  readonly certificate: string
  readonly key: string
  /** Authority of the clients that may ask. */
  readonly clientAuthority: string
  /** What this node shows to the others, where it gets images. */
  readonly client: { readonly certificate: string; readonly key: string }
}

export interface NetworksConfig {
  /** Null while nobody has enabled them. */
  readonly settings: () => Promise<NetworkSettings | null>
  /** Directory of the node's network configurations. */
  readonly configs: string
  /** Words in front of network plugins, where the pods' network is not the daemon's own. */
  readonly enter?: readonly string[]
}

export interface KubeletParts {
  /** Speaks as `system:node:<nodeName>` in `system:nodes`. */
  readonly transport: Transport
  readonly runtime: Runtime
  readonly nodeName: string
  readonly nodeAddress: string
  /** Its address of the other family, while it has one; absent in clusters of one family. */
  readonly secondAddress?: () => string | undefined
  readonly directories: KubeletDirectories
  readonly ports: { readonly kubelet: number }
  readonly certificates: KubeletCertificates
  readonly settings: KubeletSettings
  /** Takes an archive of images; absent where nobody may send any. */
  readonly importImages?: (archive: AsyncIterable<Uint8Array>) => Promise<readonly string[]>
  /** Takes away those of the images that are there; absent where nobody may. */
  readonly removeImages?: (names: readonly string[], force: boolean) => Promise<readonly string[]>
  /** What becomes of requests for `/upgrade`; absent where nobody may ask. */
  readonly upgrade?: (request: IncomingMessage, response: ServerResponse) => Promise<void>
  /** Reads static pods as the API would; absent where there are none. */
  readonly readPod?: PodReader
  /** Filled from the Node object; without one the node needs none to be Ready. */
  readonly podRange?: PodRange
  /** Networks of pods beside the pod network; absent where there are none. */
  readonly networks?: NetworksConfig
  /** How long the node's lease holds; renewed four times as often. 10 s unless given. */
  readonly leaseSeconds?: number
  readonly host: HostFacts
  /** When the node is short of something; upstream's defaults unless given. */
  readonly pressure?: PressureSettings
  /** What `/logs/` of its port shows; the machine's logs unless given. */
  readonly systemLogs?: string
  /** Who gets how long when the machine goes down; nobody unless given. */
  readonly shutdownSteps?: readonly ShutdownStep[]
  /** `v1.36.x+mk8s.y`. */
  readonly version: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}
