/**
 * `members.json` in a server's directory: the names of the cluster's servers as its daemon last knew them, for
 * commands that have to know whether a server is one of several when its daemon does not run.
 */
import { join } from 'node:path'
import { readIfThere, writeFileDurably } from '../host/files.ts'

const pathIn = (dataDir: string): string => join(dataDir, 'members.json')
const render = (names: readonly string[]): string => `${JSON.stringify({ servers: names })}\n`

/** Written only when it changes. */
export function recordKnownMembers(dataDir: string, names: readonly string[]): void {
  const text = render(names)
  if (readIfThere(pathIn(dataDir)) !== text) writeFileDurably(pathIn(dataDir), text, 0o600)
}

/** Empty when nothing is known, or what is there cannot be read. */
export function readKnownMembers(dataDir: string): readonly string[] {
  try {
    const { servers } = JSON.parse(readIfThere(pathIn(dataDir)) ?? '{}') as { servers?: readonly string[] }
    return servers ?? []
  } catch {
    return []
  }
}
