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
import { formatTime } from '../../kube/time.ts'
import type { Node, Pod, PodDisruptionBudget } from '../../kube/types.ts'
import { claimsOf, HOSTPATH_DIRECTORY } from '../../kube/volumes/claims.ts'
import { ClusterState } from './cluster-state.ts'
import { type ScheduleResult, schedule } from './schedule.ts'
import { SchedulingQueue } from './scheduling-queue.ts'
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
}

type Unschedulable = ScheduleResult & { readonly kind: 'unschedulable' }

const SCHEDULER_NAME = 'default-scheduler'
/** Bindings under way; more wait for one of them to end. */
const BINDINGS_MAX = 16
const GATED_MESSAGE = 'Scheduling is blocked due to non-empty scheduling gates'

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
  readonly #client: KubeClient
  readonly #events: EventRecorder
  readonly #pods: Informer<Pod>
  readonly #nodes: Informer<Node>
  readonly #budgets: Informer<PodDisruptionBudget>
  readonly #volumes: VolumeBinder
  readonly #state = new ClusterState()
  readonly #queue: SchedulingQueue
  /** Waiting pods for which room is being made, by key. */
  readonly #nominated = new Map<string, Pod>()
  readonly #stopping = new AbortController()
  readonly #work = new Set<Promise<void>>()
  /** Pods whose volumes are being made, which may take long: they keep nobody else from being bound. */
  readonly #waits = new Set<Promise<void>>()
  #subscriptions: (() => void)[] = []
  #isTurnDue = false

  constructor(parts: SchedulerParts) {
    const { clock, random, log, term } = parts
    this.#parts = parts
    this.#client = new KubeClient(parts.transport, { term, userAgent: 'kube-scheduler/mk8s' })
    this.#events = new EventRecorder({ client: this.#client, clock, random, log, component: SCHEDULER_NAME })
    this.#pods = parts.informers.informer<Pod>(PODS)
    this.#nodes = parts.informers.informer<Node>(NODES)
    this.#budgets = parts.informers.informer<PodDisruptionBudget>(POD_DISRUPTION_BUDGETS)
    this.#volumes = new VolumeBinder({ client: this.#client, clock, informers: parts.informers })
    this.#queue = new SchedulingQueue({ clock, onReady: () => this.#turnSoon() })
  }

  async start(signal: AbortSignal): Promise<void> {
    this.#parts.informers.start(this.#stopping.signal)
    const synced = Promise.all(
      [this.#pods, this.#nodes, this.#budgets, this.#volumes].map(each => each.synced),
    )
    await Promise.race([synced, whenAborted(signal)])
    signal.throwIfAborted()
    if (this.#stopping.signal.aborted) return
    this.#subscriptions = [
      this.#nodes.onChange((key, next, previous) => this.#onNode(key, next, previous)),
      this.#pods.onChange((key, next, previous) => this.#onPod(key, next, previous)),
      this.#volumes.onChange(() => this.#queue.wake(waiting => usesClaims(this.#pods.get(waiting)))),
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
    await Promise.allSettled([...this.#work, ...this.#waits])
  }

  #onNode(name: string, next: Node | null, previous: Node | null): void {
    if (next === null) {
      this.#state.removeNode(name)
      return
    }
    const isSame = previous !== null && semanticEqual(schedulingFacts(previous), schedulingFacts(next))
    if (isSame) return
    this.#state.putNode(next)
    this.#queue.wake()
  }

  #onPod(key: string, next: Pod | null, previous: Pod | null): void {
    const uid = previous?.metadata.uid
    const isReplaced = uid !== undefined && uid !== next?.metadata.uid
    if (isReplaced || next === null) this.#onPodGone(key, uid)
    const waits = next?.status?.nominatedNodeName && !next.spec?.nodeName && !isOver(next)
    if (next !== null && waits) this.#nominated.set(key, next)
    else this.#nominated.delete(key)
    if (next === null) return
    if (isOver(next)) {
      this.#onPodGone(key, next.metadata.uid)
    } else if (next.spec?.nodeName) {
      this.#state.putPod(next)
      this.#queue.remove(key)
      const isSame = previous?.spec?.nodeName && semanticEqual(previous.metadata.labels, next.metadata.labels)
      if (!isSame) this.#queue.wake(waiting => looksAtPods(this.#pods.get(waiting)))
    } else if (
      isReplaced ||
      previous === null ||
      !semanticEqual(waitingFacts(previous), waitingFacts(next))
    ) {
      this.#enqueue(key, next)
    }
  }

  #onPodGone(key: string, uid: string | undefined): void {
    this.#queue.remove(key)
    if (uid !== undefined) this.#state.removePod(uid)
    this.#queue.wake()
  }

  #enqueue(key: string, pod: Pod): void {
    const isOurs = (pod.spec?.schedulerName ?? SCHEDULER_NAME) === SCHEDULER_NAME
    if (!isOurs || pod.metadata.deletionTimestamp !== undefined) {
      this.#queue.remove(key)
      return
    }
    if ((pod.spec?.schedulingGates ?? []).length > 0) {
      this.#queue.remove(key)
      this.#track(this.#markUnscheduled(pod, 'SchedulingGated', GATED_MESSAGE))
      return
    }
    this.#queue.add({ key, priority: pod.spec?.priority ?? 0 })
  }

  /** All that is announced in one go is placed in one turn, the most important first. */
  #turnSoon(): void {
    if (this.#isTurnDue || !this.isRunning) return
    this.#isTurnDue = true
    queueMicrotask(() => {
      this.#isTurnDue = false
      this.#turn()
    })
  }

  #turn(): void {
    while (this.isRunning && this.#work.size < BINDINGS_MAX) {
      const key = this.#queue.take()
      if (key === null) return
      const pod = this.#pods.get(key)
      if (pod !== undefined && !pod.spec?.nodeName && !this.#state.isAssumed(pod.metadata.uid ?? '')) {
        this.#place(key, pod)
      }
    }
  }

  #place(key: string, pod: Pod): void {
    const nominated = [...this.#nominated.values()]
    const world = { volumes: this.#volumes, budgets: this.#budgets.list() }
    const result = schedule(pod, this.#state.nodes(), this.#parts.random, nominated, world)
    if (result.kind === 'unschedulable') {
      this.#queue.parkUnschedulable(key)
      this.#events.record(pod, 'Warning', 'FailedScheduling', result.message)
      this.#track(this.#giveUp(key, pod, result))
      return
    }
    this.#state.assume(pod, result.name)
    const node = this.#nodes.get(result.name)
    const reservation = node === undefined ? null : this.#volumes.reserve(pod, node)
    if (reservation === null) this.#track(this.#bind(key, pod, result.name))
    else this.#wait(this.#bindVolumes(key, pod, reservation))
  }

  #wait(work: Promise<void>): void {
    const waiting = work
      .catch(error => this.#parts.log.debug('Binding volumes failed', { error }))
      .finally(() => this.#waits.delete(waiting))
    this.#waits.add(waiting)
  }

  async #bindVolumes(key: string, pod: Pod, reservation: Reservation): Promise<void> {
    const { uid = '' } = pod.metadata
    try {
      await this.#volumes.bind(reservation, this.#stopping.signal)
    } catch (error) {
      this.#state.forget(uid)
      if (this.#stopping.signal.aborted || this.#pods.get(key)?.metadata.uid !== uid) return
      this.#queue.retry(key)
      const message = `running PreBind plugin "VolumeBinding": binding volumes: ${messageOf(error)}`
      if (!isConflict(error)) this.#events.record(pod, 'Warning', 'FailedScheduling', message)
      throw error
    } finally {
      this.#volumes.release(reservation)
    }
    // The pod may have gone while its volumes were made.
    if (this.#pods.get(key)?.metadata.uid === uid && this.#state.isAssumed(uid)) {
      this.#track(this.#bind(key, pod, reservation.node.metadata.name ?? ''))
    }
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
    const { namespace, name, uid } = pod.metadata
    const binding = {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { namespace: namespace ?? '', name: name ?? '', uid: uid ?? '' },
      target: { apiVersion: 'v1', kind: 'Node', name: node },
    }
    try {
      await this.#client.create(PODS, binding, { namespace, name, subresource: 'binding' })
      this.#events.record(pod, 'Normal', 'Scheduled', `Successfully assigned ${key} to ${node}`)
    } catch (error) {
      this.#state.forget(uid ?? '')
      if (isNotFound(error)) return
      this.#queue.retry(key)
      if (!isConflict(error)) {
        const message = `binding rejected: ${messageOf(error)}`
        this.#events.record(pod, 'Warning', 'FailedScheduling', message)
      }
      throw error
    }
  }

  /** Says that no node fits; makes room on one when less important pods are in the way. */
  async #giveUp(key: string, pod: Pod, { message, preemption }: Unschedulable): Promise<void> {
    const isOn = preemption?.kind === 'victims' ? preemption.node : ''
    const waits = preemption?.kind !== 'victims' && preemption?.waits === true
    const nominee = waits ? (pod.status?.nominatedNodeName ?? '') : isOn
    if (isOn !== '') this.#nominated.set(key, { ...pod, status: { ...pod.status, nominatedNodeName: isOn } })
    await this.#markUnscheduled(pod, 'Unschedulable', message, nominee)
    if (preemption?.kind !== 'victims') return
    await Promise.all(preemption.victims.map(victim => this.#preempt(victim, pod, preemption.node)))
  }

  async #preempt(victim: Pod, preemptor: Pod, node: string): Promise<void> {
    const { namespace, name = '', uid, deletionTimestamp } = victim.metadata
    if (deletionTimestamp !== undefined) return
    const condition = {
      type: 'DisruptionTarget',
      status: 'True',
      reason: 'PreemptionByScheduler',
      message: `${SCHEDULER_NAME}: preempting to accommodate a higher priority pod`,
      lastTransitionTime: formatTime(this.#parts.clock.now()),
    }
    const patch = { metadata: { uid }, status: { conditions: [condition] } }
    try {
      await this.#client.patch(PODS, { namespace, name, subresource: 'status', type: 'strategic', patch })
      await this.#client.delete(PODS, { namespace, name, uid })
      const message = `Preempted by pod ${preemptor.metadata.uid} on node ${node}`
      this.#events.record(victim, 'Normal', 'Preempted', message)
    } catch (error) {
      if (!isNotFound(error) && !isConflict(error)) throw error
    }
  }

  /** `nominee` is the node on which room is being made, if any. */
  async #markUnscheduled(pod: Pod, reason: string, message: string, nominee = ''): Promise<void> {
    const current = pod.status?.conditions?.find(condition => condition.type === 'PodScheduled')
    const isNominated = (pod.status?.nominatedNodeName ?? '') === nominee
    const isTold = current?.status === 'False' && current.reason === reason && current.message === message
    if (isTold && isNominated) return
    const now = formatTime(this.#parts.clock.now())
    const lastTransitionTime = current?.status === 'False' ? (current.lastTransitionTime ?? now) : now
    const condition = { type: 'PodScheduled', status: 'False', reason, message, lastTransitionTime }
    const { namespace, name } = pod.metadata
    try {
      await this.#client.patch(PODS, {
        namespace,
        name: name ?? '',
        subresource: 'status',
        type: 'strategic',
        patch: {
          metadata: { uid: pod.metadata.uid },
          status: {
            conditions: [condition],
            ...(isNominated ? {} : { nominatedNodeName: nominee === '' ? null : nominee }),
          },
        },
      })
    } catch (error) {
      if (!isNotFound(error) && !isConflict(error)) throw error
    }
  }
}

const usesClaims = (pod: Pod | undefined): boolean => pod !== undefined && claimsOf(pod).length > 0

/** Whether other pods' places and labels decide where this one may go. */
const looksAtPods = (pod: Pod | undefined): boolean =>
  pod?.spec?.affinity?.podAffinity !== undefined || (pod?.spec?.topologySpreadConstraints ?? []).length > 0

const isOver = (pod: Pod): boolean => pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed'

/** What of a node decides whether pods fit; heartbeats do not. */
const schedulingFacts = ({ metadata, spec, status }: Node): object => ({
  labels: metadata.labels,
  volumes: metadata.annotations?.[HOSTPATH_DIRECTORY],
  unschedulable: spec?.unschedulable,
  taints: spec?.taints,
  allocatable: status?.allocatable,
  capacity: status?.capacity,
})

/** What of a waiting pod decides whether it is worth another try. */
const waitingFacts = ({ metadata, spec }: Pod): object => ({
  spec,
  labels: metadata.labels,
  deletionTimestamp: metadata.deletionTimestamp,
})

function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
