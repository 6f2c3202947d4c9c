/** Removes a node's directory: all of it when a node was installed there, else only what mk8s makes. */
import { readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { systemCodeOf } from '../base/errors.ts'
import { diskFailure } from './files.ts'

/** Every name that mk8s makes in a node's directory. */
const OWN_NAMES =
  'config.yaml cluster-init.yaml members.json join.json join-attempt.json servers.json peer-addresses.json pod-range admin.kubeconfig pki datastore pods containers containerd images oci seccomp sandboxes logs run recovery'
const OWN_PATTERNS = [/^before-(recovery|restore)-/, /^daemon\.log(\.\d+)?$/, /\.\d+\.tmp$/]

const isOwn = (name: string): boolean =>
  OWN_NAMES.split(' ').includes(name) || OWN_PATTERNS.some(pattern => pattern.test(name))

/**
 * Returns the names that were left because they are not ours. `install` takes only an empty directory, so where
 * its configuration is, everything came with the node. Mounts below the directory are never deleted into.
 */
export function removeNodeDirectory(dataDir: string): readonly string[] {
  refuseMounts(dataDir)
  try {
    const names = readdirSync(dataDir)
    const isNode = names.includes('config.yaml')
    const ours = (name: string) => isNode || isOwn(name)
    for (const name of configurationLast(names.filter(ours))) {
      rmSync(join(dataDir, name), { recursive: true, force: true, maxRetries: 3 })
    }
    const left = names.filter(name => !ours(name) && name !== 'lost+found')
    if (left.length === 0) removeEmpty(dataDir)
    return left
  } catch (error) {
    throw diskFailure(dataDir, error)
  }
}

/** Interrupted, the removal can be taken up again: what says that a node is here goes last. */
const configurationLast = (names: readonly string[]): string[] =>
  names.toSorted((a, b) => Number(a === 'config.yaml') - Number(b === 'config.yaml'))

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
