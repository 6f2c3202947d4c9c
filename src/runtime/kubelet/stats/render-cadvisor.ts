/** `/metrics/cadvisor` (pure): the series of it that rules and dashboards are made of, for containers and pods. */
import type { ContainerUsage } from '../runtime/usage.ts'
import type { GroupDetails } from './group-details.ts'
import type { NodeUsage } from './node-usage.ts'
import type { Counts, InterfaceCounts } from './pod-network.ts'
import { type Family, renderFamilies, type Sample } from './prometheus.ts'

/** A control group: of a container, or of a pod, whose container is called ``. */
export interface GroupLine {
  readonly labels: Readonly<Record<'container' | 'id' | 'image' | 'name' | 'namespace' | 'pod', string>>
  readonly usage: Omit<ContainerUsage, 'id'>
  /** Absent where there are no control groups. */
  readonly details?: GroupDetails | undefined
  readonly startedAtMs?: number | undefined
}

export interface NetworkLine {
  readonly labels: GroupLine['labels']
  readonly interfaces: readonly InterfaceCounts[]
  readonly timeMs: number
}

export interface CadvisorInput {
  readonly groups: readonly GroupLine[]
  readonly networks: readonly NetworkLine[]
  readonly node: NodeUsage
  readonly machine: { readonly cpuCount: number; readonly memoryBytes: number }
}

const MS = 1_000
const NANOS = 1e9
type Definition = readonly [name: string, help: string, value: (line: GroupLine) => number | undefined]

const COUNTERS: readonly Definition[] = [
  ['cpu_user_seconds_total', 'Cumulative user cpu time consumed in seconds.', l => l.details?.cpuUserSeconds],
  [
    'cpu_system_seconds_total',
    'Cumulative system cpu time consumed in seconds.',
    l => l.details?.cpuSystemSeconds,
  ],
  ['cpu_cfs_periods_total', 'Number of elapsed enforcement period intervals.', l => limited(l)?.periods],
  [
    'cpu_cfs_throttled_periods_total',
    'Number of throttled period intervals.',
    l => limited(l)?.throttledPeriods,
  ],
  [
    'cpu_cfs_throttled_seconds_total',
    'Total time duration the container has been throttled.',
    l => limited(l)?.throttledSeconds,
  ],
  ['memory_failcnt', 'Number of memory usage hits limits', l => l.details?.limitHits],
  ['oom_events_total', 'Count of out of memory events observed for the container', l => l.details?.oomKills],
  ['fs_reads_bytes_total', 'Cumulative count of bytes read', l => l.details?.disk.readBytes],
  ['fs_reads_total', 'Cumulative count of reads completed', l => l.details?.disk.reads],
  ['fs_writes_bytes_total', 'Cumulative count of bytes written', l => l.details?.disk.writtenBytes],
  ['fs_writes_total', 'Cumulative count of writes completed', l => l.details?.disk.writes],
]

const GAUGES: readonly Definition[] = [
  ['last_seen', 'Last time a container was seen by the exporter', l => Math.floor(l.usage.timeMs / MS)],
  ['memory_cache', 'Number of bytes of page cache memory.', l => l.details?.cacheBytes],
  ['memory_mapped_file', 'Size of memory mapped files in bytes.', l => l.details?.mappedBytes],
  ['memory_max_usage_bytes', 'Maximum memory usage recorded in bytes', l => l.details?.peakBytes],
  ['memory_rss', 'Size of RSS in bytes.', l => l.usage.rssBytes],
  ['memory_swap', 'Container swap usage in bytes.', l => l.details?.swapBytes],
  [
    'memory_usage_bytes',
    'Current memory usage in bytes, including all memory regardless of when it was accessed',
    l => l.usage.usageBytes,
  ],
  ['memory_working_set_bytes', 'Current working set in bytes.', l => l.usage.workingSetBytes],
  ['processes', 'Number of processes running inside the container.', l => l.usage.processes],
  ['threads', 'Number of threads running inside the container', l => l.details?.threads],
  [
    'fs_usage_bytes',
    'Number of bytes that are consumed by the container on this filesystem.',
    l => l.usage.writable?.bytes ?? (l.labels.container === '' ? undefined : 0),
  ],
  ['spec_cpu_period', 'CPU period of the container.', l => l.details?.cpuPeriod],
  ['spec_cpu_quota', 'CPU quota of the container.', l => limited(l)?.cpuQuota],
  ['spec_cpu_shares', 'CPU share of the container.', l => l.details?.cpuShares],
  ['spec_memory_limit_bytes', 'Memory limit for the container.', l => l.details?.memoryLimitBytes],
  [
    'start_time_seconds',
    'Start time of the container since unix epoch in seconds.',
    l => l.startedAtMs && Math.floor(l.startedAtMs / MS),
  ],
]

/** What only groups with a quota have. */
const limited = ({ details }: GroupLine) => (details?.cpuQuota ? details : undefined)

export function renderCadvisor(input: CadvisorInput): string {
  const { groups, node, machine } = input
  const lines = [...groups, rootOf(node)]
  const family =
    (type: Family['type']) =>
    ([name, help, value]: Definition): Family => ({
      ...{ name: `container_${name}`, help, type },
      samples: lines.flatMap(line => {
        const amount = value(line)
        return amount === undefined ? [] : [{ labels: line.labels, value: amount, timeMs: line.usage.timeMs }]
      }),
    })
  const cpu: Family = {
    name: 'container_cpu_usage_seconds_total',
    help: 'Cumulative cpu time consumed in seconds.',
    type: 'counter',
    samples: lines.map(({ labels: { container, ...others }, usage }) => ({
      labels: { container, cpu: 'total', ...others },
      value: usage.cpuNanos / NANOS,
      timeMs: usage.timeMs,
    })),
  }
  return renderFamilies([
    ...[cpu, ...COUNTERS.map(family('counter')), ...GAUGES.map(family('gauge'))],
    ...networkFamilies(input.networks),
    gauge(
      'container_scrape_error',
      '1 if there was an error while getting container metrics, 0 otherwise',
      0,
    ),
    gauge('machine_cpu_cores', 'Number of logical CPU cores.', machine.cpuCount),
    gauge('machine_memory_bytes', 'Amount of memory installed on the machine.', machine.memoryBytes),
  ])
}

const gauge = (name: string, help: string, value: number): Family => ({
  ...{ name, help, type: 'gauge', samples: [{ labels: {}, value }] },
})

/** The machine as a whole. */
const rootOf = (node: NodeUsage): GroupLine => ({
  labels: { container: '', id: '/', image: '', name: '', namespace: '', pod: '' },
  usage: {
    timeMs: node.timeMs,
    cpuNanos: node.cpuNanos,
    workingSetBytes: node.memoryBytes - node.availableBytes,
    usageBytes: node.memoryBytes - node.availableBytes,
    rssBytes: node.rssBytes,
    pageFaults: node.pageFaults,
    majorPageFaults: node.majorPageFaults,
    processes: node.processes,
  },
})

const DIRECTIONS: readonly [string, string, (counts: InterfaceCounts) => Counts][] = [
  ['receive', 'received', ({ received }) => received],
  ['transmit', 'transmitted', ({ sent }) => sent],
]
const COUNTED: readonly [string, string, (counts: Counts) => number][] = [
  ['bytes_total', 'bytes', ({ bytes }) => bytes],
  ['packets_total', 'packets', ({ packets }) => packets],
  ['packets_dropped_total', 'packets dropped', ({ dropped }) => dropped],
  ['errors_total', 'errors', ({ errors }) => errors],
]

function networkFamilies(networks: readonly NetworkLine[]): Family[] {
  return DIRECTIONS.flatMap(([direction, done, side]) =>
    COUNTED.map(
      ([what, word, value]): Family => ({
        name: `container_network_${direction}_${what}`,
        help: `Cumulative count of ${word} ${done}`,
        type: 'counter',
        samples: networks.flatMap(({ labels, interfaces, timeMs }) =>
          interfaces.map((each): Sample => {
            const { container, id, image, ...others } = labels
            const named = { container, id, image, interface: each.name, ...others }
            return { labels: named, value: value(side(each)), timeMs }
          }),
        ),
      }),
    ),
  )
}
