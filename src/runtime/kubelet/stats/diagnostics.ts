/** What the kubelet's port tells of the node: pods, usage, metrics, configuration. */
import type { Clock } from '../../../base/clock.ts'
import { HealthFigures } from '../../../base/health-figures.ts'
import type { Pod } from '../../../kube/types.ts'
import type { NodeAdmission } from '../admission/node-admission.ts'
import { IMAGE_LIMITS } from '../collection/plan-images.ts'
import { LOG_LIMITS } from '../collection/plan-rotation.ts'
import type { KubeletDirectories, KubeletSettings } from '../kubelet-parts.ts'
import type { PressureSettings } from '../pressure/eviction-settings.ts'
import type { Threshold } from '../pressure/thresholds.ts'
import type { ProbeCounts } from '../probes/probe-counts.ts'
import { PODS_MAX } from '../resources/node-allocatable.ts'
import { goDuration } from '../restart-backoff.ts'
import type { ContainerStatus, Runtime } from '../runtime/runtime.ts'
import type { ShutdownStep } from '../shutdown/plan-shutdown.ts'
import { localUseOf, totalOf } from './local-storage.ts'
import type { InterfaceCounts } from './pod-network.ts'
import { interfacesOf, readGroups } from './read-groups.ts'
import { renderCadvisor } from './render-cadvisor.ts'
import { renderHealth, renderKubeletMetrics, renderProbeMetrics } from './render-kubelet-metrics.ts'
import { renderResourceMetrics } from './render-metrics.ts'
import { renderSummary } from './render-summary.ts'
import type { UsageSampler } from './usage-sampler.ts'
import { type VolumeStats, type VolumeStatsParts, volumeStatsOf } from './volume-stats.ts'

export interface DiagnosticsParts {
  readonly nodeName: string
  readonly startedAtMs: number
  readonly version: string
  readonly machine: { readonly cpuCount: number; readonly memoryBytes: number }
  readonly probes: Pick<ProbeCounts, 'all'>
  readonly admission: Pick<NodeAdmission, 'preemptions'>
  readonly clock: Clock
  readonly runtime: Runtime
  readonly sampler: UsageSampler
  readonly pods: () => readonly Pod[]
  readonly directories: Pick<KubeletDirectories, 'pods' | 'logs' | 'manifests'>
  readonly settings: Pick<KubeletSettings, 'clusterDns' | 'clusterDomain'>
  readonly pressure: PressureSettings
  readonly shutdownSteps: readonly ShutdownStep[]
  readonly volumes: Omit<VolumeStatsParts, 'pods'>
}

export interface Answer {
  readonly type: string
  readonly body: string
}

/** Of claims alone nothing on the node's own disk is counted. */
const NOTHING_LOCAL = { emptyDirs: new Map<string, number>(), logBytes: 0 }
/** What a kubelet that answers is well in, under upstream's names. */
const HEALTH_CHECKS = ['ping', 'log', 'syncloop']
const JSON_TYPE = 'application/json'
const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'
const metrics = (body: string): Answer => ({ type: METRICS_TYPE, body })
const json = (value: unknown): Answer => ({ type: JSON_TYPE, body: JSON.stringify(value) })

export class Diagnostics {
  readonly #parts: DiagnosticsParts
  readonly #health = new HealthFigures()

  constructor(parts: DiagnosticsParts) {
    this.#parts = parts
  }

  /** Somebody has asked whether the kubelet is well. */
  healthAsked(): void {
    for (const check of HEALTH_CHECKS) this.#health.record('healthz', check, true)
  }

  /** Null for what is none of its paths. */
  async answer(path: string, query: URLSearchParams): Promise<Answer | null> {
    switch (path) {
      case '/pods':
      case '/pods/':
        return json(podList(this.#parts.pods()))
      case '/runningpods':
      case '/runningpods/':
        return json(podList(runningPods(await this.#parts.runtime.listContainers(), this.#parts.pods())))
      case '/configz':
        return json({ kubeletconfig: this.#configuration() })
      case '/stats/summary':
      case '/stats/summary/':
        return json(await this.#summary(query.get('only_cpu_and_memory') === 'true'))
      case '/metrics/resource':
        return metrics(renderResourceMetrics(await this.#metricsInput()))
      case '/metrics/cadvisor':
        return metrics(await this.#cadvisor())
      case '/metrics/probes':
        return metrics(renderProbeMetrics(this.#parts.probes.all()))
      case '/metrics':
        return metrics(await this.#own())
      case '/metrics/slis':
        return metrics(renderHealth(this.#health.metrics()))
      case '/healthz/ping':
      case '/healthz/log':
      case '/healthz/syncloop':
        return { type: 'text/plain; charset=utf-8', body: 'ok' }
      default:
        return null
    }
  }

  async #metricsInput() {
    const { runtime, sampler, pods } = this.#parts
    const sample = await sampler.sample()
    return { pods: pods(), containers: await runtime.listContainers(), sample }
  }

  async #cadvisor(): Promise<string> {
    const { runtime, machine, clock } = this.#parts
    const input = await this.#metricsInput()
    const read = await readGroups({ ...input, groups: runtime.groups, nowMs: clock.now() })
    return renderCadvisor({ ...read, node: input.sample.node.usage, machine })
  }

  async #own(): Promise<string> {
    const { runtime, nodeName, version, startedAtMs, directories, volumes: parts, pods } = this.#parts
    const [sandboxes, containers] = await Promise.all([runtime.listSandboxes(), runtime.listContainers()])
    const volumes: VolumeStats[] = []
    for (const pod of pods()) {
      volumes.push(...(await volumeStatsOf(pod, NOTHING_LOCAL, { ...parts, pods: directories.pods })))
    }
    const { userCPUTime, systemCPUTime } = process.resourceUsage()
    return renderKubeletMetrics({
      ...{ nodeName, version, volumes, containers },
      preemptions: this.#parts.admission.preemptions,
      sandboxes: sandboxes.filter(({ state }) => state === 'ready').length,
      own: {
        cpuSeconds: (userCPUTime + systemCPUTime) / 1e6,
        residentBytes: process.memoryUsage.rss(),
        startedAtSeconds: startedAtMs / 1_000,
      },
    })
  }

  async #summary(onlyCpuAndMemory: boolean): Promise<object> {
    const { nodeName, startedAtMs, directories, volumes: parts, runtime } = this.#parts
    const input = await this.#metricsInput()
    const localBytes = new Map<string, number>()
    const volumes = new Map<string, readonly VolumeStats[]>()
    const networks = new Map<string, readonly InterfaceCounts[]>()
    if (!onlyCpuAndMemory) {
      for (const pod of input.pods) {
        const { uid = '' } = pod.metadata
        const local = await localUseOf(pod, directories)
        localBytes.set(uid, totalOf(local))
        volumes.set(uid, await volumeStatsOf(pod, local, { ...parts, pods: directories.pods }))
        networks.set(uid, await interfacesOf(pod, { groups: runtime.groups }))
      }
    }
    return renderSummary({ ...input, nodeName, startedAtMs, onlyCpuAndMemory, localBytes, volumes, networks })
  }

  #configuration(): object {
    const { settings, directories, pressure, shutdownSteps } = this.#parts
    return {
      kind: 'KubeletConfiguration',
      apiVersion: 'kubelet.config.k8s.io/v1beta1',
      authentication: { anonymous: { enabled: false }, webhook: { enabled: true, cacheTTL: '2m0s' } },
      authorization: { mode: 'Webhook' },
      clusterDNS: [settings.clusterDns],
      clusterDomain: settings.clusterDomain,
      containerLogMaxSize: `${LOG_LIMITS.fileBytesMax / 1024 ** 2}Mi`,
      containerLogMaxFiles: LOG_LIMITS.filesMax,
      imageGCHighThresholdPercent: IMAGE_LIMITS.highPercent,
      imageGCLowThresholdPercent: IMAGE_LIMITS.lowPercent,
      imageMinimumGCAge: `${IMAGE_LIMITS.leastAgeMs / 60_000}m0s`,
      maxPods: PODS_MAX,
      staticPodPath: directories.manifests ?? '',
      ...shownEviction(pressure),
      ...shownShutdown(shutdownSteps),
    }
  }
}

/** Under the names that upstream's configuration has. */
function shownEviction({ thresholds, transitionMs, maxPodGraceMs = 0 }: PressureSettings): object {
  const soft = thresholds.filter(({ graceMs }) => graceMs !== undefined)
  const hard = thresholds.filter(({ graceMs }) => graceMs === undefined)
  const bySignal = <T>(some: readonly Threshold[], shown: (threshold: Threshold) => T) =>
    Object.fromEntries(some.map(threshold => [threshold.signal, shown(threshold)]))
  const reclaiming = thresholds.filter(({ reclaim }) => reclaim !== undefined)
  const reclaim = bySignal(reclaiming, each => each.reclaim)
  return {
    evictionHard: bySignal(hard, ({ value }) => value),
    ...(soft.length === 0 ? {} : { evictionSoft: bySignal(soft, ({ value }) => value) }),
    ...(soft.length === 0
      ? {}
      : { evictionSoftGracePeriod: bySignal(soft, ({ graceMs = 0 }) => goDuration(graceMs)) }),
    ...(reclaiming.length === 0 ? {} : { evictionMinimumReclaim: reclaim }),
    ...(maxPodGraceMs === 0 ? {} : { evictionMaxPodGracePeriod: maxPodGraceMs / 1_000 }),
    evictionPressureTransitionPeriod: goDuration(transitionMs),
  }
}

function shownShutdown(steps: readonly ShutdownStep[]): object {
  if (steps.length === 0) return { shutdownGracePeriod: '0s', shutdownGracePeriodCriticalPods: '0s' }
  const shutdownGracePeriodByPodPriority = steps.map(({ priority, graceMs }) => ({
    ...{ priority, shutdownGracePeriodSeconds: graceMs / 1_000 },
  }))
  return { shutdownGracePeriodByPodPriority }
}

const podList = (items: readonly Pod[]): object => ({
  kind: 'PodList',
  apiVersion: 'v1',
  metadata: {},
  items,
})

/** Pods as the runtime knows them: those with a running container, and these containers only. */
function runningPods(containers: readonly ContainerStatus[], pods: readonly Pod[]): Pod[] {
  const running = containers.filter(({ state }) => state === 'running')
  const byPod = Map.groupBy(running, ({ podUid }) => podUid)
  return pods.flatMap(({ metadata: { name, namespace, uid = '' } }) => {
    const own = byPod.get(uid)
    if (own === undefined) return []
    const spec = {
      containers: own.map(({ name: container, image }) => ({ name: container, image, resources: {} })),
    }
    const metadata = { ...(name ? { name } : {}), ...(namespace ? { namespace } : {}), uid }
    return [{ apiVersion: 'v1', kind: 'Pod', metadata, spec, status: {} }]
  })
}
