/** `/metrics/resource` (pure): usage under the names that Prometheus' users know. */
import type { Pod } from '../../../kube/types.ts'
import type { ContainerStatus } from '../runtime/runtime.ts'
import type { ContainerUsage } from '../runtime/usage.ts'
import { type Family, renderFamilies, type Sample } from './prometheus.ts'
import { runningOf } from './render-summary.ts'
import type { UsageSample } from './usage-sampler.ts'

export interface MetricsInput {
  readonly pods: readonly Pod[]
  readonly containers: readonly ContainerStatus[]
  readonly sample: UsageSample
}

const NANOS = 1e9
const MS = 1_000

interface Line {
  readonly labels: Readonly<Record<string, string>>
  readonly usage: ContainerUsage
  readonly status: ContainerStatus
}

function linesOf({ pods, containers, sample }: MetricsInput): Line[] {
  return pods.flatMap(pod =>
    runningOf(pod, containers, sample).map(({ status, rated: { usage } }) => {
      const { name = '', namespace = '' } = pod.metadata
      return { labels: { container: status.name, namespace, pod: name }, usage, status }
    }),
  )
}

export function renderResourceMetrics(input: MetricsInput): string {
  const { usage: node } = input.sample.node
  const lines = linesOf(input)
  const perContainer = (value: (line: Line) => number) =>
    lines.map(line => ({ labels: line.labels, value: value(line), timeMs: line.usage.timeMs }))
  const perPod = (value: (usage: ContainerUsage) => number) =>
    [...Map.groupBy(lines, ({ labels: { namespace = '', pod = '' } }) => `${namespace}/${pod}`).values()].map(
      same => {
        const { container: _container, ...labels } = same[0]?.labels ?? {}
        const sum = same.reduce((total, { usage }) => total + value(usage), 0)
        return { labels, value: sum, timeMs: Math.max(...same.map(({ usage }) => usage.timeMs)) }
      },
    )
  const one = (value: number) => [{ labels: {}, value, timeMs: node.timeMs }]
  const cpu = 'Cumulative cpu time consumed by the'
  const memory = 'Current working set of the'
  return renderFamilies([
    family(
      'container_cpu_usage_seconds_total',
      `[STABLE] ${cpu} container in core-seconds`,
      'counter',
      perContainer(({ usage }) => usage.cpuNanos / NANOS),
    ),
    family(
      'container_memory_working_set_bytes',
      `[STABLE] ${memory} container in bytes`,
      'gauge',
      perContainer(({ usage }) => usage.workingSetBytes),
    ),
    family(
      'container_start_time_seconds',
      '[STABLE] Start time of the container since unix epoch in seconds',
      'gauge',
      perContainer(({ status }) => status.startedAt / MS),
    ),
    family(
      'node_cpu_usage_seconds_total',
      `[STABLE] ${cpu} node in core-seconds`,
      'counter',
      one(node.cpuNanos / NANOS),
    ),
    family(
      'node_memory_working_set_bytes',
      `[STABLE] ${memory} node in bytes`,
      'gauge',
      one(node.memoryBytes - node.availableBytes),
    ),
    family(
      'pod_cpu_usage_seconds_total',
      `[STABLE] ${cpu} pod in core-seconds`,
      'counter',
      perPod(usage => usage.cpuNanos / NANOS),
    ),
    family(
      'pod_memory_working_set_bytes',
      `[STABLE] ${memory} pod in bytes`,
      'gauge',
      perPod(usage => usage.workingSetBytes),
    ),
    family(
      'resource_scrape_error',
      '[STABLE] 1 if there was an error while getting container metrics, 0 otherwise',
      'gauge',
      [{ labels: {}, value: 0 }],
    ),
  ])
}

const family = (name: string, help: string, type: Family['type'], samples: readonly Sample[]): Family => ({
  ...{ name, help, type, samples },
})
