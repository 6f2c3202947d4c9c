/** Creates and deletes pods for an owner, records it on the owner, and waits until the cache shows it. */
import { messageOf } from '../../../base/errors.ts'
import type { EventRecorder } from '../../../client/event-recorder.ts'
import { type Informer, keyOf } from '../../../client/informer.ts'
import { isNotFound, type KubeClient } from '../../../client/kube-client.ts'
import { PODS } from '../../../client/resources.ts'
import { isNamespaceTerminating } from '../../../client/status-errors.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { Pod } from '../../../kube/types.ts'

export interface PodControl {
  readonly client: KubeClient
  readonly events: EventRecorder
  readonly pods: Informer<Pod>
}

export interface PodProblem {
  readonly reason: 'FailedCreate' | 'FailedDelete'
  readonly message: string
  readonly cause: unknown
}

/** The first batch of creations; each batch that succeeds doubles it. */
const SLOW_START_PODS = 1

/** One pod first, then twice as many at a time, so that a quota or a webhook refuses once and not a thousand times. */
export async function createPods(
  control: PodControl,
  owner: KubeObject,
  rendered: readonly KubeObject[],
  signal: AbortSignal,
): Promise<PodProblem | null> {
  let size = SLOW_START_PODS
  for (let at = 0; at < rendered.length; at += size, size *= 2) {
    const batch = rendered.slice(at, at + size)
    const results = await Promise.allSettled(batch.map(pod => createPod(control, owner, pod)))
    for (const result of results) {
      if (result.status === 'fulfilled') await control.pods.caughtUp(result.value, signal)
    }
    const refused = results.find(result => result.status === 'rejected')
    if (refused !== undefined) return creationProblem(control, owner, refused.reason)
  }
  return null
}

async function createPod(
  control: PodControl,
  owner: KubeObject,
  pod: KubeObject,
): Promise<string | undefined> {
  const created = await control.client.create<Pod>(PODS, pod)
  control.events.record(owner, 'Normal', 'SuccessfulCreate', `Created pod: ${created.metadata.name}`)
  return created.metadata.resourceVersion
}

function creationProblem(control: PodControl, owner: KubeObject, cause: unknown): PodProblem {
  const message = messageOf(cause)
  if (!isNamespaceTerminating(cause)) {
    control.events.record(owner, 'Warning', 'FailedCreate', `Error creating: ${message}`)
  }
  return { reason: 'FailedCreate', message, cause }
}

/** `before` runs for each pod first. */
export async function deletePods(
  control: PodControl,
  owner: KubeObject,
  pods: readonly Pod[],
  options: { readonly signal: AbortSignal; readonly before?: (pod: Pod) => Promise<unknown> },
): Promise<PodProblem | null> {
  const results = await Promise.allSettled(
    pods.map(async pod => {
      await options.before?.(pod)
      await deletePod(control, owner, pod)
    }),
  )
  for (const [index, pod] of pods.entries()) {
    if (results[index]?.status === 'fulfilled') await untilDeletionSeen(control.pods, pod, options.signal)
  }
  const refused = results.find(result => result.status === 'rejected')
  if (refused === undefined) return null
  return { reason: 'FailedDelete', message: messageOf(refused.reason), cause: refused.reason }
}

/** Returns once the cache shows that the pod goes or is gone. */
export function untilDeletionSeen(pods: Informer<Pod>, pod: Pod, signal: AbortSignal): Promise<void> {
  const isSeen = () => {
    const cached = pods.get(keyOf(pod))
    return cached?.metadata.uid !== pod.metadata.uid || cached?.metadata.deletionTimestamp !== undefined
  }
  return pods.until(isSeen, signal)
}

async function deletePod(control: PodControl, owner: KubeObject, pod: Pod): Promise<void> {
  const { namespace, name, uid } = pod.metadata
  try {
    await control.client.delete(PODS, { namespace, name: name ?? '', uid })
    control.events.record(owner, 'Normal', 'SuccessfulDelete', `Deleted pod: ${name}`)
  } catch (error) {
    if (isNotFound(error)) return
    control.events.record(owner, 'Warning', 'FailedDelete', `Error deleting: ${messageOf(error)}`)
    throw error
  }
}
