/** The directories of `hostpath-storage` on this node: anybody in a pod may write to them, and they outlive pods. */
import { chmod, mkdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { mountsBelow } from '../../../host/mounts.ts'

/** Made once; whoever has changed its mode since is right. */
export async function makeHostpathDirectory(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o755 })
  try {
    await mkdir(path)
    await chmod(path, 0o777)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  }
}

/** Only what lies directly in the node's own directory, by its name. */
export function isHostpathName(name: string): boolean {
  return /^[a-z0-9][a-z0-9.-]*$/.test(name) && !name.includes('..')
}

/** Links are removed and not followed; what somebody mounted in it would be emptied, so that comes first. */
export async function removeHostpathDirectory(parent: string, name: string): Promise<void> {
  const [mounted] = mountsBelow([join(parent, name)])
  if (mounted !== undefined)
    throw new Error(`${mounted} is mounted in the volume; it has to be unmounted first`)
  await rm(join(parent, name), { recursive: true, force: true })
}
