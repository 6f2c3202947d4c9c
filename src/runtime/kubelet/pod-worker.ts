/**
 * One pod's life on this node. Everything happens one step after the other: look at spec and runtime, plan, act,
 * report. It is woken by changes of the pod and its objects, exits, probe verdicts and its own timers.
 */

import { readFile } from 'node:fs/promises'
import { type BackoffConfig, backoffMs, FailureCounter } from '../../base/backoff.ts'
import type { Timer } from '../../base/clock.ts'
import { messageOf } from '../../base/errors.ts'
import { RUNTIME_CLASSES } from '../../client/resources.ts'
import type { Pod, RuntimeClass } from '../../kube/types.ts'
import { removeDead } from './collection/dead-containers.ts'
import { ContainerStartError } from './container-start-error.ts'
import { startContainer } from './container-starter.ts'
import type { ReferencedObjects } from './environment.ts'
import { ImagePuller } from './image-puller.ts'
import { latestOf, latestSandbox, type PodAction, planPod } from './plan-pod.ts'
import { containerNamed } from './pod-containers.ts'
import { identityOf, logDirectoryOf, type PodContext, podText, recordPodEvent } from './pod-context.ts'
import type { PodFailure } from './pod-failure.ts'
import { PodReporter } from './pod-reporter.ts'
import { endPod, stopContainers } from './pod-termination.ts'
import { ProbeManager } from './probes/probe-manager.ts'
import { renderIsolation, sandboxHostname } from './render-sandbox.ts'
import { goDuration, type RestartBackoff, restoreBackoff } from './restart-backoff.ts'
import type { ContainerStatus, SandboxConfig, SandboxStatus } from './runtime/runtime.ts'
import { ClaimVolumes } from './volumes/claim-volumes.ts'
import { PodVolumes } from './volumes/pod-volumes.ts'

const RETRY: BackoffConfig = { baseMs: 500, maxMs: 60_000 }
/** Actions of one look at the pod; more than any pod has containers, so that a loop ends. */
const ROUNDS_MAX = 200

export interface PodWorkerParts {
  readonly context: PodContext
  readonly pod: Pod
  /** The pod has left the node and, if it was there, the API. */
  readonly onGone: () => void
}

interface Present {
  readonly sandboxes: readonly SandboxStatus[]
  readonly containers: readonly ContainerStatus[]
}

export class PodWorker {
  readonly #context: PodContext
  readonly #onGone: () => void
  readonly #volumes: PodVolumes
  readonly #claims: ClaimVolumes
  readonly #images: ImagePuller
  readonly #probes: ProbeManager
  readonly #reporter: PodReporter
  readonly #backoffs = new Map<string, RestartBackoff>()
  readonly #saidBackoff = new Map<string, number>()
  /** How often in a row a container could not even be created. */
  readonly #startFailures = new FailureCounter()
  readonly #stopper = new AbortController()
  #pod: Pod
  #isVanished = false
  #isStopped = false
  #isDirty = false
  #running: Promise<void> | null = null
  #timer: Timer | null = null
  #wakeAtMs = Number.POSITIVE_INFINITY
  #failures = 0
  #terminatingGraceMs = Number.POSITIVE_INFINITY
  #isStarting = false
  #isTakenIn = false
  #finishGraceMs: number | undefined

  constructor(parts: PodWorkerParts) {
    this.#context = parts.context
    this.#pod = parts.pod
    this.#onGone = parts.onGone
    const { clock, runtime, directories } = parts.context
    this.#volumes = new PodVolumes(`${directories.pods}/${identityOf(parts.pod).uid}`, parts.context.csi)
    this.#claims = new ClaimVolumes(parts.context.client, parts.context.nodeName)
    this.#images = new ImagePuller(parts.context)
    this.#probes = new ProbeManager({
      clock,
      runtime,
      onVerdict: () => this.wake(),
      onUnhealthy: (container, message) => this.#event('Warning', 'Unhealthy', message, container.name),
    })
    this.#reporter = new PodReporter(parts.context, parts.pod, this.#probes)
  }

  get pod(): Pod {
    return this.#pod
  }

  update(pod: Pod): void {
    this.#pod = pod
    this.#hasten()
    this.wake()
  }

  /** The pod is not in the API any more: end what runs, report to nobody. */
  vanish(): void {
    this.#isVanished = true
    this.#hasten()
    this.wake()
  }

  /** The pod is over, for the kubelet's own reasons; resolves once nothing of it runs or uses the disk. */
  async fail(failure: PodFailure): Promise<void> {
    if (this.#isEnding || this.#reporter.hasFailed) return
    this.#event('Warning', failure.reason, failure.message)
    this.#finishGraceMs = failure.graceMs
    this.#reporter.fail(failure)
    this.wake()
    await this.#running
  }

  wake(): void {
    if (this.#isStopped) return
    this.#isDirty = true
    this.#running ??= this.#run()
  }

  /** The kubelet stops; the pod's containers go on. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#stopper.abort()
    this.#timer?.cancel()
    this.#probes.stop()
    this.#reporter.stop()
  }

  get #isEnding(): boolean {
    return this.#isVanished || this.#pod.metadata.deletionTimestamp !== undefined
  }

  get #graceMs(): number {
    const { deletionGracePeriodSeconds } = this.#pod.metadata
    return (deletionGracePeriodSeconds ?? this.#pod.spec?.terminationGracePeriodSeconds ?? 30) * 1_000
  }

  /**
   * A second, more impatient deletion does not wait for the first one's grace period. The first one is the
   * worker's own affair, preStop hooks before all, unless it waits for a container that starts.
   */
  #hasten(): void {
    const isFirst = this.#terminatingGraceMs === Number.POSITIVE_INFINITY
    if (!this.#isEnding || (isFirst && !this.#isStarting)) return
    if (this.#graceMs >= this.#terminatingGraceMs) return
    this.#terminatingGraceMs = this.#graceMs
    const { runtime } = this.#context
    const { uid } = identityOf(this.#pod)
    void runtime.listContainers(uid).then(containers => {
      const running = containers.filter(({ state }) => state === 'running')
      return Promise.all(running.map(({ id }) => runtime.stopContainer(id, this.#graceMs)))
    })
  }

  async #run(): Promise<void> {
    while (this.#isDirty && !this.#isStopped) {
      this.#isDirty = false
      this.#wakeAtMs = Number.POSITIVE_INFINITY
      try {
        await this.#sync()
        this.#failures = 0
      } catch (error) {
        if (this.#isStopped) break
        this.#failures += 1
        this.#context.log.debug('a pod could not be brought forward', { pod: podText(this.#pod), error })
        this.#wakeIn(backoffMs(RETRY, this.#failures))
      }
    }
    this.#running = null
    this.#arm()
  }

  #wakeIn(delayMs: number): void {
    this.#wakeAtMs = Math.min(this.#wakeAtMs, this.#context.clock.now() + delayMs)
  }

  #arm(): void {
    this.#timer?.cancel()
    this.#timer = null
    if (this.#isStopped || this.#wakeAtMs === Number.POSITIVE_INFINITY) return
    const delayMs = Math.max(0, this.#wakeAtMs - this.#context.clock.now())
    // Timers hold 31 bits of milliseconds; a longer wait is cut and armed again.
    this.#timer = this.#context.clock.after(Math.min(delayMs, 2 ** 31 - 1), () => this.wake())
  }

  async #sync(): Promise<void> {
    if (this.#isEnding) return this.#end()
    const { phase } = this.#pod.status ?? {}
    if (this.#reporter.hasFailed || phase === 'Succeeded' || phase === 'Failed') return this.#finish()
    if (this.#isOverdue()) {
      const message = 'Pod was active on the node longer than the specified deadline'
      this.#event('Normal', 'DeadlineExceeded', message)
      this.#reporter.fail({ reason: 'DeadlineExceeded', message })
      return this.#finish()
    }
    const present = await this.#present()
    if (this.#isRefused(present)) return this.#finish()
    this.#restore(present)
    await this.#report(present)
    const objects = await this.#setUpVolumes()
    for (let round = 0; round < ROUNDS_MAX && !this.#isEnding && !this.#isStopped; round++) {
      const now = await this.#present()
      this.#watchRunning(now)
      const actions = planPod(this.#planInput(now))
      let hasActed = false
      for (const action of actions) {
        hasActed = (await this.#act(action, objects)) || hasActed
        if (this.#isEnding || this.#isStopped) return this.wake()
      }
      await this.#report(await this.#present())
      if (!hasActed) break
    }
    await removeDead(this.#context.runtime, await this.#present())
  }

  async #present(): Promise<Present> {
    const { runtime } = this.#context
    const { uid } = identityOf(this.#pod)
    const [sandboxes, containers] = await Promise.all([runtime.listSandboxes(), runtime.listContainers(uid)])
    return { sandboxes: sandboxes.filter(({ metadata }) => metadata.uid === uid), containers }
  }

  #planInput(present: Present): Parameters<typeof planPod>[0] {
    return {
      pod: this.#pod,
      ...present,
      nowMs: this.#context.clock.now(),
      startup: id => this.#probes.verdict('startup', id),
      liveness: id => this.#probes.verdict('liveness', id),
      backoff: name => this.#backoffs.get(name),
    }
  }

  /** After a restart of the kubelet: back-off goes on where it was. */
  #restore({ containers }: Present): void {
    for (const { name } of containers) {
      if (this.#backoffs.has(name)) continue
      const latest = latestOf(name, containers)
      const restored = latest && restoreBackoff(latest.attempt, latest.startedAt)
      if (restored !== undefined) this.#backoffs.set(name, restored)
    }
  }

  async #setUpVolumes(): Promise<ReferencedObjects> {
    const { objects, tokens, clock, host } = this.#context
    const pod = this.#pod
    try {
      const found = await objects.follow(pod, this.#stopper.signal)
      const projected = await tokens.tokensOf(pod)
      if (projected.renewAtMs !== Number.POSITIVE_INFINITY) this.#wakeIn(projected.renewAtMs - clock.now())
      const facts = this.#facts([])
      const places = await this.#claims.placesOf(pod)
      await this.#volumes.setUp({ pod, objects: found, facts, host, tokens: projected.tokens, places })
      return found
    } catch (error) {
      if (!this.#isStopped) this.#event('Warning', 'FailedMount', messageOf(error))
      throw error
    }
  }

  #facts(sandboxes: readonly SandboxStatus[]) {
    const { nodeAddress } = this.#context
    const addresses = latestSandbox(sandboxes)?.addresses ?? []
    const podAddresses = this.#pod.spec?.hostNetwork ? [nodeAddress] : addresses
    return { podAddresses, hostAddress: nodeAddress }
  }

  /** Returns whether something changed that the next plan must see. */
  async #act(action: PodAction, objects: ReferencedObjects): Promise<boolean> {
    switch (action.kind) {
      case 'create-sandbox':
        await this.#createSandbox(action)
        return true
      case 'start-container':
        return this.#start(action, objects)
      case 'kill-container':
        await this.#restartUnhealthy(action)
        return true
      case 'back-off':
        this.#backOff(action)
        return false
      case 'finish':
        await this.#finish()
        return false
    }
  }

  async #createSandbox(action: PodAction & { kind: 'create-sandbox' }): Promise<void> {
    const { runtime, directories } = this.#context
    const { namespace, name, uid } = identityOf(this.#pod)
    for (const id of action.stale) await runtime.stopSandbox(id)
    if (action.stale.length > 0) {
      this.#event('Normal', 'SandboxChanged', 'Pod sandbox changed, it will be killed and re-created.')
    }
    try {
      await runtime.runSandbox({
        metadata: { name, namespace, uid, attempt: action.attempt },
        hostname: sandboxHostname(this.#pod, this.#context.settings.clusterDomain),
        hostNetwork: this.#pod.spec?.hostNetwork === true,
        logDirectory: logDirectoryOf(directories.logs, { namespace, name, uid }),
        labels: { ...this.#pod.metadata.labels },
        annotations: { ...this.#pod.metadata.annotations },
        ...(await this.#isolation()),
        ...(await this.#runtimeHandler()),
      })
    } catch (error) {
      const message = `Failed to create pod sandbox: ${messageOf(error)}`
      this.#event('Warning', 'FailedCreatePodSandBox', message)
      throw error
    }
  }

  async #runtimeHandler(): Promise<Pick<SandboxConfig, 'runtimeHandler'>> {
    const { runtime, client } = this.#context
    const name = this.#pod.spec?.runtimeClassName
    if (!runtime.isolates || !name) return {}
    return { runtimeHandler: (await client.get<RuntimeClass>(RUNTIME_CLASSES, { name })).handler }
  }

  async #isolation(): Promise<Pick<SandboxConfig, 'isolation'>> {
    const { runtime, settings } = this.#context
    if (!runtime.isolates) return {}
    const resolver = await readFile('/etc/resolv.conf', 'utf8').catch(() => '')
    return { isolation: renderIsolation(this.#pod, settings, resolver) }
  }

  async #start(
    action: PodAction & { kind: 'start-container' },
    objects: ReferencedObjects,
  ): Promise<boolean> {
    const container = containerNamed(this.#pod, action.name)
    const { sandboxes } = await this.#present()
    const sandbox = latestSandbox(sandboxes)
    if (container === undefined || sandbox === undefined) return false
    if (action.backoff !== undefined) this.#backoffs.set(action.name, action.backoff)
    const request = {
      pod: this.#pod,
      container,
      attempt: action.attempt,
      sandboxId: sandbox.id,
      facts: this.#facts(sandboxes),
      objects,
      volumes: this.#volumes,
      images: this.#images,
    }
    try {
      this.#isStarting = true
      await startContainer(request, this.#context)
      this.#reporter.waiting.delete(action.name)
      this.#startFailures.forget(action.name)
      return true
    } catch (error) {
      if (!(error instanceof ContainerStartError)) throw error
      this.#reporter.waiting.set(action.name, { reason: error.reason, message: error.message })
      if (error.containerId !== undefined) this.#reporter.messages.set(error.containerId, error.message)
      this.#event('Warning', 'Failed', error.eventMessage, action.name)
      // One that exists is restarted with back-off by the plan; one that does not is tried again here.
      const ownMs = () => backoffMs(RETRY, this.#startFailures.fail(action.name) + 1)
      if (error.containerId !== undefined) this.#wakeIn(0)
      else if (error.retryAtMs === undefined) this.#wakeIn(ownMs())
      else this.#wakeIn(error.retryAtMs - this.#context.clock.now())
      return false
    } finally {
      this.#isStarting = false
    }
  }

  async #restartUnhealthy(action: PodAction & { kind: 'kill-container' }): Promise<void> {
    const container = containerNamed(this.#pod, action.name)
    const probe = container?.livenessProbe ?? container?.startupProbe
    const graceMs =
      (probe?.terminationGracePeriodSeconds ?? this.#pod.spec?.terminationGracePeriodSeconds ?? 30) * 1_000
    this.#event('Normal', 'Killing', action.message, action.name)
    const { containers } = await this.#present()
    const target = containers.filter(({ id }) => id === action.id)
    await stopContainers({ pod: this.#pod, containers: target, graceMs, isQuiet: true }, this.#context)
  }

  #backOff(action: PodAction & { kind: 'back-off' }): void {
    const delay = goDuration(action.delayMs)
    const pod = podText(this.#pod)
    const message = `back-off ${delay} restarting failed container=${action.name} pod=${pod}`
    this.#reporter.waiting.set(action.name, { reason: 'CrashLoopBackOff', message })
    this.#wakeIn(action.untilMs - this.#context.clock.now())
    if (this.#saidBackoff.get(action.name) === action.untilMs) return
    this.#saidBackoff.set(action.name, action.untilMs)
    const text = `Back-off restarting failed container ${action.name} in pod ${pod}`
    this.#event('Warning', 'BackOff', text, action.name)
  }

  /** Probes run for what runs. */
  #watchRunning({ sandboxes, containers }: Present): void {
    const running = containers.filter(({ state }) => state === 'running')
    this.#probes.retain(new Set(running.map(({ id }) => id)))
    const [podAddress = ''] = this.#facts(sandboxes).podAddresses
    for (const { id, name, startedAt } of running) {
      const container = containerNamed(this.#pod, name)
      if (container === undefined) continue
      const wasReady = this.#reporter.wasReady(id)
      const target = {
        pod: this.#pod,
        container,
        containerId: id,
        podAddress,
        startedAtMs: startedAt,
        wasReady,
      }
      this.#probes.ensure(target)
    }
  }

  #isOverdue(): boolean {
    const seconds = this.#pod.spec?.activeDeadlineSeconds
    const startTime = this.#reporter.startTime
    if (seconds === undefined || startTime === undefined) return false
    const leftMs = Date.parse(startTime) + seconds * 1_000 - this.#context.clock.now()
    if (leftMs > 0) this.#wakeIn(leftMs)
    return leftMs <= 0
  }

  /** Asked once, for a pod that nothing is there of. */
  #isRefused({ sandboxes }: Present): boolean {
    const isNew = !this.#isTakenIn && sandboxes.length === 0 && this.#pod.status?.startTime === undefined
    const refusal = isNew ? this.#context.refusalOf(this.#pod) : null
    this.#isTakenIn = refusal === null
    if (refusal === null) return false
    this.#event('Warning', refusal.reason, refusal.message.replace(/^Pod was rejected: /, ''))
    this.#reporter.fail(refusal)
    return true
  }

  /** The pod is over but stays in the API: nothing of it runs on. */
  async #finish(): Promise<void> {
    const present = await this.#present()
    this.#probes.stop()
    const graceMs = this.#finishGraceMs ?? (this.#pod.spec?.terminationGracePeriodSeconds ?? 30) * 1_000
    const running = present.containers.filter(({ state }) => state === 'running')
    await stopContainers({ pod: this.#pod, containers: running, graceMs }, this.#context)
    for (const { id, state } of present.sandboxes) {
      if (state === 'ready') await this.#context.runtime.stopSandbox(id)
    }
    const { phase } = this.#pod.status ?? {}
    if (phase !== 'Succeeded' && phase !== 'Failed') await this.#report(await this.#present())
    // Whoever needs its last words has them by now.
    await this.#volumes.remove()
    this.#context.objects.forget(identityOf(this.#pod).uid)
  }

  async #end(): Promise<void> {
    this.#terminatingGraceMs = Math.min(this.#terminatingGraceMs, this.#graceMs)
    this.#probes.stop()
    const { uid } = identityOf(this.#pod)
    await endPod(
      {
        pod: this.#pod,
        graceMs: this.#terminatingGraceMs,
        isVanished: () => this.#isVanished,
        volumes: this.#volumes,
        reporter: this.#reporter,
      },
      this.#context,
    )
    this.#context.objects.forget(uid)
    this.#context.tokens.forget(uid)
    await this.stop()
    this.#onGone()
  }

  async #report({ sandboxes, containers }: Present): Promise<void> {
    this.#watchRunning({ sandboxes, containers })
    await this.#reporter.report({ pod: this.#pod, sandboxes, containers, isTerminated: false })
  }

  #event(type: 'Normal' | 'Warning', reason: string, message: string, container?: string): void {
    const about = container === undefined ? {} : { container }
    recordPodEvent(this.#context.recorder, this.#pod, { type, reason, message, ...about })
  }
}
