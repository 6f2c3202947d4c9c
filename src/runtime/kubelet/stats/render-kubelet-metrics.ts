/** `/metrics` and `/metrics/probes` of the kubelet's port (pure), under upstream's names. */
import type { HealthFigures } from '../../../base/health-figures.ts'
import type { ProbeCount } from '../probes/probe-counts.ts'
import type { ContainerStatus } from '../runtime/runtime.ts'
import { type Family, renderFamilies, type Sample } from './prometheus.ts'
import type { VolumeStats } from './volume-stats.ts'

export interface KubeletMetricsInput {
  readonly nodeName: string
  readonly version: string
  readonly containers: readonly ContainerStatus[]
  readonly sandboxes: number
  /** Pods that have ended for critical ones, by the resource that was short. */
  readonly preemptions: ReadonlyMap<string, number>
  /** Of all pods. */
  readonly volumes: readonly VolumeStats[]
  readonly own: {
    readonly cpuSeconds: number
    readonly residentBytes: number
    readonly startedAtSeconds: number
  }
}

const VOLUME_STATS: readonly [string, string, (stats: VolumeStats) => number | undefined][] = [
  ['available_bytes', 'Number of available bytes in the volume', stats => stats.availableBytes],
  ['capacity_bytes', 'Capacity in bytes of the volume', stats => stats.capacityBytes],
  ['inodes', 'Maximum number of inodes in the volume', stats => stats.inodes],
  ['inodes_free', 'Number of free inodes in the volume', stats => stats.inodesFree],
  ['inodes_used', 'Number of used inodes in the volume', stats => stats.inodesUsed],
  ['used_bytes', 'Number of used bytes in the volume', stats => stats.usedBytes],
  [
    'health_status_abnormal',
    'Abnormal volume health status. The count is either 1 or 0. 1 indicates the volume is unhealthy, 0 indicates volume is healthy',
    ({ volumeHealthStats: health }) => health && Number(health.abnormal),
  ],
]

export function renderKubeletMetrics(input: KubeletMetricsInput): string {
  const { nodeName, containers, sandboxes, own, version } = input
  const states = Map.groupBy(containers, ({ state }) => state)
  const count = (name: string, help: string, samples: readonly Sample[]): Family => ({
    ...{ name, help, type: 'gauge', samples },
  })
  const one = (name: string, help: string, value: number) => count(name, help, [{ labels: {}, value }])
  const [major = '', minor = ''] = version.replace(/^v/, '').split('.')
  return renderFamilies([
    count('kubelet_node_name', "[ALPHA] The node's name. The count is always 1.", [
      { labels: { node: nodeName }, value: 1 },
    ]),
    count(
      'kubelet_running_containers',
      '[ALPHA] Number of containers currently running',
      [...states].map(([state, all]) => ({ labels: { container_state: state }, value: all.length })),
    ),
    one('kubelet_running_pods', '[ALPHA] Number of pods that have a running pod sandbox', sandboxes),
    {
      name: 'kubelet_preemptions',
      help: '[ALPHA] Cumulative number of pod preemptions by preemption resource',
      type: 'counter',
      samples: Array.from(input.preemptions, ([resource, value]) => ({
        ...{ labels: { preemption_signal: resource }, value },
      })),
    },
    ...volumeFamilies(input.volumes),
    count('kubernetes_build_info', "[ALPHA] A metric with a constant '1' value labeled by version.", [
      { labels: { git_version: version, major, minor }, value: 1 },
    ]),
    {
      ...one('process_cpu_seconds_total', 'Total user and system CPU time spent in seconds.', own.cpuSeconds),
      type: 'counter',
    },
    one('process_resident_memory_bytes', 'Resident memory size in bytes.', own.residentBytes),
    one(
      'process_start_time_seconds',
      'Start time of the process since unix epoch in seconds.',
      own.startedAtSeconds,
    ),
  ])
}

/** Of claims only, each once, however many pods have it. */
function volumeFamilies(volumes: readonly VolumeStats[]): Family[] {
  const claims = new Map(
    volumes.flatMap(stats =>
      stats.pvcRef === undefined ? [] : [[`${stats.pvcRef.namespace}/${stats.pvcRef.name}`, stats] as const],
    ),
  )
  return VOLUME_STATS.map(([name, help, value]) => ({
    name: `kubelet_volume_stats_${name}`,
    help: `[ALPHA] ${help}`,
    type: 'gauge' as const,
    samples: [...claims.values()].flatMap(stats => {
      const amount = value(stats)
      const { namespace = '', name: claim = '' } = stats.pvcRef ?? {}
      return amount === undefined
        ? []
        : [{ labels: { namespace, persistentvolumeclaim: claim }, value: amount }]
    }),
  }))
}

export function renderProbeMetrics(counts: readonly ProbeCount[]): string {
  const help = '[BETA] Cumulative number of a liveness, readiness or startup probe for a container by result.'
  return renderFamilies([{ name: 'prober_probe_total', help, type: 'counter', samples: counts }])
}

export const renderHealth = (figures: ReturnType<HealthFigures['metrics']>): string =>
  renderFamilies(
    [...Map.groupBy(figures, ({ name }) => name).values()].flatMap(samples =>
      samples.slice(0, 1).map(({ name, help, type }) => ({ name, help, type, samples })),
    ),
  )
