/**
 * One pod's life on this node. Everything happens one step after the other: look at spec and runtime, plan, act,
 * report. It is woken by changes of the pod and its objects, exits, probe verdicts and its own timers.
 */

import type { BackoffConfig } from '../../base/backoff.ts'
import { messageOf } from '../../base/errors.ts'
import type { Pod } from '../../kube/types.ts'
import { TAKEN_IN, type Verdict } from './admission/node-admission.ts'
import { removeDead } from './collection/dead-containers.ts'
import { ContainerAttempts } from './container-attempts.ts'
import type { ReferencedObjects } from './environment.ts'
import { ImagePuller } from './image-puller.ts'
import { latestSandbox, type PodAction, planPod } from './plan-pod.ts'
import { inFamilyOrder } from './pod-addresses.ts'
import { containerNamed } from './pod-containers.ts'
import { type PodContext, recordPodEvent } from './pod-context.ts'
import { PodEnding } from './pod-ending.ts'
import type { PodFailure } from './pod-failure.ts'
import { identityOf, podText } from './pod-identity.ts'
import { PodReporter } from './pod-reporter.ts'
import { createSandbox } from './pod-sandbox.ts'
import { isOver } from './pod-states.ts'
import { type Present, presentOf } from './present.ts'
import { ProbeManager } from './probes/probe-manager.ts'
import { PodResizer } from './resources/pod-resizer.ts'
import type { ContainerStatus, SandboxStatus } from './runtime/runtime.ts'
import type { ClaimedPlaces } from './volumes/claim-volumes.ts'
import { AttachLimitReached } from './volumes/volume-error.ts'
import { VolumeSetup } from './volumes/volume-setup.ts'
import { WakeLoop } from './wake-loop.ts'

const RETRY: BackoffConfig = { baseMs: 500, maxMs: 60_000 }
/** Actions of one look at the pod; more than any pod has containers, so that a loop ends. */
const ROUNDS_MAX = 200
const isHard = ({ refusal, victims }: Verdict): boolean => refusal !== null || victims.length > 0

export interface PodWorkerParts {
  readonly context: PodContext
  readonly pod: Pod
  /** The pod has left the node and, if it was there, the API. */
  readonly onGone: () => void
}

export class PodWorker {
  readonly #context: PodContext
  readonly #onGone: () => void
  readonly #volumes: VolumeSetup
  readonly #images: ImagePuller
  readonly #probes: ProbeManager
  readonly #reporter: PodReporter
  readonly #resizer: PodResizer
  readonly #attempts: ContainerAttempts
  readonly #ending: PodEnding
  readonly #loop: WakeLoop
  readonly #stopper = new AbortController()
  #pod: Pod
  /** Ended because their image is another one now: the last by name. */
  readonly #redefined = new Map<string, string>()
  #isVanished = false
  #isTakenIn = false

  constructor(parts: PodWorkerParts) {
    this.#context = parts.context
    this.#pod = parts.pod
    this.#onGone = parts.onGone
    const { clock, runtime } = parts.context
    this.#volumes = new VolumeSetup({
      ...parts,
      onEvent: this.#event.bind(this),
      wakeIn: delayMs => this.#loop.wakeIn(delayMs),
    })
    this.#images = new ImagePuller(parts.context)
    this.#probes = new ProbeManager({
      clock,
      runtime,
      onVerdict: () => this.wake(),
      onEvent: (container, reason, message) => this.#event('Warning', reason, message, container.name),
      counts: parts.context.probeCounts,
    })
    this.#reporter = new PodReporter(parts.context, parts.pod, this.#probes)
    this.#loop = new WakeLoop({
      clock,
      retry: RETRY,
      step: () => this.#sync(),
      onFailure: error =>
        parts.context.log.debug('a pod could not be brought forward', { pod: podText(this.#pod), error }),
    })
    this.#resizer = new PodResizer({
      context: parts.context,
      wakeIn: delayMs => this.#loop.wakeIn(delayMs),
      onFreed: parts.context.onFreed,
    })
    this.#attempts = new ContainerAttempts({
      context: parts.context,
      reporter: this.#reporter,
      retry: RETRY,
      wakeIn: delayMs => this.#loop.wakeIn(delayMs),
    })
    this.#ending = new PodEnding({
      context: parts.context,
      retry: RETRY,
      probes: this.#probes,
      reporter: this.#reporter,
      volumes: this.#volumes.volumes,
      view: () => ({ pod: this.#pod, isVanished: this.#isVanished, isStopped: this.#loop.isStopped }),
      report: present => this.#report(present),
      tellEnding: present => this.#tell(present, true),
      onEvent: this.#event.bind(this),
    })
  }

  get pod(): Pod {
    return this.#pod
  }

  /** Where the volumes of its claims and of drivers are. */
  get places(): ClaimedPlaces {
    return this.#volumes.places
  }

  /** With the resources that it has been given. */
  get allocated(): Pod {
    return this.#resizer.allocated(this.#pod)
  }

  /** The node has let it in, now or before this daemon, and it may still use what it was given. */
  get isTakenIn(): boolean {
    // What the API has let go is room for others, whose binding may come before its last container has ended.
    if (this.#isVanished || this.#reporter.hasEnded || isOver(this.#pod.status)) return false
    return this.#isTakenIn || this.#pod.status?.startTime !== undefined
  }

  /** It is to be resized, and the node has too little for now. */
  get awaitsRoom(): boolean {
    return this.#resizer.state.pending?.reason === 'Deferred'
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
    this.#ending.finishWithin(failure.graceMs)
    this.#reporter.fail(failure)
    this.wake()
    await this.#loop.settled()
  }

  /** Resolves when the API has the pod's last status. */
  flush(): Promise<void> {
    return this.#reporter.flush()
  }

  wake(): void {
    this.#loop.wake()
    this.#ending.wake()
  }

  /** The kubelet stops; the pod's containers go on. */
  async stop(): Promise<void> {
    this.#loop.stop()
    this.#ending.stop()
    this.#stopper.abort()
    this.#probes.stop()
    this.#reporter.stop()
  }

  get #isEnding(): boolean {
    return this.#isVanished || this.#pod.metadata.deletionTimestamp !== undefined
  }

  async #sync(): Promise<void> {
    if (this.#isEnding) return this.#end()
    if (this.#reporter.hasFailed || isOver(this.#pod.status)) return this.#ending.finish()
    if (this.#isOverdue()) {
      const message = 'Pod was active on the node longer than the specified deadline'
      this.#event('Normal', 'DeadlineExceeded', message)
      this.#reporter.fail({ reason: 'DeadlineExceeded', message, isUnready: true })
      return this.#ending.finish()
    }
    const present = await this.#present()
    if (await this.#isRefused(present)) return this.#ending.finish()
    this.#attempts.restore(present.containers)
    await this.#resizer.settle(this.#pod, present.containers)
    if (this.#isOverWithClaims(present)) return this.#ending.finish()
    await this.#report(present)
    const objects = await this.#setUpVolumes()
    if (objects === null) return this.#ending.finish()
    for (let round = 0; round < ROUNDS_MAX && !this.#isEnding && !this.#loop.isStopped; round++) {
      const now = await this.#present()
      this.#watchRunning(now)
      const sandbox = latestSandbox(now.sandboxes)
      if (await this.#resizer.actuate(this.#pod, sandbox, now.containers)) continue
      const actions = this.#planned(now)
      let hasActed = false
      for (const action of actions) {
        hasActed = (await this.#act(action, objects)) || hasActed
        if (this.#isEnding || this.#loop.isStopped) return this.wake()
      }
      const left = await this.#present()
      if (this.#isOverWithClaims(left)) return this.#ending.finish()
      await this.#report(left)
      if (!hasActed) break
    }
    await removeDead(this.#context.runtime, await this.#present())
  }

  #present(): Promise<Present> {
    return presentOf(this.#pod, this.#context.runtime)
  }

  #hasten(): void {
    if (this.#isEnding) this.#ending.hasten({ isStarting: this.#attempts.isStarting })
  }

  get #hasClaims(): boolean {
    return this.#context.claims.uses(identityOf(this.#pod).uid)
  }

  /** Its end must not be told before drivers have taken their devices back. */
  #isOverWithClaims(present: Present): boolean {
    return this.#hasClaims && this.#planned(present).some(({ kind }) => kind === 'finish')
  }

  #planned(present: Present): readonly PodAction[] {
    return planPod({
      pod: this.#pod,
      ...present,
      nowMs: this.#context.clock.now(),
      startup: id => this.#probes.verdict('startup', id),
      liveness: id => this.#probes.verdict('liveness', id),
      isToStart: id => this.#resizer.isRestarted(id) || [...this.#redefined.values()].includes(id),
      backoff: name => this.#attempts.backoff(name),
    })
  }

  /** Null: the pod is refused, because the node cannot have them. */
  async #setUpVolumes(): Promise<ReferencedObjects | null> {
    try {
      return await this.#volumes.setUp(this.#pod, this.#facts([]), this.#stopper.signal)
    } catch (error) {
      if (error instanceof AttachLimitReached) {
        const reason = 'VolumeAttachmentLimitExceeded'
        this.#reject({ reason, message: `Pod was rejected: ${error.message}` })
        return null
      }
      if (!this.#loop.isStopped) this.#event('Warning', 'FailedMount', messageOf(error))
      throw error
    }
  }

  #facts(sandboxes: readonly SandboxStatus[]) {
    const { nodeAddress, secondAddress } = this.#context
    const second = secondAddress?.()
    const hostAddresses = second === undefined ? [nodeAddress] : [nodeAddress, second]
    const addresses = inFamilyOrder(latestSandbox(sandboxes)?.addresses ?? [], nodeAddress)
    const podAddresses = this.#pod.spec?.hostNetwork ? hostAddresses : addresses
    return { podAddresses, hostAddress: nodeAddress, hostAddresses }
  }

  /** Returns whether something changed that the next plan must see. */
  async #act(action: PodAction, objects: ReferencedObjects): Promise<boolean> {
    switch (action.kind) {
      case 'create-sandbox':
        await createSandbox(this.allocated, action, this.#context)
        return true
      case 'start-container':
        return this.#start(action, objects)
      case 'kill-container':
        if (action.isRedefined) this.#redefined.set(action.name, action.id)
        await this.#attempts.kill(this.#pod, action, (await this.#present()).containers)
        return true
      case 'back-off':
        this.#attempts.backOff(this.#pod, action)
        return false
      case 'finish':
        await this.#ending.finish()
        return false
    }
  }

  async #start(
    action: PodAction & { kind: 'start-container' },
    objects: ReferencedObjects,
  ): Promise<boolean> {
    const { sandboxes } = await this.#present()
    const sandbox = latestSandbox(sandboxes)
    if (sandbox === undefined) return false
    return this.#attempts.start(action, {
      pod: this.allocated,
      sandboxId: sandbox.id,
      facts: this.#facts(sandboxes),
      objects,
      volumes: this.#volumes.volumes,
      images: this.#images,
    })
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
    if (leftMs > 0) this.#loop.wakeIn(leftMs)
    return leftMs <= 0
  }

  /** Asked once, for a pod that nothing is there of; no other may be judged before it counts as taken in. */
  async #isRefused({ sandboxes }: Present): Promise<boolean> {
    const isNew = !this.#isTakenIn && sandboxes.length === 0 && this.#pod.status?.startTime === undefined
    if (isNew) await this.#context.devices.askPreferences(this.#pod)
    const { admission, refreshNode } = this.#context
    let verdict = isNew ? admission.judge(this.#pod) : TAKEN_IN
    // The node may have changed since it was last read.
    if (isHard(verdict) && (await refreshNode())) verdict = admission.judge(this.#pod)
    const { refusal } = verdict
    this.#isTakenIn = refusal === null
    await admission.preempt(verdict)
    if (refusal === null) return false
    this.#reject(refusal)
    return true
  }

  #reject(refusal: PodFailure): void {
    this.#event('Warning', refusal.reason, refusal.message.replace(/^Pod was rejected: /, ''))
    this.#reporter.fail({ ...refusal, isRejection: true })
  }

  async #end(): Promise<void> {
    await this.#ending.end()
    const { uid } = identityOf(this.#pod)
    this.#context.userRanges.forget(uid)
    this.#context.objects.forget(uid)
    this.#context.tokens.forget(uid)
    await this.stop()
    this.#onGone()
  }

  async #report(present: Present): Promise<void> {
    this.#watchRunning(present)
    await this.#tell(present)
  }

  async #tell({ sandboxes, containers }: Present, isEnding = false): Promise<void> {
    const resize = {
      state: this.#resizer.state,
      actuated: (container: ContainerStatus) => this.#resizer.actuated(container),
      whole: this.#resizer.actuatedWhole,
    }
    await this.#reporter.report({
      pod: this.allocated,
      sandboxes,
      containers,
      resize,
      isEnding,
      isTerminated: false,
    })
  }

  #event(type: 'Normal' | 'Warning', reason: string, message: string, container?: string): void {
    const about = container === undefined ? {} : { container }
    recordPodEvent(this.#context.recorder, this.#pod, { type, reason, message, ...about })
  }
}
