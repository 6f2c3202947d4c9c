/** Follows a path as a program inside a root would: its links never lead out. */
import { lstat, readlink } from 'node:fs/promises'
import { join } from 'node:path'

const LINKS_MAX = 40

/** Null when nothing is there. */
export async function resolveInside(root: string, path: string): Promise<string | null> {
  const left = words(path)
  const done: string[] = []
  for (let links = 0; left.length > 0; ) {
    const word = left.shift() ?? ''
    if (word === '..') {
      done.pop()
      continue
    }
    const here = join(root, ...done, word)
    const stat = await lstat(here).catch(() => null)
    if (stat === null) return null
    if (!stat.isSymbolicLink()) {
      done.push(word)
      continue
    }
    if (++links > LINKS_MAX) return null
    const target = await readlink(here)
    if (target.startsWith('/')) done.length = 0
    left.unshift(...words(target))
  }
  return join(root, ...done)
}

const words = (path: string): string[] => path.split('/').filter(word => word !== '' && word !== '.')
