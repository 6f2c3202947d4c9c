/**
 * Resizes one pod in place: decides with what the node has left, gives the running containers what they were
 * allocated, restarts those that ask for it, and says how far it is.
 */

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { messageOf } from '../../../base/errors.ts'
import { rename } from '../../../host/rename.ts'
import { qosClassOf } from '../../../kube/qos.ts'
import type { Container, Pod } from '../../../kube/types.ts'
import { renderResources } from '../container-security.ts'
import { latestOf } from '../plan-pod.ts'
import { containerNamed } from '../pod-containers.ts'
import { type PodContext, recordPodEvent } from '../pod-context.ts'
import { identityOf } from '../pod-identity.ts'
import type { PodResources } from '../runtime/cgroup-limits.ts'
import type { ContainerStatus, SandboxStatus } from '../runtime/runtime.ts'
import { stopContainers } from '../stop-containers.ts'
import {
  type Allocation,
  allocatedPod,
  allocationOf,
  changedResources,
  judgeResize,
  needsRestart,
  type Requirements,
  type ResizeRefusal,
  sameAllocation,
} from './allocation.ts'
import { podResources, withPodLimits } from './pod-resources.ts'

/** With what a container was made. */
export const RESOURCES_ANNOTATION = 'io.kubernetes.container.resources'
/** What could not be done is tried again after this. */
const RETRY_MS = 10_000

export interface ResizeState {
  readonly pending?: ResizeRefusal | undefined
  readonly inProgress?: { readonly error?: string | undefined; readonly generation: number } | undefined
}

interface Kept {
  readonly allocation: Allocation
  /** By container id: what was given to it after it had been made. */
  readonly actuated: Record<string, Requirements>
  /** What the pod as a whole has had until its resize is done. */
  readonly before?: Requirements | undefined
}

export interface PodResizerParts {
  readonly context: PodContext
  readonly wakeIn: (delayMs: number) => void
  /** This pod needs less than before. */
  readonly onFreed: () => void
}

export class PodResizer {
  readonly #parts: PodResizerParts
  #kept: Kept | undefined
  #pending: ResizeRefusal | undefined
  #inProgress: ResizeState['inProgress']
  readonly #restarted = new Set<string>()

  constructor(parts: PodResizerParts) {
    this.#parts = parts
  }

  get state(): ResizeState {
    return { pending: this.#pending, inProgress: this.#inProgress }
  }

  /** The pod with what it has been given. */
  allocated(pod: Pod): Pod {
    return this.#kept === undefined ? pod : allocatedPod(pod, this.#kept.allocation)
  }

  /** What a container has now; undefined where nothing is known. */
  actuated(container: ContainerStatus): Requirements | undefined {
    return this.#kept?.actuated[container.id] ?? madeWith(container)
  }

  /** What the pod as a whole has now, where it says what it wants; undefined where it does not. */
  get actuatedWhole(): Requirements | undefined {
    const { before, allocation } = this.#kept ?? {}
    return allocation?.pod && (before ?? allocation.pod)
  }

  /** It was ended for new resources, and starts again whatever it said at its end. */
  isRestarted(containerId: string): boolean {
    return this.#restarted.has(containerId)
  }

  /** Takes what the pod wants for what it is given, if the node has it. */
  async settle(pod: Pod, containers: readonly ContainerStatus[]): Promise<void> {
    this.#kept ??= (await this.#load(pod)) ?? { allocation: allocationAtStart(pod, containers), actuated: {} }
    const wanted = allocationOf(pod)
    if (sameAllocation(wanted, this.#kept.allocation)) {
      this.#pending = undefined
      return
    }
    const refusal = this.#judge(pod)
    if (refusal !== null) return this.#refuse(pod, refusal)
    this.#pending = undefined
    const { before = this.#kept.allocation.pod ?? {} } = this.#kept
    this.#kept = { ...this.#kept, allocation: wanted, before }
    await this.#save(pod)
    this.#inProgress = { generation: pod.metadata.generation ?? 0 }
    this.#event(pod, 'Normal', 'ResizeStarted', `Pod resize started: ${this.#described(pod)}`)
  }

  #judge(pod: Pod): ResizeRefusal | null {
    const { runtime, room, cpus } = this.#parts.context
    if (runtime.updateContainer === undefined) {
      const message = `the ${runtime.name} runtime limits no resources, so that nothing can be resized`
      return { reason: 'Infeasible', message }
    }
    if (cpus.isStatic && qosClassOf(pod) === 'Guaranteed') {
      const message = 'Resize is infeasible for Guaranteed Pods alongside CPU Manager static policy'
      return { reason: 'Infeasible', message }
    }
    return judgeResize(pod, room(identityOf(pod).uid))
  }

  #refuse(pod: Pod, refusal: ResizeRefusal): void {
    const isSame = this.#pending?.reason === refusal.reason && this.#pending.message === refusal.message
    this.#pending = refusal
    if (isSame) return
    const text = `Pod resize ${refusal.reason}: ${this.#described(pod, refusal.message)}`
    this.#event(pod, 'Warning', `Resize${refusal.reason}`, text)
  }

  /** Returns whether something changed that the next plan must see. */
  async actuate(
    pod: Pod,
    sandbox: SandboxStatus | undefined,
    containers: readonly ContainerStatus[],
  ): Promise<boolean> {
    if (this.#parts.context.runtime.updateContainer === undefined) return false
    const behind = this.#behind(pod, containers)
    if (behind.length === 0) {
      if (this.#inProgress !== undefined) await this.#complete(pod, sandbox)
      return false
    }
    this.#inProgress = { ...this.#inProgress, generation: pod.metadata.generation ?? 0 }
    let hasRestarted = false
    try {
      await this.#refuseTooSmall(behind)
      await this.#widen(pod, sandbox, containers)
      for (const each of behind) hasRestarted = (await this.#give(pod, each)) || hasRestarted
      if (!hasRestarted) await this.#complete(pod, sandbox)
    } catch (error) {
      const generation = pod.metadata.generation ?? 0
      if (this.#inProgress?.error !== messageOf(error)) {
        const text = `Pod resize error: ${this.#described(pod, messageOf(error))}`
        this.#event(pod, 'Warning', 'ResizeError', text)
      }
      this.#inProgress = { error: messageOf(error), generation }
      this.#parts.wakeIn(RETRY_MS)
    }
    return hasRestarted
  }

  #behind(pod: Pod, containers: readonly ContainerStatus[]): Behind[] {
    const allocated = this.allocated(pod)
    return containers.flatMap(status => {
      const container = containerNamed(allocated, status.name)
      const has = this.actuated(status)
      if (status.state !== 'running' || container === undefined || has === undefined) return []
      if (latestOf(status.name, containers)?.id !== status.id) return []
      const changed = changedResources(has, container.resources)
      const isBehind = changed.length > 0 || this.#inheritsOthers(allocated, container, has)
      return isBehind ? [{ status, container, changed, has }] : []
    })
  }

  /** What it has no limit of its own for is limited as the pod was, which is another limit by now. */
  #inheritsOthers(allocated: Pod, container: Container, has: Requirements): boolean {
    const before = this.#kept?.before
    if (before === undefined || allocated.spec === undefined) return false
    const earlier = { ...allocated, spec: { ...allocated.spec, resources: before } }
    const [was, is] = [withPodLimits({ resources: has }, earlier), withPodLimits(container, allocated)]
    return changedResources(was, is).length > 0
  }

  async #give(pod: Pod, { status, container, changed }: Behind): Promise<boolean> {
    const { context } = this.#parts
    const allocated = this.allocated(pod)
    if (needsRestart(container, changed)) {
      const message = `Container ${container.name} resize requires restart`
      this.#event(pod, 'Normal', 'Killing', message, container.name)
      this.#restarted.add(status.id)
      const graceMs = (pod.spec?.terminationGracePeriodSeconds ?? 30) * 1_000
      await stopContainers({ pod, containers: [status], graceMs, isQuiet: true }, context)
      return true
    }
    await context.runtime.updateContainer?.(status.id, renderResources(container, allocated))
    if (this.#kept !== undefined) this.#kept.actuated[status.id] = container.resources ?? {}
    await this.#save(pod)
    return false
  }

  /** Less memory than is in use would end the container instead of resizing it. */
  async #refuseTooSmall(behind: readonly Behind[]): Promise<void> {
    const shrinking = behind.filter(({ container, changed, has }) => {
      if (needsRestart(container, changed)) return false
      const before = renderResources({ resources: has }).memoryLimitBytes
      const after = renderResources(container).memoryLimitBytes
      return after !== undefined && before !== undefined && after < before
    })
    if (shrinking.length === 0) return
    const usage = await this.#parts.context.runtime.containerUsage()
    for (const { status, container } of shrinking) {
      const limit = renderResources(container).memoryLimitBytes ?? 0
      const used = usage.find(({ id }) => id === status.id)?.usageBytes ?? 0
      if (used < limit) continue
      throw new Error(`attempting to set container memory limit (${limit}) below current usage (${used})`)
    }
  }

  /** The pod's own group holds the old and the new until the containers have been changed. */
  async #widen(
    pod: Pod,
    sandbox: SandboxStatus | undefined,
    containers: readonly ContainerStatus[],
  ): Promise<void> {
    if (sandbox === undefined || this.#kept === undefined) return
    const given = { ...this.#kept.allocation.containers }
    for (const status of containers) {
      const has = status.state === 'running' ? this.actuated(status) : undefined
      if (has !== undefined) given[status.name] = has
    }
    const { allocation, before: whole = allocation.pod } = this.#kept
    const had = { containers: given, ...(allocation.pod && whole ? { pod: whole } : {}) }
    const before = podResources(allocatedPod(pod, had))
    const after = podResources(this.allocated(pod))
    await this.#parts.context.runtime.updateSandbox?.(sandbox.id, widest(before, after))
  }

  async #complete(pod: Pod, sandbox: SandboxStatus | undefined): Promise<void> {
    const { context, onFreed } = this.#parts
    const exact = podResources(this.allocated(pod), context.settings)
    if (sandbox !== undefined) await context.runtime.updateSandbox?.(sandbox.id, exact)
    if (this.#kept?.before !== undefined) {
      this.#kept = { ...this.#kept, before: undefined }
      await this.#save(pod)
    }
    this.#inProgress = undefined
    this.#event(pod, 'Normal', 'ResizeCompleted', `Pod resize completed: ${this.#described(pod)}`)
    onFreed()
  }

  /** In upstream's form. */
  #described(pod: Pod, error?: string): string {
    const containers = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])]
    const shown = containers
      .filter(({ resources }) => Object.keys(resources ?? {}).length > 0)
      .map(({ name, resources }) => ({ name, resources }))
    const { generation } = pod.metadata
    return JSON.stringify({ containers: shown, generation, ...(error === undefined ? {} : { error }) })
  }

  #pathOf(pod: Pod): string {
    return join(this.#parts.context.directories.pods, identityOf(pod).uid, 'resources.json')
  }

  async #load(pod: Pod): Promise<Kept | undefined> {
    const text = await readFile(this.#pathOf(pod), 'utf8').catch(() => undefined)
    return text === undefined ? undefined : (JSON.parse(text) as Kept)
  }

  async #save(pod: Pod): Promise<void> {
    const path = this.#pathOf(pod)
    await mkdir(dirname(path), { recursive: true, mode: 0o750 })
    await writeFile(`${path}.new`, JSON.stringify(this.#kept), { mode: 0o600 })
    await rename(`${path}.new`, path)
  }

  #event(pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string, container?: string): void {
    const about = container === undefined ? {} : { container }
    recordPodEvent(this.#parts.context.recorder, pod, { type, reason, message, ...about })
  }
}

interface Behind {
  readonly status: ContainerStatus
  readonly container: Container
  readonly changed: readonly string[]
  readonly has: Requirements
}

function madeWith({ annotations }: ContainerStatus): Requirements | undefined {
  const text = annotations[RESOURCES_ANNOTATION]
  return text === undefined ? undefined : (JSON.parse(text) as Requirements)
}

/** What ran before this kubelet did keeps what it has until the resize is decided. */
function allocationAtStart(pod: Pod, containers: readonly ContainerStatus[]): Allocation {
  const wanted = allocationOf(pod)
  const given = Object.entries(wanted.containers).map(([name, resources]) => {
    const latest = latestOf(name, containers)
    return [name, (latest && madeWith(latest)) ?? resources] as const
  })
  return { ...wanted, containers: Object.fromEntries(given) }
}

function widest(a: PodResources, b: PodResources): PodResources {
  const most = (left: number | undefined, right: number | undefined) =>
    left === undefined || right === undefined ? undefined : Math.max(left, right)
  return {
    cpuRequestMillis: Math.max(a.cpuRequestMillis ?? 0, b.cpuRequestMillis ?? 0),
    cpuLimitMillis: most(a.cpuLimitMillis, b.cpuLimitMillis),
    memoryLimitBytes: most(a.memoryLimitBytes, b.memoryLimitBytes),
    pidsMax: b.pidsMax,
    hugepages: b.hugepages,
  }
}
