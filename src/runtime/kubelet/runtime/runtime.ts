/**
 * What the kubelet asks of a container runtime, in the shape of CRI: sandboxes, containers, images, exec, logs as
 * files, and an event when a container exits. `test/contract/runtime` holds for every implementation.
 * Times are wall-clock milliseconds; 0 means "not yet".
 */

import type { Duplex } from 'node:stream'
import type { QosClass } from '../../../kube/qos.ts'
import type { PodResources } from './cgroup-limits.ts'
import type { PodGroups } from './pod-groups.ts'
import type { ContainerStreams, StreamOptions } from './streams.ts'
import type { ContainerUsage, StoredImage } from './usage.ts'

export interface SandboxMetadata {
  readonly name: string
  readonly namespace: string
  readonly uid: string
  /** How often this pod's sandbox was made anew. */
  readonly attempt: number
}

export interface DnsConfig {
  readonly servers: readonly string[]
  readonly searches: readonly string[]
  readonly options: readonly string[]
}

export interface HostPort {
  readonly protocol: 'TCP' | 'UDP' | 'SCTP'
  readonly containerPort: number
  readonly hostPort: number
  /** Empty: every address of the host. */
  readonly hostIp: string
}

/** What a pod shares with the host, and its containers with one another. */
export interface Sharing {
  readonly hostPid: boolean
  readonly hostIpc: boolean
  /** The containers of the pod see each other's processes. */
  readonly processes: boolean
}

/** Numbers of users and groups of the machine: they are those from 0 on in the user namespace of a pod. */
export interface IdRange {
  readonly first: number
  readonly count: number
}

/** Settings that only runtimes which isolate can obey; the others leave them aside. */
export interface SandboxIsolation {
  /** Absent: the host's resolv.conf. */
  readonly dns?: DnsConfig | undefined
  readonly hostPorts: readonly HostPort[]
  readonly qosClass: QosClass
  readonly sharing: Sharing
  /** One of its containers is privileged. */
  readonly privileged: boolean
  readonly sysctls: Readonly<Record<string, string>>
  /** Of the pod's own control group. */
  readonly resources?: PodResources | undefined
  /** Absent: users are those of the machine. */
  readonly userRange?: IdRange | undefined
}

export interface SandboxConfig {
  readonly metadata: SandboxMetadata
  readonly hostname: string
  readonly hostNetwork: boolean
  /** Directory that the log paths of its containers are relative to. */
  readonly logDirectory: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly isolation?: SandboxIsolation | undefined
  /** Which program runs its containers, from the pod's RuntimeClass; absent: the runtime's own choice. */
  readonly runtimeHandler?: string | undefined
  /** Absent: the node's own. Only where `choosesNetwork`. */
  readonly network?: ChosenNetwork | undefined
}

export interface SandboxStatus {
  readonly id: string
  readonly metadata: SandboxMetadata
  readonly state: 'ready' | 'not-ready'
  readonly createdAt: number
  /** Empty with the host's network. */
  readonly addresses: readonly string[]
}

/** An interface inside a sandbox. */
export interface SandboxInterface {
  readonly name: string
  readonly mac: string
  /** Without the length of the prefix. */
  readonly addresses: readonly string[]
  /** Of its default routes. */
  readonly gateways: readonly string[]
}

/** What a sandbox has of the pod network, for whoever adds to it. */
export interface SandboxNetwork {
  /** Path of its network namespace. */
  readonly netns: string
  readonly interfaces: readonly SandboxInterface[]
  readonly dns: object
}

/** A network configuration that takes the place of the node's own for one pod. */
export interface ChosenNetwork {
  readonly name: string
  readonly cniVersion: string
  readonly plugins: readonly { readonly type: string; readonly [key: string]: unknown }[]
  /** By capability. */
  readonly runtimeConfig: Readonly<Record<string, unknown>>
}

export interface Mount {
  readonly containerPath: string
  readonly hostPath: string
  readonly readOnly: boolean
  /** What is mounted is an image, or a path in it; then there is no `hostPath`, and nothing in it is run. */
  readonly image?: { readonly reference: string; readonly subPath: string } | undefined
  /** What is mounted below it, too. */
  readonly recursiveReadOnly?: boolean | undefined
  readonly propagation?: 'None' | 'HostToContainer' | 'Bidirectional' | undefined
}

/** A block device of the machine. */
export interface Device {
  readonly containerPath: string
  readonly hostPath: string
  readonly readOnly: boolean
}

export interface SeccompProfile {
  readonly type: 'RuntimeDefault' | 'Unconfined' | 'Localhost'
  /** Absolute, for `Localhost`. */
  readonly path?: string | undefined
}

export interface ContainerSecurity {
  readonly runAsUser?: number | undefined
  readonly runAsGroup?: number | undefined
  readonly supplementalGroups?: readonly number[] | undefined
  /** No groups but these: the image's own list of members does not count. */
  readonly strictGroups?: boolean | undefined
  readonly privileged?: boolean | undefined
  readonly readOnlyRootFilesystem?: boolean | undefined
  /** Programs may not gain more rights than they were started with. */
  readonly noNewPrivileges?: boolean | undefined
  readonly addCapabilities?: readonly string[] | undefined
  readonly dropCapabilities?: readonly string[] | undefined
  readonly seccomp?: SeccompProfile | undefined
  /** Absent: what the runtime does when nobody says. */
  readonly appArmor?:
    | { readonly type: SeccompProfile['type']; readonly name?: string | undefined }
    | undefined
  /** `/proc` without its usual masks. */
  readonly unmaskedProc?: boolean | undefined
}

/** Absent values are not limited. */
export interface ContainerResources {
  readonly cpuRequestMillis?: number | undefined
  readonly cpuLimitMillis?: number | undefined
  readonly memoryRequestBytes?: number | undefined
  readonly memoryLimitBytes?: number | undefined
  readonly hugepages?: Readonly<Record<string, number>> | undefined
  /** Processors that it may run on, `0-2,5`. */
  readonly cpus?: string | undefined
}

export interface ContainerConfig {
  readonly name: string
  /** What it is asked to end with, `SIGUSR1`; absent: what its image says. */
  readonly stopSignal?: string | undefined
  /** The restart count, which also names the log file. */
  readonly attempt: number
  readonly image: string
  readonly command: readonly string[]
  readonly args: readonly string[]
  readonly workingDir: string
  readonly env: Readonly<Record<string, string>>
  readonly mounts: readonly Mount[]
  readonly devices?: readonly Device[] | undefined
  /** Full names, `vendor/class=name`. Only where `obeys` has `cdi`. */
  readonly cdiDevices?: readonly string[] | undefined
  /** Relative to the sandbox's log directory. */
  readonly logPath: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  /** A container of the same sandbox whose processes this one sees. */
  readonly targetId?: string | undefined
  readonly security: ContainerSecurity
  readonly resources?: ContainerResources | undefined
  readonly stdin?: boolean | undefined
  readonly stdinOnce?: boolean | undefined
  readonly tty?: boolean | undefined
}

export type ContainerState = 'created' | 'running' | 'exited' | 'unknown'

export interface ContainerStatus {
  readonly id: string
  readonly sandboxId: string
  readonly podUid: string
  readonly name: string
  readonly attempt: number
  readonly state: ContainerState
  readonly createdAt: number
  readonly startedAt: number
  readonly finishedAt: number
  readonly exitCode: number
  /** The signal that ended it, 0 for none. */
  readonly signal: number
  /** `Completed`, `Error`, `OOMKilled`, …; empty while it runs. */
  readonly reason: string
  readonly message: string
  readonly image: string
  readonly imageId: string
  /** Absolute. */
  readonly logPath: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  /** Whom its first program was started as; absent where nobody knows. */
  readonly user?: ProcessUser | undefined
  /** What it is asked to end with; absent where nobody knows. */
  readonly stopSignal?: string | undefined
}

/** Numbers of a user and of groups. */
export interface ProcessUser {
  readonly uid: number
  readonly gid: number
  readonly groups: readonly number[]
}

export interface ExecResult {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
  readonly timedOut: boolean
}

export interface ImageStatus {
  /** The name as given. */
  readonly image: string
  /** `docker.io/library/x@sha256:…`, `process://x`. */
  readonly imageId: string
  /** Whom its programs run as when the pod does not say; absent where images have no users. */
  readonly user?: { readonly uid: number | null; readonly name: string } | undefined
  readonly sizeBytes?: number | undefined
}

/** A manifest or a blob that another node asks for. */
export interface WantedPart {
  readonly registry: string
  readonly repository: string
  /** A digest, or the tag of a manifest. */
  readonly reference: string
  /** Of the node that asks, as Node names it. */
  readonly architecture: string
  /** What is being fetched is waited for. */
  readonly waits: boolean
}

export interface ImagePart {
  readonly digest: string
  readonly sizeBytes: number
  read(fromByte: number): AsyncIterable<Uint8Array>
}

/** This node's images, for the other nodes. */
export interface ImageContent {
  find(wanted: WantedPart): Promise<ImagePart | null>
}

export interface PeerNode {
  readonly nodeName: string
  /** Address and port of its kubelet. */
  readonly host: string
  /** Names of images that it says it has. */
  readonly images: readonly string[]
}

/** PEM texts by which nodes know each other. */
export interface PeerIdentity {
  readonly certificate: string
  readonly key: string
  readonly authority: string
}

/** The other nodes, to get images from. */
export interface Peers {
  /** Of this node. */
  readonly nodeName: string
  nodes(): Promise<readonly PeerNode[]>
  identity(): PeerIdentity
}

/** What a registry asks for. */
export interface RegistryCredentials {
  readonly server: string
  readonly username: string
  readonly password: string
}

export interface ContainerExited {
  readonly type: 'container-exited'
  readonly podUid: string
  readonly containerId: string
}

export type RuntimeEvent = ContainerExited

export type NewerField = 'strictGroups' | 'recursiveReadOnly' | 'stopSignal' | 'cdi'

/** What RuntimeClasses choose from, and what each can do; the empty name is the runtime's own choice. */
export interface RuntimeHandler {
  readonly name: string
  readonly recursiveReadOnly: boolean
  readonly userNamespaces: boolean
}

/** All methods but the reading ones may be repeated: what is done already is no error. */
export interface Runtime {
  /** Scheme of container ids in pod status: `process`, `simulated`, `containerd`. */
  readonly name: string
  readonly version: string
  /** Pods have no real addresses, so network probes are answered by `exec` too. */
  readonly isVirtual: boolean
  /** False: image names are recorded, and nothing is fetched. */
  readonly pullsImages: boolean
  /**
   * Containers have root file systems and network namespaces of their own, so that the kubelet has to give them
   * `/etc/hosts`, a resolver, limits and the like.
   */
  readonly isolates?: boolean
  /** Containers can have files of their own at the paths of the host's, such as `/etc/hosts`; true where it isolates. */
  readonly hasOwnFiles?: boolean
  /** A sandbox can have another network than the node's own. */
  readonly choosesNetwork?: boolean
  /** It can mount images. */
  readonly mountsImages?: boolean
  /** Which of the fields it obeys that not every runtime does. */
  readonly obeys?: ReadonlySet<NewerField>
  /** Known from `start` on; absent or empty where nobody knows. */
  readonly handlers?: readonly RuntimeHandler[]
  /** Control groups that pods lie in; absent where there are none. */
  readonly groups?: PodGroups
  /** Finds what still runs from before and delivers events from then on. */
  start(onEvent: (event: RuntimeEvent) => void): Promise<void>
  /** Stops watching; everything keeps running. */
  stop(): Promise<void>
  /** What keeps it from running pods, empty when nothing does; rejects when it does not answer. */
  problem?(): Promise<string>

  /** Returns the id of a sandbox in state `ready`. */
  runSandbox(config: SandboxConfig): Promise<string>
  /** Stops its containers at once and gives its addresses back. */
  stopSandbox(id: string): Promise<void>
  /** Also removes its containers. */
  removeSandbox(id: string): Promise<void>
  sandboxStatus(id: string): Promise<SandboxStatus | null>
  listSandboxes(): Promise<readonly SandboxStatus[]>
  /** Null when it has no network of its own; absent where no sandbox has. */
  sandboxNetwork?(id: string): Promise<SandboxNetwork | null>
  /**
   * Its pod network was replaced by the kubelet: these are its addresses from now on. Absent where a sandbox is made
   * with the network that it is to have, or where nobody knows how to take the runtime's own one away.
   */
  readdress?(id: string, addresses: readonly string[]): void

  createContainer(sandboxId: string, config: ContainerConfig): Promise<string>
  /** Resolves once the program runs; rejects with `kubelet/runtime` when it cannot be started. */
  startContainer(id: string): Promise<void>
  /** SIGTERM, and SIGKILL after `gracePeriodMs`; resolves once it has exited. */
  stopContainer(id: string, gracePeriodMs: number): Promise<void>
  /** Kills it if it still runs; its log file stays. */
  removeContainer(id: string): Promise<void>
  containerStatus(id: string): Promise<ContainerStatus | null>
  listContainers(podUid?: string): Promise<readonly ContainerStatus[]>

  /** Of a container that runs; absent where nothing is limited. */
  updateContainer?(id: string, resources: ContainerResources): Promise<void>
  /** Moves a container that runs to these processors; absent where containers run on any. */
  setCpus?(id: string, cpus: string): Promise<void>
  /** Of the pod as a whole. */
  updateSandbox?(id: string, resources: PodResources): Promise<void>

  /** After the log file was renamed: what the container writes next goes into a new one of the old name. */
  reopenLog(id: string): Promise<void>

  exec(
    id: string,
    command: readonly string[],
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<ExecResult>

  /** Rejects with `kubelet/runtime` when the program cannot be started. */
  execStream(id: string, command: readonly string[], options: StreamOptions): Promise<ContainerStreams>
  /** The output from now on, and the input, of the container's own program. */
  attach(id: string, options: StreamOptions): Promise<ContainerStreams>
  /** A connection to a port inside the sandbox; rejects when nobody listens there. */
  portForward(sandboxId: string, port: number): Promise<Duplex>

  /** Null when the image is not on this machine. */
  imageStatus(image: string): Promise<ImageStatus | null>
  /** Pulls the image if it is not there. */
  ensureImage(image: string, credentials?: readonly RegistryCredentials[]): Promise<ImageStatus>

  /** What other nodes may have of its images; absent where they are out of reach. */
  readonly content?: ImageContent
  /** Of the containers that run. */
  containerUsage(): Promise<readonly ContainerUsage[]>
  /** Where images are kept at all. */
  readonly images?: {
    list(): Promise<readonly StoredImage[]>
    /** With all its names; what containers stand on stays. */
    remove(id: string): Promise<void>
    /** A directory on the disk that holds them. */
    directory(): Promise<string>
  }
}
