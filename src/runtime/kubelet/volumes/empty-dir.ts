/** Makes an emptyDir, once: what the pod does to it later, such as giving it another mode, stays. */
import { chmod, chown, mkdir, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { mountHugePages, mountMemory, mountsBelow } from '../../../host/mounts.ts'
import type { Volume } from '../../../kube/types.ts'
import { hugePageSize } from './huge-pages.ts'
import { memorySize } from './memory-size.ts'
import type { VolumeParts } from './render-volume.ts'

export interface EmptyDirPlace {
  readonly path: string
  /** A file that says that it has been made, outside of it. */
  readonly mark: string
}

export async function makeEmptyDir(
  volume: Volume,
  parts: VolumeParts,
  { path, mark }: EmptyDirPlace,
): Promise<void> {
  const { medium = '' } = volume.emptyDir ?? {}
  const isRoot = process.getuid?.() === 0
  const pageSize = hugePageSize(medium, parts.pod)
  const isMemory = medium === 'Memory' && isRoot
  const isMade = (await stat(mark).catch(() => null)) !== null
  // Memory is gone once the machine was restarted.
  const isThere = !(isMemory || pageSize !== null) || mountsBelow([path]).includes(path)
  if (isMade && isThere) return
  await mkdir(path, { recursive: true })
  if (isMemory) await mountMemory(path, memorySize(volume, parts))
  if (pageSize !== null) await mountHugePages(path, pageSize)
  const group = parts.pod.spec?.securityContext?.fsGroup
  if (group !== undefined && isRoot) await chown(path, 0, group)
  // What is made in a volume with a group belongs to the group.
  await chmod(path, group === undefined ? 0o777 : 0o2777)
  await mkdir(dirname(mark), { recursive: true, mode: 0o750 })
  await writeFile(mark, '', { mode: 0o600 })
}
