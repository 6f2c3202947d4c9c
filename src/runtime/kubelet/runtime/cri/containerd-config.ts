/** The configuration of the containerd and of the pod network that mk8s runs by itself (pure). */
import { join } from 'node:path'

export interface ContainerdPaths {
  /** `<data-dir>/containerd` */
  readonly directory: string
  readonly socket: string
  readonly config: string
  readonly log: string
  readonly pid: string
  /** Content and snapshots. */
  readonly root: string
  /** Of running containers; worthless after a reboot. */
  readonly state: string
  readonly cniConfig: string
  readonly registries: string
}

export function containerdPaths(dataDir: string): ContainerdPaths {
  const directory = join(dataDir, 'containerd')
  return {
    directory,
    // Short, since the path of a unix socket is.
    socket: join(dataDir, 'run', 'containerd.sock'),
    config: join(directory, 'config.toml'),
    log: join(directory, 'containerd.log'),
    pid: join(directory, 'pid'),
    root: join(directory, 'root'),
    state: join(directory, 'state'),
    cniConfig: join(directory, 'cni'),
    registries: join(directory, 'certs.d'),
  }
}

export interface ContainerdFacts {
  /** Directory of the CNI plugins. */
  readonly cniPlugins: string
  readonly runc: string
  /** This process may not lower the kernel's score for ending processes: no CAP_SYS_RESOURCE. */
  readonly mayNotLowerOomScore: boolean
  readonly hasAppArmor: boolean
  /** The hugetlb controller is there to be used. */
  readonly hasHugetlb: boolean
  readonly hasOverlay: boolean
  readonly sandboxImage: string
}

/** TOML's basic strings are JSON's. */
const text = (value: string) => JSON.stringify(value)

export function renderContainerdConfig(paths: ContainerdPaths, facts: ContainerdFacts): string {
  const cri = 'plugins."io.containerd.grpc.v1.cri"'
  return `# Written by mk8s at each start.
version = 2
root = ${text(paths.root)}
state = ${text(paths.state)}

[grpc]
  address = ${text(paths.socket)}

[plugins."io.containerd.internal.v1.opt"]
  path = ${text(join(paths.directory, 'opt'))}

[${cri}]
  sandbox_image = ${text(facts.sandboxImage)}
  restrict_oom_score_adj = ${facts.mayNotLowerOomScore}
  disable_apparmor = ${!facts.hasAppArmor}
  disable_hugetlb_controller = ${!facts.hasHugetlb}
  tolerate_missing_hugetlb_controller = true
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  stats_collect_period = 1
  max_container_log_line_size = 16384
  enable_cdi = true

[${cri}.cni]
  bin_dir = ${text(facts.cniPlugins)}
  conf_dir = ${text(paths.cniConfig)}

[${cri}.registry]
  config_path = ${text(paths.registries)}

[${cri}.containerd]
  default_runtime_name = "runc"
  snapshotter = ${text(facts.hasOverlay ? 'overlayfs' : 'native')}

[${cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[${cri}.containerd.runtimes.runc.options]
  BinaryName = ${text(facts.runc)}
  SystemdCgroup = false
`
}
