/**
 * The control groups that this node's pods lie in: `/<root>/kubepods/{burstable,besteffort}/pod<uid>`, as the
 * kubelet's own driver (`cgroupfs`) lays them out below `--cgroup-root`. Guaranteed pods lie in `kubepods` itself.
 */

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { QosClass } from '../../../kube/qos.ts'
import type { PodResources } from './cgroup-limits.ts'
import { makeGroup, writeLimits } from './cgroup-limits.ts'
import { cgroupTrees, processesIn, removePodCgroup } from './cri/pod-cgroups.ts'

const LEVELS: readonly QosClass[] = ['Guaranteed', 'Burstable', 'BestEffort']
const POD_GROUP = /^pod([0-9a-f-]+)$/

/** Where the containers of a class of pods lie, and the pods themselves. */
export function levelCgroup(root: string, qosClass: QosClass): string {
  return join('/', root, 'kubepods', qosClass === 'Guaranteed' ? '' : qosClass.toLowerCase())
}

export const podCgroup = (root: string, uid: string, qosClass: QosClass): string =>
  join(levelCgroup(root, qosClass), `pod${uid}`)

export class PodGroups {
  readonly #root: string
  readonly trees: readonly string[]
  readonly #written = new Map<QosClass, string>()

  constructor(root: string, trees: readonly string[] = cgroupTrees()) {
    this.#root = root
    this.trees = trees
  }

  pathOf(uid: string, qosClass: QosClass): string {
    return podCgroup(this.#root, uid, qosClass)
  }

  /** Written only when it is another than the last time. */
  async limit(qosClass: QosClass, limits: PodResources): Promise<void> {
    const text = JSON.stringify(limits)
    if (this.#written.get(qosClass) === text) return
    const path = levelCgroup(this.#root, qosClass)
    await makeGroup(path, this.trees)
    await writeLimits(path, limits, this.trees)
    this.#written.set(qosClass, text)
  }

  /** Takes away the groups of pods that are not among these and have no process left. */
  async sweep(known: ReadonlySet<string>): Promise<void> {
    for (const qosClass of LEVELS) {
      for (const uid of await this.#uids(qosClass)) {
        const path = this.pathOf(uid, qosClass)
        if (known.has(uid) || processesIn(path, this.trees).length > 0) continue
        await removePodCgroup(path, this.trees)
      }
    }
  }

  async #uids(qosClass: QosClass): Promise<ReadonlySet<string>> {
    const level = levelCgroup(this.#root, qosClass)
    const lists = this.trees.map(tree => readdir(join(tree, level)).catch(() => []))
    return new Set((await Promise.all(lists)).flat().flatMap(name => POD_GROUP.exec(name)?.[1] ?? []))
  }
}
