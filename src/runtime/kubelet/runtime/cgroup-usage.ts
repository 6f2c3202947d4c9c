/** A control group's usage from its files (thin), in either version of control groups. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cgroupTrees } from './cri/pod-cgroups.ts'
import type { ContainerUsage } from './usage.ts'

type GroupUsage = Omit<ContainerUsage, 'id' | 'timeMs' | 'writable'>

/** Null when there is no such group. */
export async function readGroupUsage(
  path: string,
  trees: readonly string[] = cgroupTrees(),
): Promise<GroupUsage | null> {
  const found = trees.map(tree => join(tree, path)).filter(each => existsSync(each))
  const read = (name: string) => readGroupFile(found, name)
  if (found.length === 0) return null
  const flat = parseFlat((await read('memory.stat')) ?? '')
  const isSecond = (await read('memory.current')) !== undefined
  const usageBytes = Number((await read(isSecond ? 'memory.current' : 'memory.usage_in_bytes')) ?? 0)
  const inactive = flat.get(isSecond ? 'inactive_file' : 'total_inactive_file') ?? 0
  const cpu = await read('cpu.stat')
  const micros = parseFlat(cpu ?? '').get('usage_usec')
  return {
    cpuNanos: micros === undefined ? Number((await read('cpuacct.usage')) ?? 0) : micros * 1_000,
    usageBytes,
    workingSetBytes: Math.max(0, usageBytes - inactive),
    rssBytes: flat.get(isSecond ? 'anon' : 'total_rss') ?? 0,
    pageFaults: flat.get(isSecond ? 'pgfault' : 'total_pgfault') ?? 0,
    majorPageFaults: flat.get(isSecond ? 'pgmajfault' : 'total_pgmajfault') ?? 0,
    processes: Number((await read('pids.current')) ?? 0),
  }
}

/** A group has a directory in each tree; the first one that has the file counts. */
export async function readGroupFile(
  directories: readonly string[],
  name: string,
): Promise<string | undefined> {
  for (const directory of directories) {
    const text = await readFile(join(directory, name), 'utf8').catch(() => undefined)
    if (text !== undefined) return text
  }
  return undefined
}

/** Lines of a name and a number. */
export function parseFlat(text: string): Map<string, number> {
  const entries = text.split('\n').flatMap(line => {
    const [name = '', value] = line.split(' ')
    return value === undefined ? [] : [[name, Number(value)] as const]
  })
  return new Map(entries)
}
