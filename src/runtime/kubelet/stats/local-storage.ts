/** What a pod has written on the node's own disk: emptyDirs that are not memory, and its containers' logs. */

import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Pod } from '../../../kube/types.ts'
import { identityOf, logDirectoryOf } from '../pod-identity.ts'

export interface LocalUse {
  /** By volume. */
  readonly emptyDirs: ReadonlyMap<string, number>
  readonly logBytes: number
}

const BLOCK_BYTES = 512
/** A tree that is larger is counted up to here only. */
const ENTRIES_MAX = 200_000

export async function localUseOf(
  pod: Pod,
  { pods, logs }: { readonly pods: string; readonly logs: string },
): Promise<LocalUse> {
  const identity = identityOf(pod)
  const emptyDirs = new Map<string, number>()
  for (const { name, emptyDir } of pod.spec?.volumes ?? []) {
    if (emptyDir === undefined || (emptyDir.medium ?? '') !== '') continue
    emptyDirs.set(name, await usedBytes(join(pods, identity.uid, 'volumes', 'kubernetes.io~empty-dir', name)))
  }
  return { emptyDirs, logBytes: await usedBytes(logDirectoryOf(logs, identity)) }
}

export const totalOf = ({ emptyDirs, logBytes }: LocalUse): number =>
  [...emptyDirs.values()].reduce((sum, bytes) => sum + bytes, logBytes)

/** Blocks in use below a directory, without following links; 0 when there is none. */
export async function usedBytes(directory: string): Promise<number> {
  let bytes = 0
  let entries = 0
  const waiting = [directory]
  for (let path = waiting.pop(); path !== undefined && entries < ENTRIES_MAX; path = waiting.pop()) {
    entries += 1
    const found = await lstat(path).catch(() => null)
    if (found === null) continue
    bytes += found.blocks * BLOCK_BYTES
    if (!found.isDirectory()) continue
    for (const name of await readdir(path).catch(() => [])) waiting.push(join(path, name))
  }
  return bytes
}
