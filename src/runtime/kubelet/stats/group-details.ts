/** What a control group's files tell beyond its usage: throttling, limits, caches and what went to disks. */
import { join } from 'node:path'
import { sharesOfWeight } from '../runtime/cgroup-limits.ts'
import { parseFlat, readGroupFile } from '../runtime/cgroup-usage.ts'

export interface GroupDetails {
  readonly cpuUserSeconds: number
  readonly cpuSystemSeconds: number
  readonly periods: number
  readonly throttledPeriods: number
  readonly throttledSeconds: number
  readonly cacheBytes: number
  readonly mappedBytes: number
  readonly swapBytes: number
  readonly peakBytes: number
  readonly limitHits: number
  readonly oomKills: number
  readonly threads: number
  readonly disk: { readonly readBytes: number; readonly writtenBytes: number; reads: number; writes: number }
  /** 0: not limited. */
  readonly memoryLimitBytes: number
  readonly cpuShares: number
  readonly cpuPeriod: number
  /** 0: not limited. */
  readonly cpuQuota: number
}

const TICKS = 100
const MICROS = 1e6
const NANOS = 1e9
/** What version 1 says where nothing is limited: the largest number of whole pages. */
const UNLIMITED = 2 ** 62
const FILES = [
  ...['cpuacct.stat', 'cpu.stat', 'memory.stat', 'memory.failcnt', 'memory.max_usage_in_bytes'],
  ...['memory.oom_control', 'memory.limit_in_bytes', 'memory.swap.current', 'memory.peak', 'memory.max'],
  ...['memory.events', 'io.stat', 'blkio.throttle.io_service_bytes_recursive', 'cpu.max', 'cpu.weight'],
  ...['blkio.throttle.io_serviced_recursive', 'cpu.shares', 'cpu.cfs_quota_us', 'cpu.cfs_period_us'],
  'pids.current',
]

export async function readGroupDetails(path: string, trees: readonly string[]): Promise<GroupDetails> {
  const directories = trees.map(tree => join(tree, path))
  const read = async (name: string) => {
    const text = await readGroupFile(directories, name)
    return text === undefined ? [] : [[name, text] as const]
  }
  return parseGroupDetails(new Map((await Promise.all(FILES.map(read))).flat()))
}

/** Pure; the files of either version. */
export function parseGroupDetails(files: ReadonlyMap<string, string>): GroupDetails {
  const flat = (name: string) => parseFlat(files.get(name) ?? '')
  const number = (...names: string[]) =>
    Number(names.map(name => files.get(name)).find(text => text) ?? 0) || 0
  const [cpu, memory, events] = [flat('cpu.stat'), flat('memory.stat'), flat('memory.events')]
  const isSecond = cpu.has('usage_usec')
  const ticks = flat('cpuacct.stat')
  const of = (name: string) => (cpu.get(name) ?? 0) / MICROS
  const [quota = '', period = ''] = (files.get('cpu.max') ?? '').trim().split(' ')
  const limit = number('memory.limit_in_bytes', 'memory.max')
  return {
    cpuUserSeconds: isSecond ? of('user_usec') : (ticks.get('user') ?? 0) / TICKS,
    cpuSystemSeconds: isSecond ? of('system_usec') : (ticks.get('system') ?? 0) / TICKS,
    periods: cpu.get('nr_periods') ?? 0,
    throttledPeriods: cpu.get('nr_throttled') ?? 0,
    throttledSeconds: isSecond ? of('throttled_usec') : (cpu.get('throttled_time') ?? 0) / NANOS,
    cacheBytes: memory.get(isSecond ? 'file' : 'total_cache') ?? 0,
    mappedBytes: memory.get(isSecond ? 'file_mapped' : 'total_mapped_file') ?? 0,
    swapBytes: isSecond ? number('memory.swap.current') : (memory.get('total_swap') ?? 0),
    peakBytes: number('memory.max_usage_in_bytes', 'memory.peak'),
    limitHits: isSecond ? (events.get('max') ?? 0) : number('memory.failcnt'),
    oomKills: (isSecond ? events : flat('memory.oom_control')).get('oom_kill') ?? 0,
    threads: number('pids.current'),
    disk: isSecond ? diskOfSecond(files.get('io.stat') ?? '') : diskOfFirst(files),
    memoryLimitBytes: limit >= UNLIMITED ? 0 : limit,
    cpuShares: isSecond ? sharesOfWeight(number('cpu.weight')) : number('cpu.shares'),
    cpuPeriod: Number(period) || number('cpu.cfs_period_us'),
    cpuQuota: Math.max(0, Number(quota) || number('cpu.cfs_quota_us')),
  }
}

/** Lines of a device, an operation and a number. */
function diskOfFirst(files: ReadonlyMap<string, string>): GroupDetails['disk'] {
  const sum = (name: string, operation: string) =>
    (files.get(name) ?? '').split('\n').reduce((total, line) => {
      const [, what, amount] = line.split(' ')
      return what === operation ? total + Number(amount) : total
    }, 0)
  const [bytes, counts] = [
    'blkio.throttle.io_service_bytes_recursive',
    'blkio.throttle.io_serviced_recursive',
  ]
  return {
    readBytes: sum(bytes, 'Read'),
    writtenBytes: sum(bytes, 'Write'),
    reads: sum(counts, 'Read'),
    writes: sum(counts, 'Write'),
  }
}

/** Lines of a device and `rbytes=1 wbytes=2 …`. */
function diskOfSecond(text: string): GroupDetails['disk'] {
  const sum = (key: string) =>
    [...text.matchAll(new RegExp(`\\b${key}=(\\d+)`, 'g'))].reduce((total, [, n]) => total + Number(n), 0)
  return { readBytes: sum('rbytes'), writtenBytes: sum('wbytes'), reads: sum('rios'), writes: sum('wios') }
}
