/** Keeps what a pod's status needs beyond the runtime's records, and writes the status when it changed. */

import { readFile } from 'node:fs/promises'
import { equalJson } from '../../kube/equality.ts'
import type { Pod, PodStatus } from '../../kube/types.ts'
import { terminationFile } from './container-starter.ts'
import { tailOfLog } from './log-reader.ts'
import { containerNamed } from './pod-containers.ts'
import type { PodContext } from './pod-context.ts'
import type { PodFailure } from './pod-failure.ts'
import { identityOf } from './pod-identity.ts'
import { isOver } from './pod-states.ts'
import type { ProbeManager } from './probes/probe-manager.ts'
import type { Waiting } from './render-container-status.ts'
import { OWN_CONDITIONS, renderPodStatus } from './render-pod-status.ts'
import type { Requirements } from './resources/allocation.ts'
import type { ResizeState } from './resources/pod-resizer.ts'
import type { ContainerStatus, SandboxStatus } from './runtime/runtime.ts'
import { isStatic } from './static/render-static-pod.ts'
import { StatusWriter } from './status-writer.ts'

const TERMINATION_BYTES_MAX = 4_096
const FALLBACK_LINES = 80
const FALLBACK_BYTES = 2_048

export interface ReportInput {
  readonly pod: Pod
  readonly sandboxes: readonly SandboxStatus[]
  readonly containers: readonly ContainerStatus[]
  /** Absent for a pod that ends. */
  readonly resize?: {
    readonly state: ResizeState
    readonly actuated: (container: ContainerStatus) => Requirements | undefined
    /** Of the pod as a whole. */
    readonly whole: Requirements | undefined
  }
  /** Containers are being ended, and some still run. */
  readonly isEnding?: boolean
  readonly isTerminated: boolean
}

export class PodReporter {
  /** Why containers wait, by name. */
  readonly waiting = new Map<string, Waiting>()
  /** Last words, by container id. */
  readonly messages = new Map<string, string>()
  readonly #context: PodContext
  readonly #probes: ProbeManager
  readonly #writer: StatusWriter
  /** Containers that the API called ready when this kubelet met the pod. */
  readonly #readyBefore: ReadonlySet<string>
  #failure: PodFailure | undefined
  #status: PodStatus | undefined

  constructor(context: PodContext, pod: Pod, probes: ProbeManager) {
    this.#context = context
    this.#probes = probes
    this.#status = pod.status
    const { client, clock, log } = context
    this.#writer = new StatusWriter({ client, clock, log, pod: () => context.reportedAs(pod) })
    const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])]
    const ready = statuses.filter(status => status.ready && status.containerID !== undefined)
    this.#readyBefore = new Set(ready.map(({ containerID = '' }) => containerID.replace(/^.*:\/\//, '')))
  }

  get startTime(): string | undefined {
    return this.#status?.startTime
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined
  }

  /** As it was last told. */
  get hasEnded(): boolean {
    return isOver(this.#status)
  }

  wasReady(containerId: string): boolean {
    return this.#readyBefore.has(containerId)
  }

  /** The kubelet ends the pod for a reason of its own. */
  fail(failure: PodFailure): void {
    this.#failure = failure
  }

  async report(input: ReportInput): Promise<void> {
    for (const container of input.containers) await this.#readLastWords(input.pod, container)
    const status = renderPodStatus({
      ...input,
      pod: this.#withOwnStatus(input.pod),
      hostAddress: this.#context.nodeAddress,
      secondAddress: this.#context.secondAddress?.(),
      nowMs: this.#context.clock.now(),
      failure: this.#failure,
      resize: input.resize?.state,
      whole: input.resize?.whole,
      facts: {
        runtimeName: this.#context.runtime.name,
        canResize: this.#context.runtime.updateContainer !== undefined,
        canRecurse: this.#context.runtime.obeys?.has('recursiveReadOnly') === true,
        devices: name => this.#healthOf(input.pod, name),
        actuated: container => input.resize?.actuated(container),
        waiting: name => this.waiting.get(name),
        isReady: id => this.#probes.verdict('readiness', id) === 'success',
        isStarted: id => this.#probes.verdict('startup', id) === 'success',
        terminationMessage: id => this.messages.get(id) ?? '',
      },
    })
    if (equalJson(status, this.#status) && !isOverruled(input.pod, status)) return
    this.#status = status
    this.#writer.write(status)
  }

  flush(): Promise<void> {
    return this.#writer.flush()
  }

  stop(): void {
    this.#writer.stop()
  }

  #healthOf(pod: Pod, name: string) {
    const { devices, claims } = this.#context
    const container = containerNamed(pod, name)
    const claimed = container === undefined ? [] : claims.healthOf(pod, container)
    return [...devices.healthOf(identityOf(pod).uid, name), ...claimed]
  }

  /** What was written last may not have come back yet; conditions of others come from the API only. */
  #withOwnStatus(pod: Pod): Pod {
    if (this.#status === undefined) return pod
    const own = (this.#status.conditions ?? []).filter(({ type }) => OWN_CONDITIONS.has(type))
    const foreign = (pod.status?.conditions ?? []).filter(({ type }) => !own.some(mine => mine.type === type))
    return { ...pod, status: { ...pod.status, ...this.#status, conditions: [...own, ...foreign] } }
  }

  async #readLastWords(pod: Pod, container: ContainerStatus): Promise<void> {
    if (container.state !== 'exited' || this.messages.has(container.id)) return
    const spec = containerNamed(pod, container.name)
    const { uid } = identityOf(pod)
    const path = terminationFile(this.#context.directories.pods, uid, container.name, container.attempt)
    const said = await readFile(path, 'utf8').catch(() => '')
    const wantsLog = spec?.terminationMessagePolicy === 'FallbackToLogsOnError' && container.exitCode !== 0
    const isSilent = said === '' && wantsLog
    const limits = { lines: FALLBACK_LINES, bytes: FALLBACK_BYTES }
    const words = isSilent ? await tailOfLog(container.logPath, limits) : said
    this.messages.set(container.id, words.slice(0, TERMINATION_BYTES_MAX))
  }
}

/** While the node was not ready, its pods were said not to be either; that they are is for the kubelet to say. */
export function isOverruled(told: Pod, own: PodStatus): boolean {
  // A mirror of a static pod that has just been made knows nothing yet.
  if (isStatic(told) && told.status?.startTime === undefined) return true
  const readyIn = (status: PodStatus | undefined) => status?.conditions?.find(({ type }) => type === 'Ready')
  return readyIn(told.status)?.status === 'False' && readyIn(own)?.status === 'True'
}
