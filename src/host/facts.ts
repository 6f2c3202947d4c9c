/** Collects what preflight decides on: facts about this machine, without changing anything. */
import { accessSync, constants, existsSync, readdirSync, statfsSync } from 'node:fs'
import { hostname, networkInterfaces, release, totalmem } from 'node:os'
import { dirname } from 'node:path'
import type { Clock } from '../base/clock.ts'
import { systemCodeOf } from '../base/errors.ts'
import { isLinkLocal } from '../base/link-local.ts'
import {
  CONTAINER_PACKAGES,
  type ContainerFacts,
  containerObstacle,
  missingPrograms,
  type RealRuntime,
} from './container-programs.ts'
import { readOrEmpty } from './files.ts'
import { canInstall } from './packages.ts'
import { type PortFact, probePort } from './port-holder.ts'
import { isAdministrator, type System, system } from './system.ts'

export interface HostFacts {
  readonly system: System
  readonly kernel: string
  readonly isRoot: boolean
  readonly memoryBytes: number
  readonly disk: {
    /** The data directory, or its nearest ancestor that is there. */
    readonly path: string
    readonly freeBytes: number
    readonly freeInodes: number
    /** System error code when it cannot be written, else empty. */
    readonly problem: string
  }
  readonly dataDirEntries: readonly string[]
  readonly wallTimeMs: number
  readonly monotonicAdvances: boolean
  readonly ports: readonly PortFact[]
  readonly kernelFeatures: Readonly<Record<'overlay' | 'namespaces' | 'cgroups', boolean>>
  readonly containers: ContainerFacts
}

export interface FactsWanted {
  readonly dataDir: string
  /** Empty to leave them alone, when it is our own daemon that holds them. */
  readonly ports: readonly { readonly name: string; readonly address: string; readonly port: number }[]
  /** Whether to ask the package manager about containers, which takes a moment; false by default. */
  readonly mayInstall?: boolean
  readonly clock: Clock
}

export async function collectFacts(wanted: FactsWanted): Promise<HostFacts> {
  const begun = wanted.clock.monotonic()
  const ports = await Promise.all(
    wanted.ports.map(({ name, address, port }) => probePort(name, address, port)),
  )
  return {
    system,
    kernel: release(),
    isRoot: isAdministrator(),
    memoryBytes: memoryLimit(),
    disk: diskFacts(nearestExisting(wanted.dataDir)),
    dataDirEntries: entries(wanted.dataDir),
    wallTimeMs: wanted.clock.now(),
    monotonicAdvances: wanted.clock.monotonic() >= begun,
    ports,
    kernelFeatures: {
      overlay: /\boverlay$/m.test(readOrEmpty('/proc/filesystems')),
      namespaces: ['pid', 'net', 'mnt', 'uts', 'ipc'].every(name => existsSync(`/proc/self/ns/${name}`)),
      cgroups: existsSync('/sys/fs/cgroup/cgroup.controllers') || existsSync('/sys/fs/cgroup/memory'),
    },
    containers: await containerFacts(wanted.mayInstall ?? false),
  }
}

/** The package manager is only asked where that matters, since it takes a moment. */
async function containerFacts(mayInstall: boolean): Promise<ContainerFacts> {
  const obstacle = containerObstacle()
  const missing = (name: RealRuntime) => (obstacle === '' ? missingPrograms(name) : [])
  const lacking = { oci: missing('oci'), containerd: missing('containerd') }
  const installable = async (name: RealRuntime) =>
    mayInstall && lacking[name].length > 0 && (await canInstall(CONTAINER_PACKAGES[name]))
  return {
    obstacle,
    missing: lacking,
    installable: { oci: await installable('oci'), containerd: await installable('containerd') },
  }
}

/** What the machine itself suggests for the options that have no fixed default. */
export function machineDefaults(): { nodeName: string; bindAddress: string; bindAddress6?: string } {
  const addresses = Object.values(networkInterfaces()).flatMap(each => each ?? [])
  const usable = addresses.filter(each => !each.internal && !isLinkLocal(each.address))
  const find = (family: string) => usable.find(each => each.family === family)?.address
  const bindAddress6 = find('IPv6')
  return {
    ...{ nodeName: hostname(), bindAddress: find('IPv4') ?? '127.0.0.1' },
    ...(bindAddress6 !== undefined && { bindAddress6 }),
  }
}

/** The machine's memory, or the limit of the control group when that is lower. */
function memoryLimit(): number {
  const limit = Number(readOrEmpty('/sys/fs/cgroup/memory.max'))
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem()
}

function diskFacts(path: string): HostFacts['disk'] {
  try {
    const { bavail, bsize, ffree, files } = statfsSync(path)
    accessSync(path, constants.W_OK)
    // File systems that make inodes as they go report none at all.
    return { path, freeBytes: bavail * bsize, freeInodes: files === 0 ? Infinity : ffree, problem: '' }
  } catch (error) {
    return { path, freeBytes: 0, freeInodes: 0, problem: systemCodeOf(error) ?? 'unknown' }
  }
}

function nearestExisting(path: string): string {
  return existsSync(path) || path === dirname(path) ? path : nearestExisting(dirname(path))
}

function entries(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}
