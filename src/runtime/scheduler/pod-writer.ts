/** What the scheduler writes about pods: where they run, why they do not, and who has to leave. */
import type { Clock } from '../../base/clock.ts'
import type { EventRecorder } from '../../client/event-recorder.ts'
import { isConflict, isNotFound, type KubeClient } from '../../client/kube-client.ts'
import { PODS } from '../../client/resources.ts'
import { observedGeneration } from '../../kube/observed-generation.ts'
import { formatTime } from '../../kube/time.ts'
import type { Pod } from '../../kube/types.ts'

export class PodWriter {
  readonly #client: KubeClient
  readonly #events: EventRecorder
  readonly #clock: Clock

  constructor(parts: {
    readonly client: KubeClient
    readonly events: EventRecorder
    readonly clock: Clock
  }) {
    this.#client = parts.client
    this.#events = parts.events
    this.#clock = parts.clock
  }

  /** `bindElsewhere`: false when nobody else binds it. */
  async bind(pod: Pod, node: string, bindElsewhere: () => Promise<boolean>): Promise<void> {
    const { namespace = '', name = '', uid = '' } = pod.metadata
    const binding = {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { namespace, name, uid },
      target: { apiVersion: 'v1', kind: 'Node', name: node },
    }
    if (!(await bindElsewhere()))
      await this.#client.create(PODS, binding, { namespace, name, subresource: 'binding' })
    const message = `Successfully assigned ${namespace}/${name} to ${node}`
    this.#events.record(pod, 'Normal', 'Scheduled', message)
  }

  async preempt(victim: Pod, preemptor: Pod, node: string): Promise<void> {
    const { namespace, name = '', uid, deletionTimestamp } = victim.metadata
    if (deletionTimestamp !== undefined) return
    const condition = {
      type: 'DisruptionTarget',
      ...observedGeneration(victim),
      status: 'True',
      reason: 'PreemptionByScheduler',
      message: `${preemptor.spec?.schedulerName}: preempting to accommodate a higher priority pod`,
      lastTransitionTime: formatTime(this.#clock.now()),
    }
    const patch = { metadata: { uid }, status: { conditions: [condition] } }
    await unlessGone(async () => {
      await this.#client.patch(PODS, { namespace, name, subresource: 'status', type: 'strategic', patch })
      await this.#client.delete(PODS, { namespace, name, uid })
      const message = `Preempted by pod ${preemptor.metadata.uid} on node ${node}`
      this.#events.record(victim, 'Normal', 'Preempted', message)
    })
  }

  /** `nominee` is the node on which room is being made, if any. */
  async markUnscheduled(pod: Pod, reason: string, message: string, nominee = ''): Promise<void> {
    const current = pod.status?.conditions?.find(condition => condition.type === 'PodScheduled')
    const isNominated = (pod.status?.nominatedNodeName ?? '') === nominee
    const seen = observedGeneration(pod)
    const isTold =
      current?.status === 'False' &&
      current.reason === reason &&
      current.message === message &&
      current.observedGeneration === seen.observedGeneration
    if (isTold && isNominated) return
    const now = formatTime(this.#clock.now())
    const lastTransitionTime = current?.status === 'False' ? (current.lastTransitionTime ?? now) : now
    const condition = { type: 'PodScheduled', ...seen, status: 'False', reason, message, lastTransitionTime }
    const nomination = isNominated ? {} : { nominatedNodeName: nominee === '' ? null : nominee }
    await this.#patchStatus(pod, { conditions: [condition], ...nomination })
  }

  /** Something more important takes its room. */
  clearNomination = (pod: Pod): Promise<void> => this.#patchStatus(pod, { nominatedNodeName: null })

  async #patchStatus({ metadata }: Pod, status: object): Promise<void> {
    const { namespace, name = '', uid } = metadata
    const patch = { metadata: { uid }, status }
    await unlessGone(() =>
      this.#client.patch(PODS, { namespace, name, subresource: 'status', type: 'strategic', patch }),
    )
  }
}

async function unlessGone(work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!isNotFound(error) && !isConflict(error)) throw error
  }
}
