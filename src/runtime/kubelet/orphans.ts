/**
 * Pods of which something is left on the node, and nothing in the API: whoever ended them was cut short. Sandboxes
 * know their pod; directories of logs bear its name; of volumes nothing but the uid is known.
 */
import { readdir } from 'node:fs/promises'
import type { KubeletDirectories } from './kubelet-parts.ts'
import type { Runtime, SandboxMetadata } from './runtime/runtime.ts'

export type OrphanIdentity = Pick<SandboxMetadata, 'name' | 'namespace' | 'uid'>

export interface OrphanParts {
  readonly runtime: Pick<Runtime, 'listSandboxes'>
  readonly directories: Pick<KubeletDirectories, 'pods' | 'logs'>
  readonly isKnown: (uid: string) => boolean
}

/** Each once. */
export async function findOrphans({
  runtime,
  directories,
  isKnown,
}: OrphanParts): Promise<readonly OrphanIdentity[]> {
  const sandboxes = (await runtime.listSandboxes()).map(({ metadata }) => metadata)
  const logs = (await directoriesIn(directories.logs)).map(identityIn).filter(found => found !== null)
  const volumes = (await directoriesIn(directories.pods)).map(uid => ({ name: '', namespace: '', uid }))
  const found = new Map<string, OrphanIdentity>()
  for (const { name, namespace, uid } of [...sandboxes, ...logs, ...volumes]) {
    if (!isKnown(uid) && !found.has(uid)) found.set(uid, { name, namespace, uid })
  }
  return [...found.values()]
}

/** `<namespace>_<name>_<uid>`; none of them has a `_` in it. */
function identityIn(directory: string): OrphanIdentity | null {
  const [namespace = '', name = '', uid, ...rest] = directory.split('_')
  return uid === undefined || rest.length > 0 ? null : { name, namespace, uid }
}

async function directoriesIn(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => [])
  return entries.filter(entry => entry.isDirectory()).map(({ name }) => name)
}
