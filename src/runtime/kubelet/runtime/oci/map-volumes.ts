/** Volumes of a container with a user namespace: what belongs to root of the machine belongs to root of the pod there. */
import { mkdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ContainerConfig, Mount } from '../runtime.ts'
import { type MappedMount, mountMapped, type UserNamespace } from './user-namespace.ts'

export interface MapVolumesParts {
  readonly user: UserNamespace
  /** Of the container; what is mounted below is unmounted with it. */
  readonly directory: string
}

/** Images are left alone: their layers have been mapped. */
export async function mapVolumes(config: ContainerConfig, parts: MapVolumesParts): Promise<ContainerConfig> {
  const mapped: MappedMount[] = []
  const mounts: Mount[] = []
  for (const [index, mount] of config.mounts.entries()) {
    if (mount.image !== undefined) {
      mounts.push(mount)
      continue
    }
    const target = join(parts.directory, String(index))
    await makePlace(target, mount.hostPath)
    mapped.push({ source: mount.hostPath, target })
    mounts.push({ ...mount, hostPath: target })
  }
  await mountMapped(parts.user.file, mapped)
  return { ...config, mounts }
}

/** A directory is mounted on one, anything else on a file. */
async function makePlace(target: string, source: string): Promise<void> {
  await mkdir(join(target, '..'), { recursive: true, mode: 0o700 })
  if ((await stat(source)).isDirectory()) await mkdir(target, { mode: 0o700 })
  else await writeFile(target, '', { mode: 0o600 })
}
