/** The messages of `cri-proto.ts` as this program sees them: what may be left out when sending, what comes back. */

export interface WireMetadata {
  readonly name: string
  readonly namespace: string
  readonly uid: string
  readonly attempt: number
}

export interface WireSandbox {
  readonly id: string
  readonly metadata: WireMetadata
  readonly state: 'SANDBOX_READY' | 'SANDBOX_NOTREADY'
  /** Nanoseconds. */
  readonly createdAt: number
  readonly labels: Readonly<Record<string, string>>
}

export interface WireSandboxStatus extends WireSandbox {
  readonly network: { readonly ip: string; readonly additionalIps: readonly { readonly ip: string }[] } | null
  readonly annotations: Readonly<Record<string, string>>
}

export interface WireContainer {
  readonly id: string
  readonly podSandboxId: string
}

export interface WireContainerStatus {
  readonly id: string
  readonly metadata: { readonly name: string; readonly attempt: number }
  readonly state: 'CONTAINER_CREATED' | 'CONTAINER_RUNNING' | 'CONTAINER_EXITED' | 'CONTAINER_UNKNOWN'
  readonly createdAt: number
  readonly startedAt: number
  readonly finishedAt: number
  readonly exitCode: number
  readonly image: { readonly image: string } | null
  readonly imageRef: string
  readonly reason: string
  readonly message: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly logPath: string
  readonly user: { readonly linux: WireUser | null } | null
}

interface WireUser {
  readonly uid: number
  readonly gid: number
  readonly supplementalGroups: readonly number[]
}

export interface WireImage {
  readonly id: string
  readonly repoTags: readonly string[]
  readonly repoDigests: readonly string[]
  readonly size: number
  readonly uid: { readonly value: number } | null
  readonly username: string
  readonly pinned: boolean
}

export interface WireFilesystemUsage {
  readonly fsId: { readonly mountpoint: string } | null
  readonly usedBytes: Int64 | null
  readonly inodesUsed: Int64 | null
}

export interface WireContainerStats {
  readonly attributes: { readonly id: string } | null
  readonly cpu: { readonly timestamp: number; readonly usageCoreNanoSeconds: Int64 | null } | null
  readonly memory: {
    readonly workingSetBytes: Int64 | null
    readonly usageBytes: Int64 | null
    readonly rssBytes: Int64 | null
    readonly pageFaults: Int64 | null
    readonly majorPageFaults: Int64 | null
  } | null
  readonly writableLayer: WireFilesystemUsage | null
}

interface Int64 {
  readonly value: number
}

export interface WireNamespaces {
  readonly network: 'POD' | 'NODE'
  readonly pid: 'POD' | 'CONTAINER' | 'NODE' | 'TARGET'
  readonly targetId?: string
  readonly ipc: 'POD' | 'NODE'
  /** The runtime's own choice is the machine's users. */
  readonly usernsOptions?: {
    readonly mode: 'POD'
    readonly uids: readonly WireIdMapping[]
    readonly gids: readonly WireIdMapping[]
  }
}

export interface WireIdMapping {
  readonly hostId: number
  readonly containerId: number
  readonly length: number
}

export interface WireSeccomp {
  readonly profileType: 'RuntimeDefault' | 'Unconfined' | 'Localhost'
  readonly localhostRef?: string
}

export interface WireSandboxConfig {
  readonly metadata: WireMetadata
  readonly hostname: string
  readonly logDirectory: string
  readonly dnsConfig?: {
    readonly servers: readonly string[]
    readonly searches: readonly string[]
    readonly options: readonly string[]
  }
  readonly portMappings: readonly {
    readonly protocol: string
    readonly containerPort: number
    readonly hostPort: number
    readonly hostIp: string
  }[]
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly linux: {
    readonly cgroupParent: string
    readonly securityContext: {
      readonly namespaceOptions: WireNamespaces
      readonly privileged: boolean
      readonly seccomp: WireSeccomp
    }
    readonly sysctls: Readonly<Record<string, string>>
  }
}

export interface WireResources {
  readonly cpuPeriod?: number
  readonly cpuQuota?: number
  readonly cpuShares: number
  readonly cpusetCpus?: string
  readonly memoryLimitInBytes?: number
  readonly oomScoreAdj: number
  readonly hugepageLimits?: readonly { readonly pageSize: string; readonly limit: number }[]
}

export interface WireContainerConfig {
  readonly metadata: { readonly name: string; readonly attempt: number }
  readonly image: { readonly image: string }
  readonly command: readonly string[]
  readonly args: readonly string[]
  readonly workingDir: string
  readonly envs: readonly { readonly key: string; readonly value: string }[]
  readonly mounts: readonly {
    readonly containerPath: string
    readonly hostPath: string
    readonly readonly: boolean
    readonly propagation: string
    readonly recursiveReadOnly?: boolean
    readonly uidMappings?: readonly WireIdMapping[]
    readonly gidMappings?: readonly WireIdMapping[]
    readonly image?: { readonly image: string }
    readonly imageSubPath?: string
  }[]
  readonly devices: readonly {
    readonly containerPath: string
    readonly hostPath: string
    readonly permissions: string
  }[]
  readonly CDIDevices: readonly { readonly name: string }[]
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly logPath: string
  readonly stdin: boolean
  readonly stdinOnce: boolean
  readonly tty: boolean
  readonly linux: {
    readonly resources: WireResources
    readonly securityContext: {
      readonly capabilities: {
        readonly addCapabilities: readonly string[]
        readonly dropCapabilities: readonly string[]
      }
      readonly privileged: boolean
      readonly namespaceOptions: WireNamespaces
      readonly runAsUser?: Int64
      readonly runAsGroup?: Int64
      readonly readonlyRootfs: boolean
      readonly supplementalGroups: readonly number[]
      readonly supplementalGroupsPolicy: 'Merge' | 'Strict'
      readonly noNewPrivs: boolean
      readonly maskedPaths: readonly string[]
      readonly readonlyPaths: readonly string[]
      readonly seccomp: WireSeccomp
      readonly apparmor?: WireSeccomp
    }
  }
}
