/**
 * Control groups of pods. Runtimes make the group that a pod's containers lie in and never remove it, so the kubelet
 * does. Version 1 has a tree per controller, version 2 one tree.
 */
import { readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { systemCodeOf } from '../../../../base/errors.ts'
import { readOrEmpty } from '../../../../host/files.ts'

/** A group may hold processes for a moment after they were killed. */
const TRIES = 20
const PAUSE_MS = 25
const DEPTH_MAX = 16

/**
 * The mount points of all trees of control groups. Where both versions are there, the second limits next to nothing
 * and has files of the first one's names: it comes last.
 */
export function cgroupTrees(mounts = readOrEmpty('/proc/self/mounts')): string[] {
  const lines = mounts.split('\n').map(line => line.split(' '))
  const ofType = (wanted: string) => lines.flatMap(([, path = '', type]) => (type === wanted ? [path] : []))
  return [...ofType('cgroup'), ...ofType('cgroup2')]
}

/** Removes the group `path` (`/mk8s/besteffort/pod1`) with all below it from every tree. */
export async function removePodCgroup(path: string, trees: readonly string[] = cgroupTrees()): Promise<void> {
  for (const tree of trees) {
    for (let tries = 1; !removeTree(join(tree, path), 0) && tries < TRIES; tries++) {
      await new Promise(resolve => setTimeout(resolve, PAUSE_MS))
    }
  }
}

/** Ids of the processes in the group `path` and below, in any tree. */
export function processesIn(path: string, trees: readonly string[] = cgroupTrees()): number[] {
  const found = new Set<number>()
  for (const tree of trees) collect(join(tree, path), found, 0)
  return [...found]
}

function collect(directory: string, found: Set<number>, depth: number): void {
  for (const id of readOrEmpty(join(directory, 'cgroup.procs')).split('\n')) {
    if (id !== '') found.add(Number(id))
  }
  if (depth < DEPTH_MAX) for (const child of children(directory)) collect(child, found, depth + 1)
}

/** False when something is still in use. */
function removeTree(directory: string, depth: number): boolean {
  if (depth > DEPTH_MAX) return false
  const areGone = children(directory).map(child => removeTree(child, depth + 1))
  if (areGone.includes(false)) return false
  try {
    rmdirSync(directory)
    return true
  } catch (error) {
    return systemCodeOf(error) === 'ENOENT'
  }
}

function children(directory: string): string[] {
  try {
    const entries = readdirSync(directory, { withFileTypes: true })
    return entries.filter(entry => entry.isDirectory()).map(entry => join(directory, entry.name))
  } catch {
    return []
  }
}
