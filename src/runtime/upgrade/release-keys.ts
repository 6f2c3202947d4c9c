/** Whose releases this node trusts: keys packaged into the executable, and those that its administrator put there. */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

declare const MK8S_RELEASE_KEYS: readonly string[] | undefined

const packaged = typeof MK8S_RELEASE_KEYS === 'undefined' ? [] : MK8S_RELEASE_KEYS

/** PEM of each. `files`: more, for this once. */
export function trustedKeys(dataDir: string, files: readonly string[] = []): readonly string[] {
  const own = globSync('*.pub', { cwd: join(dataDir, 'release-keys') }).map(name =>
    join(dataDir, 'release-keys', name),
  )
  return [...packaged, ...[...own, ...files].map(file => readFileSync(file, 'utf8'))]
}
