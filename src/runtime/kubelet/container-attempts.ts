/** Starts and restarts one pod's containers, and remembers how often that failed and when it may be tried again. */

import { type BackoffConfig, backoffMs, FailureCounter } from '../../base/backoff.ts'
import type { Pod } from '../../kube/types.ts'
import { ContainerStartError } from './container-start-error.ts'
import { type StartRequest, startContainer } from './container-starter.ts'
import { latestOf, type PodAction } from './plan-pod.ts'
import { containerNamed } from './pod-containers.ts'
import { type PodContext, recordPodEvent } from './pod-context.ts'
import { podText } from './pod-identity.ts'
import type { PodReporter } from './pod-reporter.ts'
import { probeOf } from './probes/plan-probe.ts'
import { goDuration, type RestartBackoff, restoreBackoff } from './restart-backoff.ts'
import type { ContainerStatus } from './runtime/runtime.ts'
import { stopContainers } from './stop-containers.ts'

type ActionOf<Kind> = PodAction & { readonly kind: Kind }

export interface ContainerAttemptsParts {
  readonly context: PodContext
  readonly reporter: PodReporter
  readonly retry: BackoffConfig
  readonly wakeIn: (delayMs: number) => void
}

export class ContainerAttempts {
  readonly #parts: ContainerAttemptsParts
  readonly #backoffs = new Map<string, RestartBackoff>()
  readonly #saidBackoff = new Map<string, number>()
  /** How often in a row a container could not even be created. */
  readonly #startFailures = new FailureCounter()
  #isStarting = false

  constructor(parts: ContainerAttemptsParts) {
    this.#parts = parts
  }

  get isStarting(): boolean {
    return this.#isStarting
  }

  backoff(name: string): RestartBackoff | undefined {
    return this.#backoffs.get(name)
  }

  /** After a restart of the kubelet: back-off goes on where it was. */
  restore(containers: readonly ContainerStatus[]): void {
    for (const { name } of containers) {
      if (this.#backoffs.has(name)) continue
      const latest = latestOf(name, containers)
      const restored = latest && restoreBackoff(latest.attempt, latest.startedAt)
      if (restored !== undefined) this.#backoffs.set(name, restored)
    }
  }

  /** Returns whether the container runs now. */
  async start(
    action: ActionOf<'start-container'>,
    request: Omit<StartRequest, 'container' | 'attempt'>,
  ): Promise<boolean> {
    const container = containerNamed(request.pod, action.name)
    if (container === undefined) return false
    if (action.backoff !== undefined) this.#backoffs.set(action.name, action.backoff)
    try {
      this.#isStarting = true
      await startContainer({ ...request, container, attempt: action.attempt }, this.#parts.context)
      this.#parts.reporter.waiting.delete(action.name)
      this.#startFailures.forget(action.name)
      return true
    } catch (error) {
      if (!(error instanceof ContainerStartError)) throw error
      this.#noteFailure(request.pod, action.name, error)
      return false
    } finally {
      this.#isStarting = false
    }
  }

  #noteFailure(pod: Pod, name: string, error: ContainerStartError): void {
    const { reporter, context, wakeIn, retry } = this.#parts
    reporter.waiting.set(name, { reason: error.reason, message: error.message })
    // What a hook says may be a secret, and it is not what the container left.
    if (error.reason !== 'PostStartHookError') {
      if (error.containerId !== undefined) reporter.messages.set(error.containerId, error.message)
      this.#event(pod, 'Warning', 'Failed', error.eventMessage, name)
    }
    // One that exists is restarted with back-off by the plan; one that does not is tried again here.
    if (error.containerId !== undefined) wakeIn(0)
    else if (error.retryAtMs !== undefined) wakeIn(error.retryAtMs - context.clock.now())
    else wakeIn(backoffMs(retry, this.#startFailures.fail(name) + 1))
  }

  /** Ends a container whose probe failed; the plan starts it again. */
  async kill(
    pod: Pod,
    action: ActionOf<'kill-container'>,
    containers: readonly ContainerStatus[],
  ): Promise<void> {
    const container = containerNamed(pod, action.name)
    const probe = container && action.probe && probeOf(container, action.probe)
    const graceMs =
      (probe?.terminationGracePeriodSeconds ?? pod.spec?.terminationGracePeriodSeconds ?? 30) * 1_000
    this.#event(pod, 'Normal', 'Killing', action.message, action.name)
    const target = containers.filter(({ id }) => id === action.id)
    await stopContainers({ pod, containers: target, graceMs, isQuiet: true }, this.#parts.context)
  }

  backOff(pod: Pod, action: ActionOf<'back-off'>): void {
    const { reporter, wakeIn, context } = this.#parts
    const delay = goDuration(action.delayMs)
    const message = `back-off ${delay} restarting failed container=${action.name} pod=${podText(pod)}`
    reporter.waiting.set(action.name, { reason: 'CrashLoopBackOff', message })
    wakeIn(action.untilMs - context.clock.now())
    if (this.#saidBackoff.get(action.name) === action.untilMs) return
    this.#saidBackoff.set(action.name, action.untilMs)
    const text = `Back-off restarting failed container ${action.name} in pod ${podText(pod)}`
    this.#event(pod, 'Warning', 'BackOff', text, action.name)
  }

  #event(pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string, container: string): void {
    recordPodEvent(this.#parts.context.recorder, pod, { type, reason, message, container })
  }
}
