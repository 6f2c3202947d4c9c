/** Mounts of this machine that lie in directories of a node. */

import { runBriefly } from './brief-programs.ts'
import { readOrEmpty } from './files.ts'
import { runProgram } from './programs.ts'

/** Where something is mounted in one of the directories, or on it; what was mounted last comes first. */
export function mountsBelow(directories: readonly string[]): string[] {
  return readOrEmpty('/proc/self/mounts')
    .split('\n')
    .map(line => (line.split(' ')[1] ?? '').replaceAll('\\040', ' '))
    .filter(point => directories.some(each => point === each || point.startsWith(`${each}/`)))
    .reverse()
}

export async function unmountBelow(directories: readonly string[]): Promise<void> {
  const points = mountsBelow(directories)
  if (points.length > 0) await runBriefly('umount', ['--lazy', ...points])
}

export async function mountMemory(path: string, sizeBytes: number): Promise<void> {
  if (mountsBelow([path]).includes(path)) return
  await runProgram('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes},mode=0777`, 'tmpfs', path])
}

/** Memory in pages of this size, such as `2Mi`; the kernel has to have some set aside. */
export async function mountHugePages(path: string, pageSize: string): Promise<void> {
  if (mountsBelow([path]).includes(path)) return
  const size = pageSize.replace(/i$/, '')
  await runProgram('mount', ['-t', 'hugetlbfs', '-o', `pagesize=${size},mode=0777`, 'nodev', path])
}
