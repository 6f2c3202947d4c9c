/** Control groups of the process runtime: one for each container, where this machine lets them be made. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf } from '../../../../base/errors.ts'
import { makeGroup, writeLimits } from '../cgroup-limits.ts'
import { cgroupTrees, removePodCgroup } from '../cri/pod-cgroups.ts'
import type { ContainerResources } from '../runtime.ts'

const MILLIS_PER_CPU = 1_000

export class ProcessGroups {
  readonly #root: string
  readonly #trees: readonly string[]

  /** `nodeId`: name of the group that all of this node's lie in. */
  constructor(nodeId: string, trees: readonly string[] = cgroupTrees()) {
    this.#root = join('/', nodeId, 'process')
    this.#trees = trees
  }

  /** Why containers cannot be limited here; empty when they can. */
  async prepare(cpuCount: number): Promise<string> {
    if (process.getuid?.() !== 0) return 'control groups need root'
    try {
      await makeGroup(this.#root, this.#trees)
      // Together they count as much as the processors that they may use.
      await writeLimits(this.#root, { cpuRequestMillis: cpuCount * MILLIS_PER_CPU }, this.#trees)
    } catch (error) {
      return messageOf(error)
    }
    const limits = ['memory.max', 'memory.limit_in_bytes']
    const has = limits.some(name => this.#trees.some(tree => existsSync(join(tree, this.#root, name))))
    return has ? '' : 'this machine has no control groups'
  }

  /** Returns the files whose group a process joins by writing its number. */
  async make(id: string, resources: ContainerResources): Promise<readonly string[]> {
    const path = this.#pathOf(id)
    await makeGroup(path, this.#trees)
    await this.limit(id, resources)
    return this.#trees.map(tree => join(tree, path, 'cgroup.procs')).filter(file => existsSync(file))
  }

  async limit(id: string, resources: ContainerResources): Promise<void> {
    const { cpuRequestMillis, cpuLimitMillis, memoryLimitBytes } = resources
    const limits = { cpuRequestMillis: cpuRequestMillis ?? cpuLimitMillis, cpuLimitMillis, memoryLimitBytes }
    await writeLimits(this.#pathOf(id), limits, this.#trees)
  }

  /** The kernel ended something in it for want of memory. */
  ranOutOfMemory(id: string): boolean {
    const files = ['memory.events', 'memory.oom_control']
    return this.#trees.some(tree =>
      files.some(name => /^oom_kill [1-9]/m.test(read(tree, this.#pathOf(id), name))),
    )
  }

  async remove(id: string): Promise<void> {
    await removePodCgroup(this.#pathOf(id), this.#trees)
  }

  #pathOf(id: string): string {
    return join(this.#root, id)
  }
}

function read(tree: string, path: string, name: string): string {
  try {
    return readFileSync(join(tree, path, name), 'utf8')
  } catch {
    return ''
  }
}

/** For `sh -c`: joins control groups and becomes the program. Arguments: number of files, the files, the program. */
const JOIN_SCRIPT = `
n=$1
shift
while [ "$n" -gt 0 ]; do
  echo $$ >"$1" || exit 128
  shift
  n=$((n - 1))
done
exec "$@"
`

/** A program that is in the groups from its beginning on. */
export const joining = (files: readonly string[], argv: readonly string[]): readonly string[] =>
  files.length === 0 ? argv : ['/bin/sh', '-c', JOIN_SCRIPT, 'sh', String(files.length), ...files, ...argv]
