/** A container's config.json, as the OCI runtime specification has it (pure). */
import type { WireResources } from '../cri/cri-messages.ts'
import { MASKED_PATHS, READONLY_PATHS, renderResources } from '../cri/render-cri.ts'
import type { ContainerConfig, Mount, SandboxConfig } from '../runtime.ts'
import { capabilitiesOf } from './capabilities.ts'
import { NAMESPACE_TYPES, ownNamespaces } from './namespaces.ts'
import { sandboxFiles } from './oci-paths.ts'
import { runtimeDefaultProfile, type SeccompSpec } from './seccomp.ts'
import { renderMappings } from './user-namespace.ts'
import type { ContainerUser } from './users.ts'

/** What an image says of the programs in it. */
export interface ImageConfig {
  readonly Env?: readonly string[] | null
  readonly Entrypoint?: readonly string[] | null
  readonly Cmd?: readonly string[] | null
  readonly WorkingDir?: string
  readonly User?: string
  readonly StopSignal?: string
}

export interface HostDevice {
  readonly path: string
  readonly type: 'c' | 'b'
  readonly major: number
  readonly minor: number
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

/** What the machine allows. */
export interface SpecHost {
  readonly capabilities: readonly string[]
  /** The least score for being ended when memory runs out that may be set; undefined for any. */
  readonly oomScoreMin: number | undefined
  readonly memoryBytes: number
  readonly hasUnifiedCgroups: boolean
}

export interface SpecParts {
  readonly config: ContainerConfig
  readonly sandbox: SandboxConfig
  readonly sandboxDirectory: string
  readonly rootfs: string
  readonly image: ImageConfig
  readonly user: ContainerUser
  readonly host: SpecHost
  readonly cgroup: string
  /** Of a container that is privileged. */
  readonly devices: readonly HostDevice[]
  /** Volumes of the pod that are block devices, under their paths in the container. */
  readonly volumeDevices: readonly (HostDevice & { readonly readOnly: boolean })[]
  /** A namespace that all containers of the pod share. */
  readonly pidNamespace: string | undefined
  /** Of `Localhost`, read from its file. */
  readonly localSeccomp: SeccompSpec | undefined
  /** A profile that is loaded. */
  readonly appArmor: string | undefined
}

const PATH_DEFAULT = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

interface SpecMount {
  readonly destination: string
  readonly type: string
  readonly source: string
  readonly options: readonly string[]
}

export function renderSpec(parts: SpecParts) {
  const { config, rootfs, host, cgroup, volumeDevices } = parts
  const { security } = config
  const privileged = security.privileged === true
  const isUnmasked = privileged || security.unmaskedProc === true
  const qosClass = parts.sandbox.isolation?.qosClass ?? 'BestEffort'
  const resources = renderResources(config, { hostMemoryBytes: host.memoryBytes, qosClass })
  const capabilities = capabilitiesOf({
    privileged,
    add: security.addCapabilities ?? [],
    drop: security.dropCapabilities ?? [],
    host: host.capabilities,
  })
  const seccomp = seccompOf(parts, capabilities)
  const devices = [...(privileged ? parts.devices : []), ...volumeDevices]
  return {
    ociVersion: '1.0.2',
    process: renderProcess(parts, { capabilities, oomScore: resources.oomScoreAdj }),
    root: { path: rootfs, readonly: security.readOnlyRootFilesystem === true },
    mounts: renderMounts(parts),
    linux: {
      namespaces: renderNamespaces(parts),
      ...renderMappings(parts.sandbox.isolation?.userRange),
      cgroupsPath: cgroup,
      resources: renderLimits(resources, { privileged, volumeDevices }),
      maskedPaths: isUnmasked ? [] : MASKED_PATHS,
      readonlyPaths: isUnmasked ? [] : READONLY_PATHS,
      rootfsPropagation: rootPropagation(config.mounts),
      ...(devices.length > 0 ? { devices: devices.map(renderDevice) } : {}),
      ...(seccomp === undefined ? {} : { seccomp }),
    },
  }
}

function renderProcess(
  { config, image, user, host, appArmor }: SpecParts,
  { capabilities, oomScore }: { capabilities: readonly string[]; oomScore: number },
) {
  const isRoot = user.uid === 0
  // Whoever is not root holds them only as the bound of what its programs may get.
  const held = isRoot ? capabilities : []
  return {
    terminal: config.tty === true,
    user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
    args: commandOf(config, image),
    env: environmentOf(config, image),
    cwd: config.workingDir || image.WorkingDir || '/',
    capabilities: { bounding: capabilities, effective: held, permitted: held },
    ...(appArmor === undefined ? {} : { apparmorProfile: appArmor }),
    noNewPrivileges: config.security.noNewPrivileges === true,
    oomScoreAdj: Math.max(oomScore, host.oomScoreMin ?? oomScore),
  }
}

/** A command of the pod stands for the image's arguments too. */
export function commandOf(config: Pick<ContainerConfig, 'command' | 'args'>, image: ImageConfig): string[] {
  const { command, args } = config
  const head = command.length > 0 ? command : (image.Entrypoint ?? [])
  const tail = args.length > 0 || command.length > 0 ? args : (image.Cmd ?? [])
  return [...head, ...tail]
}

function environmentOf({ env, tty }: ContainerConfig, image: ImageConfig): string[] {
  const own = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  const all = new Map<string, string>()
  const usual = [PATH_DEFAULT, ...(tty === true ? ['TERM=xterm'] : [])]
  for (const entry of [...usual, ...(image.Env ?? []), ...own]) all.set(entry.split('=')[0] ?? '', entry)
  return [...all.values()]
}

function renderNamespaces({ sandbox, sandboxDirectory, pidNamespace, host, config }: SpecParts): object[] {
  const files = sandboxFiles(sandboxDirectory)
  const hostPid = sandbox.isolation?.sharing.hostPid === true
  const ownPid = pidNamespace === undefined ? { type: 'pid' } : { type: 'pid', path: pidNamespace }
  const ownCgroups = host.hasUnifiedCgroups && config.security.privileged !== true
  return [
    { type: 'mount' },
    ...(hostPid ? [] : [ownPid]),
    ...ownNamespaces(sandbox).map(name => ({ type: NAMESPACE_TYPES[name], path: files[name] })),
    ...(ownCgroups ? [{ type: 'cgroup' }] : []),
  ]
}

function renderMounts({ config, sandbox, sandboxDirectory }: SpecParts): SpecMount[] {
  const files = sandboxFiles(sandboxDirectory)
  const rights = config.security.privileged === true ? 'rw' : 'ro'
  const tight = ['nosuid', 'noexec', 'nodev']
  const hostIpc = sandbox.isolation?.sharing.hostIpc === true
  const bind = (destination: string, source: string): SpecMount => ({
    ...{ destination, source, type: 'bind' },
    options: ['rbind', 'rprivate', 'rw'],
  })
  const usual: SpecMount[] = [
    { destination: '/proc', type: 'proc', source: 'proc', options: tight },
    {
      ...{ destination: '/dev', type: 'tmpfs', source: 'tmpfs' },
      options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
    },
    {
      ...{ destination: '/dev/pts', type: 'devpts', source: 'devpts' },
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
    },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: tight },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...tight, rights] },
    {
      destination: '/sys/fs/cgroup',
      type: 'cgroup',
      source: 'cgroup',
      options: [...tight, 'relatime', rights],
    },
    bind('/dev/shm', hostIpc ? '/dev/shm' : files.shm),
    bind('/etc/hostname', files.hostname),
    bind('/etc/resolv.conf', files.resolver),
  ]
  const own = new Set(config.mounts.map(({ containerPath }) => normal(containerPath)))
  const wanted = config.mounts.map(mount => ({
    ...{ destination: normal(mount.containerPath), source: mount.hostPath, type: 'bind' },
    options: [
      'rbind',
      PROPAGATIONS[mount.propagation ?? 'None'],
      rightsOf(mount),
      ...(mount.image ? ['noexec'] : []),
    ],
  }))
  return [
    ...usual.filter(({ destination }) => !own.has(destination)),
    ...wanted.sort((a, b) => depth(a.destination) - depth(b.destination)),
  ]
}

const rightsOf = ({ readOnly, recursiveReadOnly }: Mount): string =>
  recursiveReadOnly ? 'rro' : readOnly ? 'ro' : 'rw'
const PROPAGATIONS = { None: 'rprivate', HostToContainer: 'rslave', Bidirectional: 'rshared' } as const
const normal = (path: string): string => `/${path.split('/').filter(Boolean).join('/')}`
const depth = (path: string): number => path.split('/').length

function rootPropagation(mounts: readonly Mount[]): string {
  const has = (wanted: Mount['propagation']) => mounts.some(({ propagation }) => propagation === wanted)
  return has('Bidirectional') ? 'rshared' : has('HostToContainer') ? 'rslave' : 'rprivate'
}

function renderLimits(
  resources: WireResources,
  { privileged, volumeDevices }: { privileged: boolean; volumeDevices: SpecParts['volumeDevices'] },
) {
  const { cpuShares, cpuPeriod, cpuQuota, memoryLimitInBytes: limit, hugepageLimits } = resources
  const { cpusetCpus: cpus } = resources
  return {
    devices: [
      { allow: privileged, access: 'rwm' },
      ...volumeDevices.map(({ type, major, minor, readOnly }) => ({
        ...{ allow: true, type, major, minor, access: readOnly ? 'r' : 'rwm' },
      })),
    ],
    cpu: {
      shares: cpuShares,
      ...(cpuQuota === undefined ? {} : { quota: cpuQuota, period: cpuPeriod }),
      ...(cpus === undefined ? {} : { cpus }),
    },
    // Swap would make a limit of memory none.
    ...(limit === undefined ? {} : { memory: { limit } }),
    ...(hugepageLimits === undefined ? {} : { hugepageLimits }),
  }
}

function renderDevice({ path, type, major, minor, mode, uid, gid }: HostDevice) {
  return { path, type, major, minor, fileMode: mode & 0o777, uid, gid }
}

function seccompOf(
  { config, localSeccomp }: SpecParts,
  capabilities: readonly string[],
): SeccompSpec | undefined {
  const { seccomp, privileged } = config.security
  if (privileged === true || seccomp === undefined || seccomp.type === 'Unconfined') return undefined
  return seccomp.type === 'RuntimeDefault' ? runtimeDefaultProfile(capabilities) : localSeccomp
}
