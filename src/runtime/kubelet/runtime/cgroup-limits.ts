/** Limits of control groups: which files hold them in either version (pure), and writing them (thin). */
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { systemCodeOf } from '../../../base/errors.ts'
import { cgroupTrees } from './cri/pod-cgroups.ts'

const CPU_PERIOD = 100_000
const CPU_QUOTA_MIN = 1_000
const CPU_SHARES_MIN = 2
const CPU_SHARES_MAX = 262_144
const CPU_WEIGHT_MAX = 9_999

/** Shares and quota as the kubelet computes them from millicores. */
export function cpuShares(millis: number): number {
  return Math.min(Math.max(Math.floor((millis * 1_024) / 1_000), CPU_SHARES_MIN), CPU_SHARES_MAX)
}

/** Undefined: no limit. */
export function cpuQuota(millis: number | undefined): { period: number; quota: number } | undefined {
  const quota = Math.floor(((millis ?? 0) * CPU_PERIOD) / 1_000)
  return quota > 0 ? { period: CPU_PERIOD, quota: Math.max(quota, CPU_QUOTA_MIN) } : undefined
}

const cpuWeight = (shares: number): number =>
  1 + Math.floor(((shares - CPU_SHARES_MIN) * CPU_WEIGHT_MAX) / (CPU_SHARES_MAX - CPU_SHARES_MIN))

/** The shares that a weight was made of, as nearly as it tells; 0 for no weight. */
export const sharesOfWeight = (weight: number): number =>
  weight === 0
    ? 0
    : Math.round(CPU_SHARES_MIN + ((weight - 1) * (CPU_SHARES_MAX - CPU_SHARES_MIN)) / CPU_WEIGHT_MAX)

/** Contents by file name; a file that a version does not have is not there. */
export function limitFiles(limits: PodResources, version: 1 | 2): ReadonlyMap<string, string> {
  const { memoryLimitBytes: memory, pidsMax, hugepages = {} } = limits
  const shares = cpuShares(limits.cpuRequestMillis ?? 0)
  const quota = cpuQuota(limits.cpuLimitMillis)
  const pids: [string, string][] = pidsMax === undefined ? [] : [['pids.max', String(pidsMax)]]
  const pages = Object.entries(hugepages).map(([size, bytes]): [string, string] => [
    version === 2 ? `hugetlb.${size}.max` : `hugetlb.${size}.limit_in_bytes`,
    String(bytes),
  ])
  if (version === 2) {
    return new Map([
      ['cpu.weight', String(cpuWeight(shares))],
      ['cpu.max', `${quota?.quota ?? 'max'} ${CPU_PERIOD}`],
      ['memory.max', String(memory ?? 'max')],
      ...[...pids, ...pages],
    ])
  }
  return new Map([
    ['cpu.shares', String(shares)],
    ['cpu.cfs_period_us', String(CPU_PERIOD)],
    ['cpu.cfs_quota_us', String(quota?.quota ?? -1)],
    ['memory.limit_in_bytes', String(memory ?? -1)],
    ...[...pids, ...pages],
  ])
}

/** Controllers whose trees get the groups of pods; a runtime makes the others itself. */
const CONTROLLERS = /^(cpu|memory|pids|hugetlb)\b/

/** Makes the group in every tree that limits something. */
export async function makeGroup(path: string, trees: readonly string[] = cgroupTrees()): Promise<void> {
  for (const tree of trees) {
    if (isUnified(tree)) await delegate(tree, path)
    else if (CONTROLLERS.test(tree.split('/').at(-1) ?? ''))
      await mkdir(join(tree, path), { recursive: true })
  }
}

const isUnified = (tree: string): boolean => existsSync(join(tree, 'cgroup.controllers'))

/** In version 2 each level hands on what the next one may limit; where there is nothing to hand on, none is made. */
async function delegate(tree: string, path: string): Promise<void> {
  const offered = (await readFile(join(tree, 'cgroup.controllers'), 'utf8')).trim().split(/\s+/)
  const wanted = offered.filter(name => CONTROLLERS.test(name)).map(name => `+${name}`)
  if (wanted.length === 0) return
  let parent = tree
  for (const part of path.split('/').filter(Boolean)) {
    await writeFile(join(parent, 'cgroup.subtree_control'), wanted.join(' '))
    parent = join(parent, part)
    await mkdir(parent, { recursive: true })
  }
}

/** What the group has no file for is not limited on this machine. */
export async function writeLimits(
  path: string,
  limits: PodResources,
  trees: readonly string[] = cgroupTrees(),
): Promise<void> {
  for (const tree of trees) {
    const directory = join(tree, path)
    for (const [name, value] of limitFiles(limits, isUnified(tree) ? 2 : 1)) {
      await writeFile(join(directory, name), value, { flag: 'r+' }).catch(error => {
        if (systemCodeOf(error) !== 'ENOENT') throw new Error(`${dirname(path)}: ${name}: ${error}`)
      })
    }
  }
}

/** Where nothing limits processors the group is left as it is. */
export async function writeCpus(
  path: string,
  cpus: string,
  trees: readonly string[] = cgroupTrees(),
): Promise<void> {
  for (const tree of trees) {
    await writeFile(join(tree, path, 'cpuset.cpus'), cpus, { flag: 'r+' }).catch(error => {
      if (systemCodeOf(error) !== 'ENOENT') throw error
    })
  }
}

/** Of a control group that holds a whole pod, or a class of them. Absent values are not limited. */
export interface PodResources {
  readonly cpuRequestMillis?: number | undefined
  readonly cpuLimitMillis?: number | undefined
  readonly memoryLimitBytes?: number | undefined
  readonly pidsMax?: number | undefined
  /** Bytes by the kernel's name of a page size: `2MB`. */
  readonly hugepages?: Readonly<Record<string, number>> | undefined
}
