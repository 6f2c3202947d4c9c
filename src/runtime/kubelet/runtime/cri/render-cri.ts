/** The kubelet's sandboxes and containers as CRI messages (pure). */

import type { QosClass } from '../../../../kube/qos.ts'
import { annotateDevices } from '../cdi/cdi-names.ts'
import { cpuQuota, cpuShares } from '../cgroup-limits.ts'
import { podCgroup } from '../pod-groups.ts'
import type {
  ContainerConfig,
  ContainerSecurity,
  IdRange,
  SandboxConfig,
  SandboxIsolation,
  SeccompProfile,
} from '../runtime.ts'
import type {
  WireContainerConfig,
  WireIdMapping,
  WireNamespaces,
  WireResources,
  WireSandboxConfig,
  WireSeccomp,
} from './cri-messages.ts'

/** Labels and annotations of ours, which no caller sees. */
export const OWN_PREFIX = 'mk8s.io/'
export const POD_UID_LABEL = `${OWN_PREFIX}pod-uid`
/** Whose pod it is, where several nodes share a runtime. */
export const NODE_LABEL = `${OWN_PREFIX}node`
export const SANDBOX_ID_LABEL = `${OWN_PREFIX}sandbox-id`
/** The whole configuration, which a later daemon needs to add containers. */
export const CONFIG_ANNOTATION = `${OWN_PREFIX}sandbox-config`

export const MASKED_PATHS = [
  '/proc/asound',
  '/proc/acpi',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
]
export const READONLY_PATHS = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger']

const NOTHING_SHARED: SandboxIsolation = {
  hostPorts: [],
  qosClass: 'BestEffort',
  sharing: { hostPid: false, hostIpc: false, processes: false },
  privileged: false,
  sysctls: {},
}

export function renderSandboxConfig(config: SandboxConfig, nodeId: string): WireSandboxConfig {
  const isolation = config.isolation ?? NOTHING_SHARED
  const { metadata, labels, annotations, ...rest } = config
  return {
    metadata,
    // The host's network brings the host's name, and a name of its own is refused.
    hostname: config.hostNetwork ? '' : config.hostname,
    logDirectory: config.logDirectory,
    ...(isolation.dns === undefined ? {} : { dnsConfig: isolation.dns }),
    portMappings: config.hostNetwork ? [] : isolation.hostPorts,
    labels: { ...labels, [POD_UID_LABEL]: metadata.uid, [NODE_LABEL]: nodeId },
    annotations: { ...annotations, [CONFIG_ANNOTATION]: JSON.stringify(rest) },
    linux: {
      cgroupParent: podCgroup(nodeId, metadata.uid, isolation.qosClass),
      securityContext: {
        namespaceOptions: renderNamespaces(config, isolation),
        privileged: isolation.privileged,
        seccomp: { profileType: isolation.privileged ? 'Unconfined' : 'RuntimeDefault' },
      },
      sysctls: isolation.sysctls,
    },
  }
}

function containerNamespaces(
  { targetId }: ContainerConfig,
  sandbox: SandboxConfig,
  isolation: SandboxIsolation,
): WireNamespaces {
  const own = renderNamespaces(sandbox, isolation)
  return targetId === undefined || own.pid !== 'CONTAINER' ? own : { ...own, pid: 'TARGET', targetId }
}

function renderNamespaces(config: SandboxConfig, { sharing, userRange }: SandboxIsolation): WireNamespaces {
  const mapping = mappingsOf(userRange)
  return {
    network: config.hostNetwork ? 'NODE' : 'POD',
    pid: sharing.hostPid ? 'NODE' : sharing.processes ? 'POD' : 'CONTAINER',
    ipc: sharing.hostIpc ? 'NODE' : 'POD',
    ...(userRange === undefined ? {} : { usernsOptions: { mode: 'POD', uids: mapping, gids: mapping } }),
  }
}

const mappingsOf = (range: IdRange | undefined): WireIdMapping[] =>
  range === undefined ? [] : [{ hostId: range.first, containerId: 0, length: range.count }]

export interface ContainerPlace {
  readonly sandboxId: string
  readonly nodeId: string
  readonly sandbox: SandboxConfig
  readonly hostMemoryBytes: number
  readonly cdi: CdiSupport
}

export function renderContainerConfig(config: ContainerConfig, place: ContainerPlace): WireContainerConfig {
  const { sandbox, sandboxId, nodeId, hostMemoryBytes, cdi } = place
  const { cdiDevices = [] } = config
  const isolation = sandbox.isolation ?? NOTHING_SHARED
  const mapping = mappingsOf(isolation.userRange)
  return {
    metadata: { name: config.name, attempt: config.attempt },
    image: { image: config.image },
    command: config.command,
    args: config.args,
    workingDir: config.workingDir,
    envs: Object.entries(config.env).map(([key, value]) => ({ key, value })),
    mounts: config.mounts.map(mount => ({
      containerPath: mount.containerPath,
      hostPath: mount.hostPath,
      readonly: mount.readOnly,
      propagation: PROPAGATIONS[mount.propagation ?? 'None'],
      ...(mount.recursiveReadOnly === true ? { recursiveReadOnly: true } : {}),
      ...(mount.image === undefined ? {} : imageOf(mount.image)),
      ...(mapping.length > 0 ? { uidMappings: mapping, gidMappings: mapping } : {}),
    })),
    devices: (config.devices ?? []).map(({ containerPath, hostPath, readOnly }) => ({
      ...{ containerPath, hostPath },
      permissions: readOnly ? 'r' : 'mrw',
    })),
    CDIDevices: cdi === 'field' ? cdiDevices.map(name => ({ name })) : [],
    labels: {
      ...config.labels,
      [POD_UID_LABEL]: sandbox.metadata.uid,
      [NODE_LABEL]: nodeId,
      [SANDBOX_ID_LABEL]: sandboxId,
    },
    annotations: { ...config.annotations, ...(cdi === 'annotations' ? annotateDevices(cdiDevices) : {}) },
    logPath: config.logPath,
    stdin: config.stdin ?? false,
    stdinOnce: config.stdinOnce ?? false,
    tty: config.tty ?? false,
    linux: {
      resources: renderResources(config, { hostMemoryBytes, qosClass: isolation.qosClass }),
      securityContext: renderSecurity(config.security, containerNamespaces(config, sandbox, isolation)),
    },
  }
}

/** How a runtime is told of CDI devices. */
export type CdiSupport = 'none' | 'annotations' | 'field'

const imageOf = ({ reference, subPath }: { reference: string; subPath: string }) => ({
  image: { image: reference },
  imageSubPath: subPath,
})

const PROPAGATIONS = {
  None: 'PROPAGATION_PRIVATE',
  HostToContainer: 'PROPAGATION_HOST_TO_CONTAINER',
  Bidirectional: 'PROPAGATION_BIDIRECTIONAL',
} as const

function renderSecurity(
  security: ContainerSecurity,
  namespaceOptions: WireNamespaces,
): WireContainerConfig['linux']['securityContext'] {
  const privileged = security.privileged ?? false
  const isUnmasked = privileged || security.unmaskedProc === true
  const { runAsUser, runAsGroup } = security
  return {
    capabilities: {
      addCapabilities: security.addCapabilities ?? [],
      dropCapabilities: security.dropCapabilities ?? [],
    },
    privileged,
    namespaceOptions,
    ...(runAsUser === undefined ? {} : { runAsUser: { value: runAsUser } }),
    ...(runAsGroup === undefined || runAsUser === undefined ? {} : { runAsGroup: { value: runAsGroup } }),
    readonlyRootfs: security.readOnlyRootFilesystem ?? false,
    supplementalGroups: security.supplementalGroups ?? [],
    supplementalGroupsPolicy: security.strictGroups === true ? 'Strict' : 'Merge',
    noNewPrivs: security.noNewPrivileges ?? false,
    maskedPaths: isUnmasked ? [] : MASKED_PATHS,
    readonlyPaths: isUnmasked ? [] : READONLY_PATHS,
    seccomp: renderSeccomp(privileged ? undefined : security.seccomp),
    ...appArmorOf(security),
  }
}

function appArmorOf({ appArmor }: ContainerSecurity): { apparmor?: WireSeccomp } {
  if (appArmor === undefined) return {}
  const { type: profileType, name } = appArmor
  return { apparmor: { profileType, ...(name === undefined ? {} : { localhostRef: name }) } }
}

function renderSeccomp(profile: SeccompProfile | undefined): WireSeccomp {
  if (profile === undefined) return { profileType: 'Unconfined' }
  return { profileType: profile.type, ...(profile.path === undefined ? {} : { localhostRef: profile.path }) }
}

export function renderResources(
  { resources = {} }: Pick<ContainerConfig, 'resources'>,
  host: { readonly hostMemoryBytes: number; readonly qosClass: QosClass },
): WireResources {
  const { cpuRequestMillis, cpuLimitMillis, memoryRequestBytes, memoryLimitBytes } = resources
  const quota = cpuQuota(cpuLimitMillis)
  const pages = Object.entries(resources.hugepages ?? {})
  return {
    cpuShares: cpuShares(cpuRequestMillis ?? cpuLimitMillis ?? 0),
    ...(quota === undefined ? {} : { cpuPeriod: quota.period, cpuQuota: quota.quota }),
    ...(resources.cpus === undefined ? {} : { cpusetCpus: resources.cpus }),
    ...(pages.length > 0 ? { hugepageLimits: pages.map(([pageSize, limit]) => ({ pageSize, limit })) } : {}),
    ...(memoryLimitBytes ? { memoryLimitInBytes: memoryLimitBytes } : {}),
    oomScoreAdj: oomScore(host.qosClass, memoryRequestBytes ?? 0, host.hostMemoryBytes),
  }
}

/** Whom the kernel ends first when memory runs out: what asked for nothing, then what asked for least. */
function oomScore(qosClass: QosClass, requestBytes: number, hostBytes: number): number {
  if (qosClass === 'Guaranteed') return -997
  if (qosClass === 'BestEffort') return 1_000
  const score = 1_000 - Math.floor((1_000 * requestBytes) / hostBytes)
  return Math.min(Math.max(score, 3), 999)
}
