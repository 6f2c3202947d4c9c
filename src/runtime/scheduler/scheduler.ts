/** The door of the scheduler: finds a node for every pod that has none and binds it, driven by watches. */

import type { Clock } from '../../base/clock.ts'
import type { Component } from '../../base/component.ts'
import { messageOf } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import { EventRecorder } from '../../client/event-recorder.ts'
import { type Informer, keyOf } from '../../client/informer.ts'
import type { InformerSet } from '../../client/informer-set.ts'
import { isConflict, isNotFound, KubeClient } from '../../client/kube-client.ts'
import { NODES, POD_DISRUPTION_BUDGETS, PODS } from '../../client/resources.ts'
import type { Transport } from '../../client/transport.ts'
import { semanticEqual } from '../../kube/equality.ts'
import type { Node, Pod, PodDisruptionBudget } from '../../kube/types.ts'
import { HOSTPATH_DIRECTORY } from '../../kube/volumes/claims.ts'
import { ClusterState } from './cluster-state.ts'
import { DEFAULT_CONFIG, parseSchedulerConfig, type SchedulerConfig } from './configuration.ts'
import { DeviceBinder, type DeviceReservation } from './devices/device-binder.ts'
import { findMissingClaim } from './devices/device-filters.ts'
import { scheduleWithExtenders } from './extended-schedule.ts'
import { Extenders } from './extenders.ts'
import {
  helpsAfterCome,
  helpsAfterDevices,
  helpsAfterGone,
  helpsAfterNode,
  helpsAfterVolumes,
  onlyTakesFewer,
  type Waiting,
} from './hints.ts'
import { PodWriter } from './pod-writer.ts'
import { priorityOf } from './preemption.ts'
import type { Plugin } from './profile.ts'
import { DEFAULT_SCHEDULER, type Profile } from './profile.ts'
import { type ScheduleResult, schedule, type Unschedulable } from './schedule.ts'
import { SchedulingQueue } from './scheduling-queue.ts'
import { Surroundings } from './surroundings.ts'
import { type Reservation, VolumeBinder } from './volume-binder.ts'

export interface SchedulerParts {
  /** In-process access to the API server as system:kube-scheduler. */
  readonly transport: Transport
  /** Shared with the controllers, made anew for each term; see `ControllersParts.informers`. */
  readonly informers: InformerSet
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** The Raft term that every write belongs to. */
  readonly term: number
  /** Which profiles there are; upstream's defaults unless given. */
  readonly config?: SchedulerConfig | undefined
}

interface Served {
  readonly profile: Profile
  readonly events: EventRecorder
  readonly writer: PodWriter
}

/** What has to be done before the pod can be bound to the node. */
interface Preparation {
  readonly key: string
  readonly pod: Pod
  readonly node: string
  readonly volumes: Reservation | null
  readonly devices: DeviceReservation | null
}

/** Bindings under way; more wait for one of them to end. */
const BINDINGS_MAX = 128
/** After so long others get their turn on the thread. */
const TURN_MS_MAX = 8
const GATED_MESSAGE = 'Scheduling is blocked due to non-empty scheduling gates'

export { parseSchedulerConfig, type SchedulerConfig }

export function createScheduler(parts: SchedulerParts): Component {
  const scheduler = new Scheduler(parts)
  return {
    name: 'scheduler',
    async prepare() {},
    start: signal => scheduler.start(signal),
    stop: () => scheduler.stop(),
    health: () => ({
      ok: scheduler.isRunning,
      reason: scheduler.isRunning ? '' : 'the scheduler is not running',
    }),
  }
}

class Scheduler {
  isRunning = false
  readonly #parts: SchedulerParts
  readonly #config: SchedulerConfig
  readonly #served: ReadonlyMap<string, Served>
  readonly #pods: Informer<Pod>
  readonly #nodes: Informer<Node>
  readonly #budgets: Informer<PodDisruptionBudget>
  readonly #volumes: VolumeBinder
  readonly #devices: DeviceBinder
  readonly #surroundings: Surroundings
  readonly #state = new ClusterState()
  readonly #extenders: Extenders
  readonly #queue: SchedulingQueue
  /** Waiting pods for which room is being made, by key. */
  readonly #nominated = new Map<string, Pod>()
  /** Waiting pods whose claims on devices are not there, by key. */
  readonly #withoutClaims = new Set<string>()
  readonly #stopping = new AbortController()
  readonly #work = new Set<Promise<void>>()
  /** Pods whose volumes or devices are being made ready, which may take long: they keep nobody else from being bound. */
  readonly #waits = new Set<Promise<void>>()
  #subscriptions: (() => void)[] = []
  #isTurnDue = false
  /** An extender is being asked about a pod: the next one waits, as what is decided may depend on it. */
  #isAsking = false
  /** Where among the nodes the next pod begins. */
  #firstNode = 0

  constructor(parts: SchedulerParts) {
    const { clock, random, log, term } = parts
    this.#parts = parts
    const client = new KubeClient(parts.transport, { term, userAgent: 'kube-scheduler/mk8s' })
    this.#config = parts.config ?? DEFAULT_CONFIG
    this.#extenders = new Extenders(this.#config.extenders, log)
    const served = Array.from(this.#config.profiles, ([component, profile]) => {
      const events = new EventRecorder({ client, clock, random, log, component })
      return [component, { profile, events, writer: new PodWriter({ client, events, clock }) }] as const
    })
    this.#served = new Map(served)
    this.#surroundings = new Surroundings(parts.informers)
    this.#pods = parts.informers.informer<Pod>(PODS)
    this.#nodes = parts.informers.informer<Node>(NODES)
    this.#budgets = parts.informers.informer<PodDisruptionBudget>(POD_DISRUPTION_BUDGETS)
    this.#volumes = new VolumeBinder({ client, clock, informers: parts.informers })
    this.#devices = new DeviceBinder({ client, clock, random, informers: parts.informers })
    this.#queue = new SchedulingQueue({ clock, onReady: () => this.#turnSoon(), ...this.#config })
  }

  async start(signal: AbortSignal): Promise<void> {
    this.#parts.informers.start(this.#stopping.signal)
    const synced = Promise.all(
      [this.#pods, this.#nodes, this.#budgets, this.#volumes, this.#devices, this.#surroundings].map(
        each => each.synced,
      ),
    )
    await Promise.race([synced, whenAborted(signal)])
    signal.throwIfAborted()
    if (this.#stopping.signal.aborted) return
    this.#subscriptions = [
      this.#nodes.onChange((key, next, previous) => this.#onNode(key, next, previous)),
      this.#pods.onChange((key, next, previous) => this.#onPod(key, next, previous)),
      this.#volumes.onChange(() => this.#wake(helpsAfterVolumes)),
      this.#devices.onChange(() => this.#onDevices()),
      this.#surroundings.follow(() => this.#wake(({ plugins }) => plugins.has('InterPodAffinity'))),
    ]
    for (const node of this.#nodes.list()) this.#state.putNode(node)
    this.isRunning = true
    for (const pod of this.#pods.list()) this.#onPod(keyOf(pod), pod, null)
  }

  async stop(): Promise<void> {
    this.isRunning = false
    this.#stopping.abort()
    for (const unsubscribe of this.#subscriptions) unsubscribe()
    this.#subscriptions = []
    this.#queue.stop()
    this.#extenders.close()
    await Promise.allSettled([...this.#work, ...this.#waits])
  }

  #wake(mayHelp: (waiting: Waiting) => boolean): void {
    this.#queue.wake((key, plugins) => {
      const pod = this.#pods.get(key)
      return pod !== undefined && mayHelp({ pod, plugins })
    })
  }

  #onDevices(): void {
    this.#wake(helpsAfterDevices)
    for (const key of this.#withoutClaims) {
      const pod = this.#pods.get(key)
      if (pod !== undefined && findMissingClaim(pod, this.#devices) === null) this.#enqueue(key, pod)
    }
  }

  #onNode(name: string, next: Node | null, previous: Node | null): void {
    if (next === null) {
      this.#state.removeNode(name)
      this.#wake(waiting => helpsAfterNode(waiting, null, previous))
      return
    }
    const isSame = previous !== null && semanticEqual(schedulingFacts(previous), schedulingFacts(next))
    const hasSameImages = semanticEqual(previous?.status?.images, next.status?.images)
    if (!isSame || !hasSameImages) this.#state.putNode(next)
    if (isSame || (previous !== null && onlyTakesFewer(next, previous))) return
    this.#wake(waiting => helpsAfterNode(waiting, next, previous))
  }

  #onPod(key: string, next: Pod | null, previous: Pod | null): void {
    const isReplaced = previous !== null && previous.metadata.uid !== next?.metadata.uid
    if (isReplaced) this.#onPodGone(key, previous)
    const waits = next?.status?.nominatedNodeName && !next.spec?.nodeName && !isOver(next)
    if (next !== null && waits) this.#nominated.set(key, next)
    else this.#nominated.delete(key)
    if (next === null) return
    if (isOver(next)) {
      if (previous === null || !isOver(previous)) this.#onPodGone(key, next)
    } else if (next.spec?.nodeName) {
      this.#onPlaced(key, next, isReplaced ? null : previous)
    } else if (
      isReplaced ||
      previous === null ||
      !semanticEqual(waitingFacts(previous), waitingFacts(next))
    ) {
      this.#enqueue(key, next)
    }
  }

  #onPlaced(key: string, next: Pod, previous: Pod | null): void {
    this.#state.putPod(next)
    this.#leave(key)
    const isNew = !previous?.spec?.nodeName
    const isLeaving = next.metadata.deletionTimestamp !== previous?.metadata.deletionTimestamp
    if (!isNew && !isLeaving && semanticEqual(previous.metadata.labels, next.metadata.labels)) return
    this.#wake(waiting => helpsAfterCome(waiting, next, this.#surroundings))
    if (isNew) return
    // Other labels, or its end, may take it out of what others keep away from.
    this.#wake(({ pod, plugins }) => {
      const others = { pod, plugins: plugins.difference(RESOURCES) }
      return others.plugins.size > 0 && helpsAfterGone(others, previous, this.#surroundings)
    })
  }

  #leave(key: string): void {
    this.#queue.remove(key)
    this.#withoutClaims.delete(key)
  }

  #onPodGone(key: string, gone: Pod): void {
    this.#leave(key)
    this.#state.removePod(gone.metadata.uid ?? '')
    if (!gone.spec?.nodeName && !gone.status?.nominatedNodeName) return
    this.#wake(waiting => helpsAfterGone(waiting, gone, this.#surroundings))
  }

  #enqueue(key: string, pod: Pod): void {
    const served = this.#servedOf(pod)
    if (served === undefined || pod.metadata.deletionTimestamp !== undefined) {
      this.#leave(key)
      return
    }
    if ((pod.spec?.schedulingGates ?? []).length > 0) {
      this.#leave(key)
      this.#track(served.writer.markUnscheduled(pod, 'SchedulingGated', GATED_MESSAGE))
      return
    }
    if (pod.spec?.resourceClaims !== undefined && findMissingClaim(pod, this.#devices) !== null) {
      this.#queue.remove(key)
      this.#withoutClaims.add(key)
      return
    }
    this.#withoutClaims.delete(key)
    this.#queue.add({ key, priority: priorityOf(pod) })
  }

  /** Undefined: the pod is left to whoever schedules those of its name. */
  #servedOf(pod: Pod): Served | undefined {
    return this.#served.get(pod.spec?.schedulerName ?? DEFAULT_SCHEDULER)
  }

  /** All that is announced in one go is placed in one turn, the most important first. */
  #turnSoon(): void {
    if (this.#isTurnDue || !this.isRunning) return
    this.#isTurnDue = true
    queueMicrotask(() => this.#turn())
  }

  #turn(): void {
    this.#isTurnDue = false
    const { clock } = this.#parts
    const endMs = clock.monotonic() + TURN_MS_MAX
    while (this.isRunning && !this.#isAsking && this.#work.size < BINDINGS_MAX) {
      if (clock.monotonic() > endMs) {
        this.#isTurnDue = true
        clock.after(0, () => this.#turn())
        return
      }
      const key = this.#queue.take()
      if (key === null) return
      const pod = this.#pods.get(key)
      const served = pod === undefined ? undefined : this.#servedOf(pod)
      if (pod === undefined || served === undefined || pod.spec?.nodeName) continue
      if (!this.#state.isAssumed(pod.metadata.uid ?? '')) this.#place(key, pod, served)
    }
  }

  #place(key: string, pod: Pod, served: Served): void {
    const nominated = this.#nominated.size === 0 ? [] : [...this.#nominated.values()]
    const nodes = this.#state.nodes()
    const world = {
      volumes: this.#volumes,
      devices: this.#devices,
      budgets: this.#budgets.list(),
      namespaces: this.#surroundings,
      selectorOf: this.#surroundings.selectorOf,
      profile: served.profile,
      firstNode: this.#firstNode,
    }
    const { random } = this.#parts
    if (this.#extenders.concern(pod)) {
      const asked = scheduleWithExtenders(this.#extenders, pod, nodes, random, nominated, world)
      this.#isAsking = true
      this.#track(this.#settleLater(key, pod, served, asked))
    } else this.#settle(key, pod, served, schedule(pod, nodes, random, nominated, world))
  }

  async #settleLater(key: string, pod: Pod, served: Served, asked: Promise<ScheduleResult>): Promise<void> {
    const isStillThere = () => {
      const now = this.#pods.get(key)
      return this.isRunning && now?.metadata.uid === pod.metadata.uid && !now?.spec?.nodeName
    }
    try {
      const result = await asked
      if (isStillThere()) this.#settle(key, pod, served, result)
    } catch (error) {
      if (!isStillThere()) return
      this.#queue.retry(key)
      const message = messageOf(error)
      served.events.record(pod, 'Warning', 'FailedScheduling', message)
      this.#track(served.writer.markUnscheduled(pod, 'SchedulerError', message))
    } finally {
      this.#isAsking = false
    }
  }

  #settle(key: string, pod: Pod, served: Served, result: ScheduleResult): void {
    if (result.kind === 'unschedulable') {
      this.#queue.parkUnschedulable(key, result.plugins)
      served.events.record(pod, 'Warning', 'FailedScheduling', result.message)
      this.#track(this.#giveUp(key, pod, result, served.writer))
      return
    }
    this.#firstNode = (this.#firstNode + result.examined) % Math.max(1, this.#state.nodes().length)
    this.#state.assume(pod, result.name)
    const node = this.#nodes.get(result.name)
    const volumes = node === undefined ? null : this.#volumes.reserve(pod, node)
    const devices = this.#devices.reserve(pod, result.allocations)
    if (volumes === null && devices === null) this.#track(this.#bind(key, pod, result.name))
    else this.#wait(this.#prepare({ key, pod, node: result.name, volumes, devices }, served))
  }

  #wait(work: Promise<void>): void {
    const waiting = work
      .catch(error => this.#parts.log.debug('Preparing a binding failed', { error }))
      .finally(() => this.#waits.delete(waiting))
    this.#waits.add(waiting)
  }

  async #prepare(preparation: Preparation, { profile, events }: Served): Promise<void> {
    const { key, pod, node, volumes, devices } = preparation
    const { uid = '' } = pod.metadata
    const { signal } = this.#stopping
    let step = '"VolumeBinding": binding volumes'
    try {
      if (volumes !== null) await this.#volumes.bind(volumes, profile.bindTimeoutMs, signal)
      step = '"DynamicResources"'
      if (devices !== null) await this.#devices.bind(devices, signal)
    } catch (error) {
      this.#state.forget(uid)
      if (this.#stopping.signal.aborted) return
      if (devices !== null) this.#track(this.#devices.unreserve(pod))
      if (this.#pods.get(key)?.metadata.uid !== uid) return
      this.#queue.retry(key)
      const message = `running PreBind plugin ${step}: ${messageOf(error)}`
      if (!isConflict(error)) events.record(pod, 'Warning', 'FailedScheduling', message)
      throw error
    } finally {
      if (volumes !== null) this.#volumes.release(volumes)
      if (devices !== null) this.#devices.release(devices)
    }
    // The pod may have gone meanwhile.
    if (this.#pods.get(key)?.metadata.uid === uid && this.#state.isAssumed(uid))
      this.#track(this.#bind(key, pod, node))
  }

  #track(work: Promise<void>): void {
    const tracked = work
      .catch(error => this.#parts.log.debug('A step of scheduling failed', { error }))
      .finally(() => {
        this.#work.delete(tracked)
        this.#turnSoon()
      })
    this.#work.add(tracked)
  }

  async #bind(key: string, pod: Pod, node: string): Promise<void> {
    try {
      await this.#servedOf(pod)?.writer.bind(pod, node, () => this.#extenders.bind(pod, node))
    } catch (error) {
      this.#state.forget(pod.metadata.uid ?? '')
      if (isNotFound(error)) return
      this.#track(this.#devices.unreserve(pod))
      this.#queue.retry(key)
      if (!isConflict(error)) {
        const message = `binding rejected: ${messageOf(error)}`
        this.#servedOf(pod)?.events.record(pod, 'Warning', 'FailedScheduling', message)
      }
      throw error
    }
  }

  /** Says that no node fits; makes room on one when less important pods are in the way. */
  async #giveUp(
    key: string,
    pod: Pod,
    { message, preemption, isError, frees }: Unschedulable,
    writer: PodWriter,
  ): Promise<void> {
    if (frees) await this.#devices.free(frees)
    if (preemption?.kind !== 'victims') {
      const nominee = preemption?.waits === true ? (pod.status?.nominatedNodeName ?? '') : ''
      if (nominee === '') this.#nominated.delete(key)
      await writer.markUnscheduled(pod, isError ? 'SchedulerError' : 'Unschedulable', message, nominee)
      return
    }
    const { node, victims } = preemption
    const lesser = [...this.#nominated].filter(
      ([, other]) => other.status?.nominatedNodeName === node && priorityOf(other) < priorityOf(pod),
    )
    for (const [lost] of lesser) this.#nominated.delete(lost)
    this.#nominated.set(key, { ...pod, status: { ...pod.status, nominatedNodeName: node } })
    await writer.markUnscheduled(pod, 'Unschedulable', message, node)
    await Promise.all(victims.map(victim => writer.preempt(victim, pod, node)))
    await Promise.all(lesser.map(([, other]) => writer.clearNomination(other)))
  }
}

const RESOURCES: ReadonlySet<Plugin> = new Set(['NodeResourcesFit'])

const isOver = (pod: Pod): boolean => pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed'

/** What of a node decides whether pods fit; heartbeats do not. */
const schedulingFacts = ({ metadata, spec, status }: Node): object => ({
  labels: metadata.labels,
  volumes: metadata.annotations?.[HOSTPATH_DIRECTORY],
  unschedulable: spec?.unschedulable,
  taints: spec?.taints,
  allocatable: status?.allocatable,
  capacity: status?.capacity,
  features: status?.declaredFeatures,
})

/** What of a waiting pod decides whether it is worth another try. */
const waitingFacts = ({ metadata, spec, status }: Pod): object => ({
  spec,
  claims: status?.resourceClaimStatuses,
  labels: metadata.labels,
  deletionTimestamp: metadata.deletionTimestamp,
})

function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
