/** Where the oci runtime keeps what it has to know, and what it makes (pure). */
import { join } from 'node:path'

export interface OciPaths {
  readonly directory: string
  /** By sandbox: its record, its namespaces as files, its resolver. */
  readonly sandboxes: string
  /** By container: its record, its bundle, the layer that it writes to. */
  readonly containers: string
  /** A file per container that has ended, with its exit code; conmon writes them. */
  readonly exits: string
  /** What crun or runc remember. */
  readonly state: string
  /** Network configurations, of which the first by name counts. */
  readonly cniConfig: string
  readonly ipam: string
  /** The boot that all of it belongs to. */
  readonly boot: string
  readonly images: string
}

/** Where roots are mounted that users of other numbers have to get to, who may not pass the data directory. */
export const passageOf = (nodeId: string): string => join('/run', `${nodeId}.roots`)

export function ociPaths(dataDir: string): OciPaths {
  const directory = join(dataDir, 'oci')
  return {
    directory,
    sandboxes: join(directory, 'sandboxes'),
    containers: join(directory, 'containers'),
    exits: join(directory, 'exits'),
    state: join(directory, 'state'),
    cniConfig: join(directory, 'cni'),
    ipam: join(directory, 'ipam'),
    boot: join(directory, 'boot'),
    images: join(dataDir, 'images'),
  }
}

/** What lies in a sandbox's directory. */
export function sandboxFiles(directory: string) {
  return {
    user: join(directory, 'user'),
    net: join(directory, 'net'),
    ipc: join(directory, 'ipc'),
    uts: join(directory, 'uts'),
    shm: join(directory, 'shm'),
    resolver: join(directory, 'resolv.conf'),
    hostname: join(directory, 'hostname'),
  }
}

/** What lies in a container's directory, which is its bundle too. */
export function containerFiles(directory: string) {
  return {
    spec: join(directory, 'config.json'),
    rootfs: join(directory, 'rootfs'),
    upper: join(directory, 'upper'),
    /** Layers and volumes as a user namespace sees them. */
    mapped: join(directory, 'mapped'),
    work: join(directory, 'work'),
    pid: join(directory, 'pid'),
    conmonPid: join(directory, 'conmon.pid'),
    /** There when the kernel ended something in it for want of memory. */
    oom: join(directory, 'oom'),
    /** Takes orders to conmon. */
    control: join(directory, 'ctl'),
    execs: join(directory, 'execs'),
  }
}
