/** Layers of an image, put together to a file system; with a user namespace, their owners are its users. */
import { mkdir, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Mk8sError } from '../../../../base/errors.ts'
import { runBriefly } from '../../../../host/brief-programs.ts'
import { unmountBelow } from '../../../../host/mounts.ts'
import { mountMapped, type UserNamespace } from './user-namespace.ts'

export interface OverlayParts {
  /** Directories in `layersDirectory`, the uppermost first. */
  readonly layers: readonly string[]
  readonly layersDirectory: string
  readonly options: string
  readonly user: UserNamespace | undefined
  /** Directory for the layers as the namespace sees them; nothing of it stays. */
  readonly mapped: string
}

export async function mountOverlay(root: string, parts: OverlayParts): Promise<void> {
  const { layers, layersDirectory, user, mapped } = parts
  if (user === undefined) return mountLayers(root, layers, layersDirectory, parts.options)
  const names = layers.map((_layer, index) => String(index))
  try {
    for (const name of names) await mkdir(join(mapped, name), { recursive: true, mode: 0o700 })
    const sources = layers.map(layer => join(layersDirectory, layer))
    const mounts = sources.map((source, index) => ({ source, target: join(mapped, String(index)) }))
    await mountMapped(user.file, mounts)
    await mountLayers(root, names, mapped, parts.options)
  } finally {
    // The overlay has taken them over.
    await unmountBelow([mapped])
    // Never what is in them.
    for (const name of [...names, '']) await rmdir(join(mapped, name)).catch(() => {})
  }
}

/** Layers are named from their directory: with whole paths, many would not fit into what mount takes. */
async function mountLayers(
  root: string,
  layers: readonly string[],
  cwd: string,
  options: string,
): Promise<void> {
  const all = `${options},lowerdir=${layers.join(':')}`
  const env = { LIBMOUNT_FORCE_MOUNT2: 'always' }
  const ran = await runBriefly('mount', ['-t', 'overlay', '-o', all, 'overlay', root], { cwd, env })
  if (ran.exitCode === 0) return
  const why = ran.stderr.trim() || `exit code ${ran.exitCode}`
  throw new Mk8sError('host/program-failed', 'mount failed', { why })
}
