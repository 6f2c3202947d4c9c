/** What the whole machine uses, by /proc and its disks. */
import { readFile } from 'node:fs/promises'
import { type DiskFacts, readDisk } from '../host-facts.ts'
import { parseFlat } from '../runtime/cgroup-usage.ts'

export interface NodeUsage {
  readonly timeMs: number
  readonly cpuNanos: number
  readonly memoryBytes: number
  /** What programs can still get without swapping. */
  readonly availableBytes: number
  readonly rssBytes: number
  readonly pageFaults: number
  readonly majorPageFaults: number
  readonly processes: number
  readonly processesMax: number
  readonly network: readonly InterfaceUsage[]
  /** Where pods' volumes and logs lie. */
  readonly nodeDisk: DiskFacts
  /** Where images lie. */
  readonly imageDisk: DiskFacts
}

export interface InterfaceUsage {
  readonly name: string
  readonly rxBytes: number
  readonly rxErrors: number
  readonly txBytes: number
  readonly txErrors: number
}

/** Files of the kernel, so that tests can say what they hold. */
export type ReadFact = (path: string) => Promise<string>

export interface NodeUsageParts {
  readonly nodeDirectory: string
  readonly imageDirectory: () => Promise<string>
  readonly readFact?: ReadFact
}

const KIB = 1_024
/** The kernel tells ticks of a hundredth of a second, whatever it counts in. */
const NANOS_PER_TICK = 10_000_000
const IDLE_FIELDS = [3, 4]
const BUSY_FIELDS_MAX = 8

const readKernelFile: ReadFact = path => readFile(path, 'utf8').catch(() => '')

export async function readNodeUsage(parts: NodeUsageParts, timeMs: number): Promise<NodeUsage> {
  const { readFact = readKernelFile } = parts
  const paths = ['/proc/meminfo', '/proc/stat', '/proc/vmstat', '/proc/loadavg', '/proc/net/dev']
  const [meminfo = '', stat = '', vmstat = '', loadavg = '', devices = ''] = await Promise.all(
    paths.map(readFact),
  )
  const memory = parseMeminfo(meminfo)
  const faults = parseFlat(vmstat)
  const nodeDisk = await readDisk(parts.nodeDirectory)
  return {
    timeMs,
    cpuNanos: busyNanos(stat),
    memoryBytes: memory.get('MemTotal') ?? 0,
    availableBytes: memory.get('MemAvailable') ?? memory.get('MemFree') ?? 0,
    rssBytes: memory.get('AnonPages') ?? 0,
    pageFaults: faults.get('pgfault') ?? 0,
    majorPageFaults: faults.get('pgmajfault') ?? 0,
    processes: Number(/\d+\/(\d+)/.exec(loadavg)?.[1] ?? 0),
    processesMax: await processesMax(readFact),
    network: parseDevices(devices),
    nodeDisk,
    imageDisk: await readDisk(await parts.imageDirectory()).catch(() => nodeDisk),
  }
}

export function parseMeminfo(text: string): Map<string, number> {
  const entries = text.matchAll(/^(\w+):\s+(\d+) kB$/gm)
  return new Map([...entries].map(([, name = '', amount]) => [name, Number(amount) * KIB]))
}

function busyNanos(stat: string): number {
  const [, ...fields] = (stat.split('\n')[0] ?? '').split(/\s+/)
  const busy = fields.slice(0, BUSY_FIELDS_MAX).filter((_each, index) => !IDLE_FIELDS.includes(index))
  return busy.reduce((sum, ticks) => sum + Number(ticks), 0) * NANOS_PER_TICK
}

/** Both limits hold. */
async function processesMax(readFact: ReadFact): Promise<number> {
  const limits = ['/proc/sys/kernel/pid_max', '/proc/sys/kernel/threads-max'].map(async path =>
    Number(await readFact(path)),
  )
  return Math.min(...(await Promise.all(limits)).filter(limit => limit > 0), Number.MAX_SAFE_INTEGER)
}

export function parseDevices(text: string): InterfaceUsage[] {
  return text.split('\n').flatMap(line => {
    const [head, rest] = line.split(':')
    if (head === undefined || rest === undefined) return []
    const name = head.trim()
    const [rxBytes = 0, , rxErrors = 0, , , , , , txBytes = 0, , txErrors = 0] = rest
      .trim()
      .split(/\s+/)
      .map(Number)
    return name === 'lo' ? [] : [{ name, rxBytes, rxErrors, txBytes, txErrors }]
  })
}
