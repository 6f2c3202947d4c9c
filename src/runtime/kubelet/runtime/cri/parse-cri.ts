/** What a CRI runtime reports, as the kubelet's statuses (pure). */
import type {
  ContainerState,
  ContainerStatus,
  ImageStatus,
  SandboxConfig,
  SandboxNetwork,
  SandboxStatus,
} from '../runtime.ts'
import type { ContainerUsage, StoredImage } from '../usage.ts'
import type { RuntimeCondition } from './cri-client.ts'
import type {
  WireContainerStats,
  WireContainerStatus,
  WireImage,
  WireSandbox,
  WireSandboxStatus,
} from './cri-messages.ts'
import type { CdiSupport } from './render-cri.ts'
import { CONFIG_ANNOTATION, OWN_PREFIX, POD_UID_LABEL, SANDBOX_ID_LABEL } from './render-cri.ts'

const STATES: Readonly<Record<WireContainerStatus['state'], ContainerState>> = {
  CONTAINER_CREATED: 'created',
  CONTAINER_RUNNING: 'running',
  CONTAINER_EXITED: 'exited',
  CONTAINER_UNKNOWN: 'unknown',
}

const toMs = (nanoseconds: number) => Math.floor(nanoseconds / 1e6)

export function parseSandbox(sandbox: WireSandbox, addresses: readonly string[]): SandboxStatus {
  const { name, namespace, uid, attempt } = sandbox.metadata
  return {
    id: sandbox.id,
    metadata: { name, namespace, uid, attempt },
    state: sandbox.state === 'SANDBOX_READY' ? 'ready' : 'not-ready',
    createdAt: toMs(sandbox.createdAt),
    addresses,
  }
}

export function parseAddresses({ network }: WireSandboxStatus): readonly string[] {
  const all = [network?.ip ?? '', ...(network?.additionalIps ?? []).map(({ ip }) => ip)]
  return all.filter(address => address !== '')
}

/** The configuration a sandbox was made with; null for one that is not ours. */
export function parseSandboxConfig(status: WireSandboxStatus): SandboxConfig | null {
  const text = status.annotations[CONFIG_ANNOTATION]
  if (text === undefined) return null
  const { name, namespace, uid, attempt } = status.metadata
  return {
    ...(JSON.parse(text) as Omit<SandboxConfig, 'metadata' | 'labels' | 'annotations'>),
    metadata: { name, namespace, uid, attempt },
    labels: withoutOurs(status.labels),
    annotations: withoutOurs(status.annotations),
  }
}

interface SandboxInfo {
  readonly runtimeSpec?: {
    readonly linux?: { readonly namespaces?: readonly { type: string; path?: string }[] }
  }
  readonly cniResult?: {
    readonly Interfaces?: Readonly<
      Record<
        string,
        { IPConfigs?: { IP: string; Gateway?: string }[] | null; Mac?: string; Sandbox?: string }
      >
    >
  } | null
}

/** What containerd and CRI-O tell beyond the protocol; null of a sandbox without a network namespace of its own. */
export function parseSandboxNetwork(info: Readonly<Record<string, string>>): SandboxNetwork | null {
  const { runtimeSpec, cniResult } = JSON.parse(info['info'] ?? '{}') as SandboxInfo
  const spaces = runtimeSpec?.linux?.namespaces ?? []
  const netns = spaces.find(({ type }) => type === 'network')?.path ?? ''
  if (netns === '') return null
  const inside = Object.entries(cniResult?.Interfaces ?? {}).filter(
    ([name, { Sandbox = '' }]) => name !== 'lo' && Sandbox !== '',
  )
  const interfaces = inside.map(([name, { IPConfigs, Mac = '' }]) => ({
    ...{ name, mac: Mac },
    addresses: (IPConfigs ?? []).map(({ IP }) => IP),
    gateways: (IPConfigs ?? []).flatMap(({ Gateway = '' }) => (Gateway === '' ? [] : [Gateway])),
  }))
  return { netns, interfaces, dns: {} }
}

export function parseContainer(status: WireContainerStatus): ContainerStatus {
  const user = status.user?.linux
  return {
    id: status.id,
    sandboxId: status.labels[SANDBOX_ID_LABEL] ?? '',
    podUid: status.labels[POD_UID_LABEL] ?? '',
    name: status.metadata.name,
    attempt: status.metadata.attempt,
    state: STATES[status.state],
    createdAt: toMs(status.createdAt),
    startedAt: toMs(status.startedAt),
    finishedAt: toMs(status.finishedAt),
    exitCode: status.exitCode,
    signal: 0,
    reason: status.reason,
    message: status.message,
    image: status.image?.image ?? '',
    imageId: status.imageRef,
    logPath: status.logPath,
    labels: withoutOurs(status.labels),
    annotations: withoutOurs(status.annotations),
    ...(user ? { user: { uid: user.uid, gid: user.gid, groups: user.supplementalGroups } } : {}),
  }
}

/** The first versions of runtimes that can mount images, which no answer of theirs tells. */
const MOUNT_IMAGES_SINCE: Readonly<Record<string, Version>> = {
  containerd: [2, 1],
  'cri-o': [1, 31],
}

export const canMountImages = (name: string, version: string): boolean =>
  isSince(version, MOUNT_IMAGES_SINCE[name])

/** Likewise: whether they read annotations, or the field of their own that came later. */
const CDI_SINCE: Readonly<Record<string, { readonly annotations: Version; readonly field: Version }>> = {
  containerd: { annotations: [1, 7], field: [2, 0] },
  'cri-o': { annotations: [1, 23], field: [1, 27] },
}

/** A runtime that nobody knows is taken to know the protocol. */
export function cdiSupportOf(name: string, version: string): CdiSupport {
  const since = CDI_SINCE[name]
  if (since === undefined || isSince(version, since.field)) return 'field'
  return isSince(version, since.annotations) ? 'annotations' : 'none'
}

type Version = readonly [major: number, minor: number]

function isSince(version: string, since: Version | undefined): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return since !== undefined && (major > since[0] || (major === since[0] && minor >= since[1]))
}

export function parseImage(image: string, found: WireImage): ImageStatus {
  const uid = found.uid?.value ?? null
  return {
    image,
    imageId: found.repoDigests[0] ?? found.id,
    user: { uid, name: found.username },
    sizeBytes: found.size,
  }
}

export function parseUsage({ attributes, cpu, memory, writableLayer }: WireContainerStats): ContainerUsage {
  return {
    id: attributes?.id ?? '',
    timeMs: toMs(cpu?.timestamp ?? 0),
    cpuNanos: cpu?.usageCoreNanoSeconds?.value ?? 0,
    workingSetBytes: memory?.workingSetBytes?.value ?? 0,
    usageBytes: memory?.usageBytes?.value || (memory?.workingSetBytes?.value ?? 0),
    rssBytes: memory?.rssBytes?.value ?? 0,
    pageFaults: memory?.pageFaults?.value ?? 0,
    majorPageFaults: memory?.majorPageFaults?.value ?? 0,
    processes: 0,
    writable: {
      bytes: writableLayer?.usedBytes?.value ?? 0,
      inodes: writableLayer?.inodesUsed?.value ?? 0,
    },
  }
}

/** Of our own containerd; no registry has it. */
const SANDBOX_IMAGE = /^localhost\/mk8s\/pause[:@]/

/** What every sandbox is made of stays, although containerd before 1.7 does not say that it is pinned. */
export function parseStoredImage({ id, repoTags, repoDigests, size, pinned }: WireImage): StoredImage {
  const names = [...repoTags, ...repoDigests]
  const isPinned = pinned || names.some(name => SANDBOX_IMAGE.test(name))
  return { id, names, sizeBytes: size, isPinned }
}

function withoutOurs(values: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).filter(([key]) => !key.startsWith(OWN_PREFIX)))
}

/** What a kubelet says of a runtime that answers and is not ready; empty when it is. */
export function conditionProblem(conditions: readonly RuntimeCondition[]): string {
  const told = (type: string, head: string) => {
    const found = conditions.find(condition => condition.type === type)
    if (found?.status === true) return []
    const { reason = '', message = '' } = found ?? {}
    return [`${head} not ready: ${type}=false reason:${reason} message:${message}`]
  }
  const problems = [
    ...told('RuntimeReady', 'container runtime'),
    ...told('NetworkReady', 'container runtime network'),
  ]
  return problems.length > 1 ? `[${problems.join(', ')}]` : (problems[0] ?? '')
}
