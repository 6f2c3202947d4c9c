/** Volumes that are images: their layers, put together read-only in the directory of the container that has them. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Mk8sError } from '../../../../base/errors.ts'
import { runProgram } from '../../../../host/programs.ts'
import type { ContainerConfig, Mount } from '../runtime.ts'
import type { ImageRecord } from './images/image-store.ts'
import { mountOverlay } from './overlay.ts'
import { resolveInside } from './resolve-inside.ts'
import { mountMapped, type UserNamespace } from './user-namespace.ts'

export interface ImageMountParts {
  readonly config: ContainerConfig
  /** By the reference that a mount names. */
  readonly images: ReadonlyMap<string, ImageRecord>
  readonly layersDirectory: string
  /** Of the container; what is mounted below is unmounted with it. */
  readonly directory: string
  readonly user: UserNamespace | undefined
}

export const imagesOfMounts = ({ mounts }: ContainerConfig): readonly string[] =>
  mounts.flatMap(({ image }) => (image === undefined ? [] : [image.reference]))

/** The configuration with a place on this machine for each of its images. */
export async function mountImages(parts: ImageMountParts): Promise<ContainerConfig> {
  const mounts: Mount[] = []
  for (const [index, mount] of parts.config.mounts.entries()) {
    mounts.push(mount.image === undefined ? mount : await mountOne(mount, index, parts))
  }
  return { ...parts.config, mounts }
}

async function mountOne(mount: Mount, index: number, parts: ImageMountParts): Promise<Mount> {
  const { reference = '', subPath = '' } = mount.image ?? {}
  const layers = parts.images.get(reference)?.layers ?? []
  const [only, ...others] = layers
  if (only === undefined) throw new Mk8sError('kubelet/runtime', `the image "${reference}" has no layers`)
  const root = join(parts.directory, 'images', String(index))
  await mkdir(root, { recursive: true, mode: 0o755 })
  // An overlay takes two layers at least.
  if (others.length > 0) {
    const below = { layers, layersDirectory: parts.layersDirectory, user: parts.user }
    await mountOverlay(root, { ...below, mapped: `${root}.layers`, options: 'ro,noexec' })
  } else if (parts.user === undefined) {
    await runProgram('mount', ['--bind', only, root], { cwd: parts.layersDirectory })
  } else {
    await mountMapped(parts.user.file, [{ source: join(parts.layersDirectory, only), target: root }])
  }
  const found = await resolveInside(root, subPath)
  if (found !== null) return { ...mount, hostPath: found }
  const why = `subPath ${JSON.stringify(subPath)} is not in the image "${reference}"`
  throw new Mk8sError('kubelet/runtime', why)
}
