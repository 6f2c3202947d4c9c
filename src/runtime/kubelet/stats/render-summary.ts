/** `/stats/summary` (pure): what the node, its pods and their containers use, in the kubelet API's own words. */
import { formatTime } from '../../../kube/time.ts'
import type { Pod } from '../../../kube/types.ts'
import type { DiskFacts } from '../host-facts.ts'
import type { ContainerStatus } from '../runtime/runtime.ts'
import type { ContainerUsage } from '../runtime/usage.ts'
import type { NodeUsage } from './node-usage.ts'
import type { InterfaceCounts } from './pod-network.ts'
import type { Rated, UsageSample } from './usage-sampler.ts'
import type { VolumeStats } from './volume-stats.ts'

export interface SummaryInput {
  readonly nodeName: string
  readonly startedAtMs: number
  readonly pods: readonly Pod[]
  readonly containers: readonly ContainerStatus[]
  readonly sample: UsageSample
  readonly onlyCpuAndMemory: boolean
  /** Bytes of a pod's emptyDirs and logs, by uid. */
  readonly localBytes: ReadonlyMap<string, number>
  /** What a pod's volumes have and use, by uid. */
  readonly volumes: ReadonlyMap<string, readonly VolumeStats[]>
  /** Of a pod's own interfaces, by uid. */
  readonly networks: ReadonlyMap<string, readonly InterfaceCounts[]>
}

export function renderSummary(input: SummaryInput): object {
  return { node: renderNode(input), pods: input.pods.flatMap(pod => renderPod(pod, input)) }
}

function renderNode({ nodeName, startedAtMs, sample: { node }, onlyCpuAndMemory }: SummaryInput): object {
  const { usage } = node
  const time = formatTime(usage.timeMs)
  const used = usage.memoryBytes - usage.availableBytes
  const head = {
    nodeName,
    startTime: formatTime(startedAtMs),
    cpu: renderCpu(node),
    memory: {
      time,
      availableBytes: usage.availableBytes,
      usageBytes: used,
      workingSetBytes: used,
      rssBytes: usage.rssBytes,
      pageFaults: usage.pageFaults,
      majorPageFaults: usage.majorPageFaults,
    },
  }
  if (onlyCpuAndMemory) return head
  const [first] = usage.network
  return {
    ...head,
    network: { time, ...(first ?? { name: '' }), interfaces: usage.network },
    fs: renderDisk(usage.nodeDisk, time),
    runtime: { imageFs: renderDisk(usage.imageDisk, time), containerFs: renderDisk(usage.imageDisk, time) },
    rlimit: { time, maxpid: usage.processesMax, curproc: usage.processes },
  }
}

function renderDisk(disk: DiskFacts, time: string): object {
  return {
    time,
    availableBytes: disk.availableBytes,
    capacityBytes: disk.capacityBytes,
    usedBytes: disk.capacityBytes - disk.availableBytes,
    inodesFree: disk.inodesFree,
    inodes: disk.inodes,
    inodesUsed: disk.inodes - disk.inodesFree,
  }
}

function renderCpu({ usage, nanoCores }: Rated<ContainerUsage | NodeUsage>): object {
  return {
    time: formatTime(usage.timeMs),
    ...(nanoCores === undefined ? {} : { usageNanoCores: nanoCores }),
    usageCoreNanoSeconds: usage.cpuNanos,
  }
}

/** Pods of which nothing runs use nothing. */
function renderPod(pod: Pod, input: SummaryInput): object[] {
  const { name = '', namespace = '', uid = '' } = pod.metadata
  const running = runningOf(pod, input.containers, input.sample)
  if (running.length === 0) return []
  const times = running.map(({ rated }) => rated.usage.timeMs)
  const time = formatTime(Math.max(...times))
  const sum = (pick: (usage: ContainerUsage) => number) =>
    running.reduce((total, { rated }) => total + pick(rated.usage), 0)
  const known = running.filter(({ rated }) => rated.nanoCores !== undefined)
  const nanoCores = known.reduce((total, { rated }) => total + (rated.nanoCores ?? 0), 0)
  const local = (input.localBytes.get(uid) ?? 0) + sum(usage => usage.writable?.bytes ?? 0)
  return [
    {
      podRef: { name, namespace, uid },
      startTime: pod.status?.startTime,
      containers: running.map(each => renderContainer(each, input.onlyCpuAndMemory)),
      cpu: {
        time,
        ...(known.length === 0 ? {} : { usageNanoCores: nanoCores }),
        usageCoreNanoSeconds: sum(usage => usage.cpuNanos),
      },
      memory: {
        time,
        usageBytes: sum(usage => usage.usageBytes),
        workingSetBytes: sum(usage => usage.workingSetBytes),
        rssBytes: sum(usage => usage.rssBytes),
        pageFaults: sum(usage => usage.pageFaults),
        majorPageFaults: sum(usage => usage.majorPageFaults),
      },
      ...(input.onlyCpuAndMemory
        ? {}
        : {
            ...renderNetwork(input.networks.get(uid) ?? [], time),
            ...renderVolumes(input.volumes.get(uid) ?? [], time),
            'ephemeral-storage': { ...renderDisk(input.sample.node.usage.nodeDisk, time), usedBytes: local },
            process_stats: { process_count: sum(usage => usage.processes) },
          }),
    },
  ]
}

/** The first is the one of the pod network. */
function renderNetwork(counts: readonly InterfaceCounts[], time: string): object {
  const interfaces = counts.map(({ name, received, sent }) => ({
    ...{ name, rxBytes: received.bytes, rxErrors: received.errors },
    ...{ txBytes: sent.bytes, txErrors: sent.errors },
  }))
  const first = interfaces.find(({ name }) => name === 'eth0') ?? interfaces[0]
  return first === undefined ? {} : { network: { time, ...first, interfaces } }
}

const renderVolumes = (volumes: readonly VolumeStats[], time: string): object =>
  volumes.length === 0 ? {} : { volume: volumes.map(each => ({ time, ...each })) }

interface RunningContainer {
  readonly status: ContainerStatus
  readonly rated: Rated<ContainerUsage>
}

export function runningOf(
  pod: Pod,
  containers: readonly ContainerStatus[],
  sample: UsageSample,
): RunningContainer[] {
  return containers.flatMap(status => {
    const rated = sample.containers.get(status.id)
    const isIts = status.podUid === pod.metadata.uid && status.state === 'running'
    return isIts && rated !== undefined ? [{ status, rated }] : []
  })
}

function renderContainer({ status, rated }: RunningContainer, onlyCpuAndMemory: boolean): object {
  const { usage } = rated
  const time = formatTime(usage.timeMs)
  const { usageBytes, workingSetBytes, rssBytes, pageFaults, majorPageFaults, writable } = usage
  return {
    name: status.name,
    startTime: formatTime(status.startedAt),
    cpu: renderCpu(rated),
    memory: { time, usageBytes, workingSetBytes, rssBytes, pageFaults, majorPageFaults },
    ...(writable === undefined || onlyCpuAndMemory
      ? {}
      : { rootfs: { time, usedBytes: writable.bytes, inodesUsed: writable.inodes } }),
  }
}
