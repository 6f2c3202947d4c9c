/**
 * The last part of a worker's work: what runs of a pod that is over ends, or the whole pod that is being deleted, with
 * what changes meanwhile being told.
 */
import type { BackoffConfig } from '../../base/backoff.ts'
import { messageOf } from '../../base/errors.ts'
import type { Pod } from '../../kube/types.ts'
import type { PodContext } from './pod-context.ts'
import { identityOf, podText } from './pod-identity.ts'
import type { PodReporter } from './pod-reporter.ts'
import { stopSandbox } from './pod-sandbox.ts'
import { isOver } from './pod-states.ts'
import { endPod } from './pod-termination.ts'
import { type Present, presentOf, runningOf } from './present.ts'
import type { ProbeManager } from './probes/probe-manager.ts'
import { hastenStop, stopContainers } from './stop-containers.ts'
import type { PodVolumes } from './volumes/pod-volumes.ts'
import { WakeLoop } from './wake-loop.ts'

export interface PodEndingParts {
  readonly context: PodContext
  readonly retry: BackoffConfig
  readonly probes: Pick<ProbeManager, 'keepReadiness' | 'retain' | 'stop'>
  readonly reporter: PodReporter
  readonly volumes: PodVolumes
  /** The pod as it is now. */
  readonly view: () => PodView
  readonly report: (present: Present) => Promise<void>
  /** While its containers end. */
  readonly tellEnding: (present: Present) => Promise<void>
  readonly onEvent: (type: 'Warning', reason: string, message: string) => void
}

interface PodView {
  readonly pod: Pod
  /** It is not in the API any more. */
  readonly isVanished: boolean
  /** The kubelet stops. */
  readonly isStopped: boolean
}

const GRACE_SECONDS = 30

export class PodEnding {
  readonly #parts: PodEndingParts
  /** The least that a deletion has left its containers; infinite while none has been begun with. */
  #leastGraceMs = Number.POSITIVE_INFINITY
  #finishGraceMs: number | undefined
  #isFinished = false
  /** While its containers end. */
  #reports: WakeLoop | undefined

  constructor(parts: PodEndingParts) {
    this.#parts = parts
  }

  wake(): void {
    this.#reports?.wake()
  }

  stop(): void {
    this.#reports?.stop()
  }

  /** Instead of what the pod grants its containers; undefined: as it grants. */
  finishWithin(graceMs: number | undefined): void {
    this.#finishGraceMs = graceMs
  }

  get #graceMs(): number {
    const { metadata, spec } = this.#parts.view().pod
    const { deletionGracePeriodSeconds } = metadata
    return (deletionGracePeriodSeconds ?? spec?.terminationGracePeriodSeconds ?? GRACE_SECONDS) * 1_000
  }

  /**
   * A second, more impatient deletion does not wait for the first one's grace period. The first one is the
   * worker's own affair, preStop hooks before all, unless it waits for a container that starts.
   */
  hasten({ isStarting }: { readonly isStarting: boolean }): void {
    const isFirst = this.#leastGraceMs === Number.POSITIVE_INFINITY
    if (isFirst && !isStarting) return
    if (this.#graceMs >= this.#leastGraceMs) return
    this.#leastGraceMs = this.#graceMs
    void hastenStop(identityOf(this.#parts.view().pod).uid, this.#graceMs, this.#parts.context)
  }

  /** The pod is over but stays in the API: nothing of it runs on. */
  async finish(): Promise<void> {
    const { context, view, volumes } = this.#parts
    const { pod } = view()
    const { uid } = identityOf(pod)
    const present = await this.#present()
    await this.#stopRunning(runningOf(present))
    for (const { id, state } of present.sandboxes) if (state === 'ready') await stopSandbox(id, context)
    await context.claims.unprepare(uid)
    const wasOver = isOver(view().pod.status)
    if (!wasOver) await this.#parts.report(await this.#present())
    // Whoever needs its last words has them by now.
    await volumes.remove()
    context.userRanges.forget(uid)
    context.objects.forget(uid)
    if (this.#isFinished || !wasOver) return
    this.#isFinished = true
    context.onFreed()
  }

  async #stopRunning(containers: Present['containers']): Promise<void> {
    const { context, view, probes } = this.#parts
    const { pod } = view()
    const seconds = pod.spec?.terminationGracePeriodSeconds ?? GRACE_SECONDS
    const graceMs = this.#finishGraceMs ?? seconds * 1_000
    probes.keepReadiness()
    const reports = this.#newReports()
    if (containers.length > 0) reports.wake()
    try {
      await stopContainers({ pod, containers, graceMs }, context)
    } finally {
      await this.#stopTelling(reports)
    }
  }

  /** The pod is deleted: nothing of it stays, here or in the API. */
  async end(): Promise<void> {
    const { context, view, volumes, reporter, probes, onEvent } = this.#parts
    this.#leastGraceMs = Math.min(this.#leastGraceMs, this.#graceMs)
    probes.keepReadiness()
    const reports = this.#newReports()
    const request = {
      pod: view().pod,
      graceMs: this.#leastGraceMs,
      isVanished: () => view().isVanished,
      ...{ volumes, reporter },
      onStopped: () => this.#stopTelling(reports),
    }
    try {
      await endPod(request, context)
    } catch (error) {
      reports.stop()
      if (!view().isStopped) onEvent('Warning', 'FailedKillPod', `error killing pod: ${messageOf(error)}`)
      throw error
    }
  }

  #present(): Promise<Present> {
    return presentOf(this.#parts.view().pod, this.#parts.context.runtime)
  }

  /** The worker's own step is taken by the end. */
  #newReports(): WakeLoop {
    const { context, retry, view } = this.#parts
    const { clock, log } = context
    this.#reports?.stop()
    this.#reports = new WakeLoop({
      ...{ clock, retry },
      step: () => this.#tell(),
      onFailure: error =>
        log.debug('a pod that ends could not be told of', { pod: podText(view().pod), error }),
    })
    return this.#reports
  }

  async #stopTelling(reports: WakeLoop): Promise<void> {
    reports.stop()
    this.#parts.probes.stop()
    await reports.settled()
  }

  async #tell(): Promise<void> {
    const { probes, view, tellEnding } = this.#parts
    const present = await this.#present()
    const running = runningOf(present)
    probes.retain(new Set(running.map(({ id }) => id)))
    // The end of the last one is told with the pod's.
    if (running.length > 0 && !view().isVanished) await tellEnding(present)
  }
}
