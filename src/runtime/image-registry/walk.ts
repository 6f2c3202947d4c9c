/** What there is on the volume: repositories, and digests in a folder. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ifThere, namesIn } from './durable.ts'
import { type Digest, isRepositoryName, parseDigest } from './names.ts'

/** Names in no order; those too that have blobs only. */
export async function repositoriesIn(folder: string, prefix = '', found: string[] = []): Promise<string[]> {
  const entries = (await ifThere(readdir(join(folder, prefix), { withFileTypes: true }))) ?? []
  if (prefix !== '' && entries.some(({ name }) => name.startsWith('_'))) found.push(prefix)
  for (const entry of entries) {
    const name = prefix === '' ? entry.name : `${prefix}/${entry.name}`
    if (entry.isDirectory() && isRepositoryName(name)) await repositoriesIn(folder, name, found)
  }
  return found
}

/** Out of a folder with one folder for each algorithm. */
export async function digestsIn(folder: string): Promise<Digest[]> {
  const found: Digest[] = []
  for (const algorithm of await namesIn(folder)) {
    for (const hex of await namesIn(join(folder, algorithm))) {
      const digest = parseDigest(`${algorithm}:${hex}`)
      if (digest !== undefined) found.push(digest)
    }
  }
  return found
}
