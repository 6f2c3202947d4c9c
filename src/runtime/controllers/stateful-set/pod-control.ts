/** Carries actions of the plan out, records them on the set in upstream's words, and waits until the caches show them. */
import { messageOf } from '../../../base/errors.ts'
import type { EventRecorder } from '../../../client/event-recorder.ts'
import type { Informer } from '../../../client/informer.ts'
import { isAlreadyExists, isNotFound, type KubeClient } from '../../../client/kube-client.ts'
import { PERSISTENT_VOLUME_CLAIMS, PODS } from '../../../client/resources.ts'
import type { PersistentVolumeClaim, Pod, StatefulSet } from '../../../kube/types.ts'
import { untilDeletionSeen } from '../shared/pod-control.ts'
import { inSlowStart } from '../shared/slow-start.ts'
import type { ClaimChange } from './claims.ts'
import type { StatefulSetAction } from './plan.ts'

export interface StatefulPodControl {
  readonly client: KubeClient
  readonly events: EventRecorder
  readonly pods: Informer<Pod>
  readonly claims: Informer<PersistentVolumeClaim>
}

type Verb = 'Create' | 'Update' | 'Delete'

/** Pods that are created one after the other by number are created in batches; all else in its order. */
export async function carryOut(
  control: StatefulPodControl,
  set: StatefulSet,
  actions: readonly StatefulSetAction[],
  signal: AbortSignal,
): Promise<void> {
  const creations = actions.filter(action => action.kind === 'create-pod')
  const others = actions.filter(action => action.kind !== 'create-pod')
  const problem = await inSlowStart(creations, action => createPod(control, set, action, signal))
  if (problem !== undefined) throw problem
  for (const action of others) await carryOutOne(control, set, action, signal)
}

async function carryOutOne(
  control: StatefulPodControl,
  set: StatefulSet,
  action: Exclude<StatefulSetAction, { kind: 'create-pod' }>,
  signal: AbortSignal,
): Promise<void> {
  switch (action.kind) {
    case 'create-claims':
      return createClaims(control, set, action, signal)
    case 'update-pod':
      return updatePod(control, set, action.pod, signal)
    case 'change-claim':
      return changeClaim(control, set, action.change, signal)
    case 'delete-pod':
      return deletePod(control, set, action.pod, signal)
  }
}

async function createPod(
  control: StatefulPodControl,
  set: StatefulSet,
  action: { readonly pod: Pod; readonly claims: readonly PersistentVolumeClaim[] },
  signal: AbortSignal,
): Promise<void> {
  const { pod } = action
  try {
    await createClaims(control, set, action, signal)
    const created = await control.client.create<Pod>(PODS, pod)
    recordPod(control, set, pod, { verb: 'Create' })
    await control.pods.caughtUp(created.metadata.resourceVersion, signal)
  } catch (error) {
    if (!isAlreadyExists(error) && !signal.aborted) recordPod(control, set, pod, { verb: 'Create', error })
    throw error
  }
}

async function createClaims(
  control: StatefulPodControl,
  set: StatefulSet,
  { pod, claims }: { readonly pod: Pod; readonly claims: readonly PersistentVolumeClaim[] },
  signal: AbortSignal,
): Promise<void> {
  for (const claim of claims) {
    const { name } = claim.metadata
    const where = `Pod ${pod.metadata.name} in StatefulSet ${set.metadata.name}`
    try {
      const created = await control.client.create<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS, claim)
      const message = `create Claim ${name} ${where} success`
      control.events.record(set, 'Normal', 'SuccessfulCreate', message)
      await control.claims.caughtUp(created.metadata.resourceVersion, signal)
    } catch (error) {
      if (isAlreadyExists(error)) continue
      const message = `create Claim ${name} for ${where} failed error: ${messageOf(error)}`
      control.events.record(set, 'Warning', 'FailedCreate', message)
      throw new Error(`failed to create PVC ${name}: ${messageOf(error)}`, { cause: error })
    }
  }
}

async function updatePod(
  control: StatefulPodControl,
  set: StatefulSet,
  pod: Pod,
  signal: AbortSignal,
): Promise<void> {
  try {
    const updated = await control.client.update<Pod>(PODS, pod)
    recordPod(control, set, pod, { verb: 'Update' })
    await control.pods.caughtUp(updated.metadata.resourceVersion, signal)
  } catch (error) {
    recordPod(control, set, pod, { verb: 'Update', error })
    throw error
  }
}

async function changeClaim(
  control: StatefulPodControl,
  set: StatefulSet,
  { kind, claim }: ClaimChange,
  signal: AbortSignal,
): Promise<void> {
  if (kind === 'conflict') {
    const message =
      `PersistentVolumeClaim ${claim.metadata.name} has a conflicting OwnerReference that acts as a managing ` +
      'controller, the retention policy is ignored for this claim'
    control.events.record(set, 'Warning', 'ConflictingController', message)
    return
  }
  try {
    const updated = await control.client.update<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS, claim)
    await control.claims.caughtUp(updated.metadata.resourceVersion, signal)
  } catch (error) {
    if (!isNotFound(error)) throw error
  }
}

async function deletePod(
  control: StatefulPodControl,
  set: StatefulSet,
  pod: Pod,
  signal: AbortSignal,
): Promise<void> {
  const { namespace, name = '', uid } = pod.metadata
  try {
    await control.client.delete(PODS, { namespace, name, uid })
    recordPod(control, set, pod, { verb: 'Delete' })
  } catch (error) {
    if (!isNotFound(error)) {
      recordPod(control, set, pod, { verb: 'Delete', error })
      throw error
    }
  }
  await untilDeletionSeen(control.pods, pod, signal)
}

function recordPod(
  { events }: StatefulPodControl,
  set: StatefulSet,
  pod: Pod,
  { verb, error }: { readonly verb: Verb; readonly error?: unknown },
): void {
  const what = `${verb.toLowerCase()} Pod ${pod.metadata.name} in StatefulSet ${set.metadata.name}`
  if (error === undefined) events.record(set, 'Normal', `Successful${verb}`, `${what} successful`)
  else events.record(set, 'Warning', `Failed${verb}`, `${what} failed error: ${messageOf(error)}`)
}
