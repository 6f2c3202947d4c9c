/** What the processes of containers use, by /proc: all of a container carry its mark. */
import { readdir, readFile } from 'node:fs/promises'
import { statOf } from '../../../../host/processes.ts'
import type { ContainerUsage } from '../usage.ts'
import { CONTAINER_MARK } from './host-processes.ts'

const NANOS_PER_TICK = 10_000_000
const PAGE_BYTES = 4_096
/** Fields of /proc/<pid>/stat, counted from the state. */
const MINOR_FAULTS = 7
const MAJOR_FAULTS = 9
const CPU_TICKS = [11, 12, 13, 14]
const RESIDENT_PAGES = 21

/** By container. A process that changes its environment is still found: the kernel keeps what it began with. */
export async function readProcessUsage(
  ids: ReadonlySet<string>,
  timeMs: number,
): Promise<readonly ContainerUsage[]> {
  const found = new Map<string, ContainerUsage>()
  for (const name of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(name)) continue
    const environment = await readFile(`/proc/${name}/environ`, 'latin1').catch(() => '')
    const id = markIn(environment)
    if (id === undefined || !ids.has(id)) continue
    const fields = statOf(Number(name))
    if (fields !== undefined) found.set(id, sum(id, timeMs, fields, found.get(id)))
  }
  return [...found.values()]
}

function markIn(environment: string): string | undefined {
  const head = `${CONTAINER_MARK}=`
  const entry = environment.split('\0').find(each => each.startsWith(head))
  return entry?.slice(head.length)
}

function sum(id: string, timeMs: number, fields: readonly string[], known?: ContainerUsage): ContainerUsage {
  const number = (index: number) => Number(fields[index] ?? 0)
  const ticks = CPU_TICKS.reduce((total, index) => total + number(index), 0)
  const resident = number(RESIDENT_PAGES) * PAGE_BYTES
  return {
    id,
    timeMs,
    cpuNanos: (known?.cpuNanos ?? 0) + ticks * NANOS_PER_TICK,
    workingSetBytes: (known?.workingSetBytes ?? 0) + resident,
    usageBytes: (known?.usageBytes ?? 0) + resident,
    rssBytes: (known?.rssBytes ?? 0) + resident,
    pageFaults: (known?.pageFaults ?? 0) + number(MINOR_FAULTS),
    majorPageFaults: (known?.majorPageFaults ?? 0) + number(MAJOR_FAULTS),
    processes: (known?.processes ?? 0) + 1,
  }
}
