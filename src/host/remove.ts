/** Removes a node's directory, and never anything that only happens to lie in it. */
import { readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { systemCodeOf } from '../base/errors.ts'
import { diskFailure } from './files.ts'

/** Every name that mk8s makes in a node's directory. */
const OWN_NAMES =
  'config.yaml cluster-init.yaml admin.kubeconfig pki datastore pods containers sandboxes logs run'
const OWN_PATTERNS = [/^daemon\.log(\.\d+)?$/, /\.\d+\.tmp$/]

const isOwn = (name: string): boolean =>
  OWN_NAMES.split(' ').includes(name) || OWN_PATTERNS.some(pattern => pattern.test(name))

/** Names that were left because they are not ours. Mounts below the directory are never followed into. */
export function removeNodeDirectory(dataDir: string): readonly string[] {
  refuseMounts(dataDir)
  try {
    const names = readdirSync(dataDir)
    for (const name of names.filter(isOwn)) {
      rmSync(join(dataDir, name), { recursive: true, force: true, maxRetries: 3 })
    }
    const left = names.filter(name => !isOwn(name) && name !== 'lost+found')
    if (left.length === 0) removeEmpty(dataDir)
    return left
  } catch (error) {
    throw diskFailure(dataDir, error)
  }
}

/** A volume that is still mounted holds data which is not the node's to delete. */
function refuseMounts(dataDir: string): void {
  const mounted = mountPoints().filter(point => point.startsWith(`${dataDir}/`))
  if (mounted.length === 0) return
  throw diskFailure(dataDir, new Error(`still mounted: ${mounted.join(', ')}; unmount it and try again`))
}

function mountPoints(): string[] {
  try {
    return readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .map(line => line.split(' ')[1] ?? '')
  } catch {
    return []
  }
}

/** The directory may be a mount point itself, which then stays. */
function removeEmpty(dataDir: string): void {
  try {
    rmdirSync(dataDir)
  } catch (error) {
    const code = systemCodeOf(error)
    if (code !== 'EBUSY' && code !== 'ENOTEMPTY') throw error
  }
}
