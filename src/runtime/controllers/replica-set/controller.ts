/** Keeps as many pods of each replica set as it asks for. */
import { messageOf } from '../../../base/errors.ts'
import type { EventRecorder } from '../../../client/event-recorder.ts'
import { type Informer, keyOf } from '../../../client/informer.ts'
import { isNotFound, type KubeClient } from '../../../client/kube-client.ts'
import { PODS, REPLICA_SETS } from '../../../client/resources.ts'
import { isNamespaceTerminating } from '../../../client/status-errors.ts'
import { semanticEqual } from '../../../kube/equality.ts'
import { selects } from '../../../kube/labels.ts'
import type { Pod, ReplicaSet } from '../../../kube/types.ts'
import { claimObjects } from '../shared/claim.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import { controllerOf } from '../shared/owners.ts'
import {
  planReplicaSetStatus,
  planReplicas,
  type ReplicaFailure,
  renderPod,
  untilAvailableMs,
} from './plan.ts'

const SERVICE_ACCOUNT = 'replicaset-controller'
const NAMESPACE_INDEX = 'namespace'
/** The first batch of creations; each batch that succeeds doubles it. */
const SLOW_START_PODS = 1

interface Parts {
  readonly context: ControllerContext
  readonly client: KubeClient
  readonly events: EventRecorder
  readonly sets: Informer<ReplicaSet>
  readonly pods: Informer<Pod>
}

export function createReplicaSetController(context: ControllerContext): Controller {
  const sets = context.informers.informer<ReplicaSet>(REPLICA_SETS)
  const pods = context.informers.informer<Pod>(PODS)
  for (const informer of [sets, pods]) {
    informer.addIndex(NAMESPACE_INDEX, object => [object.metadata.namespace ?? ''])
  }
  const parts: Parts = {
    context,
    client: context.client(SERVICE_ACCOUNT),
    events: context.events({ component: SERVICE_ACCOUNT, serviceAccount: SERVICE_ACCOUNT }),
    sets,
    pods,
  }
  return keyedController({
    name: SERVICE_ACCOUNT,
    context,
    sources: [keysFrom(sets, set => [keyOf(set)]), keysFrom(pods, pod => setsOf(sets, pod))],
    reconcile: (key, signal) => reconcile(parts, key, signal),
  })
}

/** The replica set that controls the pod, or those that might adopt it. */
function setsOf(sets: Informer<ReplicaSet>, pod: Pod): string[] {
  const namespace = pod.metadata.namespace ?? ''
  const controller = controllerOf(pod)
  if (controller !== undefined) {
    return controller.kind === 'ReplicaSet' ? [`${namespace}/${controller.name}`] : []
  }
  return sets
    .byIndex(NAMESPACE_INDEX, namespace)
    .filter(set => selects(set.spec?.selector, pod.metadata.labels))
    .map(keyOf)
}

async function reconcile(parts: Parts, key: string, signal: AbortSignal): Promise<number | undefined> {
  const set = parts.sets.get(key)
  if (set === undefined) return undefined
  const nowMs = parts.context.clock.now()
  const candidates = parts.pods.byIndex(NAMESPACE_INDEX, set.metadata.namespace ?? '')
  const pods = await claimObjects({
    client: parts.client,
    owner: set,
    ownerResource: REPLICA_SETS,
    selector: set.spec?.selector,
    resource: PODS,
    informer: parts.pods,
    candidates: candidates.filter(pod => isCandidate(set, pod)),
    signal,
  })
  const plan = planReplicas(set, { pods, related: relatedPods(parts, set, candidates), nowMs })
  const problem =
    plan.kind === 'create'
      ? await createPods(parts, set, plan.count, signal)
      : plan.kind === 'delete'
        ? await deletePods(parts, set, plan.pods, signal)
        : null
  await writeStatus(parts, set, problem, signal)
  if (problem !== null) throw problem.cause
  return untilAvailableMs(set, pods, nowMs)
}

/** Finished pods are not claimed but count as the set's own when they are. */
function isCandidate(set: ReplicaSet, pod: Pod): boolean {
  const controller = controllerOf(pod)
  return controller === undefined || controller.uid === set.metadata.uid
}

function relatedPods(parts: Parts, set: ReplicaSet, candidates: readonly Pod[]): Pod[] {
  const owner = controllerOf(set)
  const related = new Set(
    owner === undefined
      ? [set.metadata.uid]
      : parts.sets
          .byIndex(NAMESPACE_INDEX, set.metadata.namespace ?? '')
          .filter(other => controllerOf(other)?.uid === owner.uid)
          .map(other => other.metadata.uid),
  )
  return candidates.filter(pod => related.has(controllerOf(pod)?.uid))
}

interface Problem {
  readonly failure: ReplicaFailure
  readonly cause: unknown
}

/** One pod first, then twice as many at a time, so that a quota or a webhook refuses once and not a thousand times. */
async function createPods(
  parts: Parts,
  set: ReplicaSet,
  count: number,
  signal: AbortSignal,
): Promise<Problem | null> {
  let left = count
  for (let batch = Math.min(SLOW_START_PODS, left); batch > 0; batch = Math.min(batch * 2, left)) {
    const results = await Promise.allSettled(Array.from({ length: batch }, () => createPod(parts, set)))
    for (const result of results) {
      if (result.status === 'fulfilled') await parts.pods.caughtUp(result.value, signal)
    }
    const refused = results.find(result => result.status === 'rejected')
    if (refused !== undefined) return problemOf(parts, set, refused.reason)
    left -= batch
  }
  return null
}

async function createPod(parts: Parts, set: ReplicaSet): Promise<string | undefined> {
  const created = await parts.client.create<Pod>(PODS, renderPod(set))
  parts.events.record(set, 'Normal', 'SuccessfulCreate', `Created pod: ${created.metadata.name}`)
  return created.metadata.resourceVersion
}

function problemOf(parts: Parts, set: ReplicaSet, cause: unknown): Problem {
  const message = messageOf(cause)
  if (!isNamespaceTerminating(cause)) {
    parts.events.record(set, 'Warning', 'FailedCreate', `Error creating: ${message}`)
  }
  return { failure: { reason: 'FailedCreate', message }, cause }
}

async function deletePods(
  parts: Parts,
  set: ReplicaSet,
  pods: readonly Pod[],
  signal: AbortSignal,
): Promise<Problem | null> {
  const results = await Promise.allSettled(pods.map(pod => deletePod(parts, set, pod)))
  const isSeen = (pod: Pod) => {
    const cached = parts.pods.get(keyOf(pod))
    return cached?.metadata.uid !== pod.metadata.uid || cached?.metadata.deletionTimestamp !== undefined
  }
  for (const [index, pod] of pods.entries()) {
    if (results[index]?.status === 'fulfilled') await parts.pods.until(() => isSeen(pod), signal)
  }
  const refused = results.find(result => result.status === 'rejected')
  if (refused === undefined) return null
  return { failure: { reason: 'FailedDelete', message: messageOf(refused.reason) }, cause: refused.reason }
}

async function deletePod(parts: Parts, set: ReplicaSet, pod: Pod): Promise<void> {
  const { namespace, name, uid } = pod.metadata
  try {
    await parts.client.delete(PODS, { namespace, name: name ?? '', uid })
    parts.events.record(set, 'Normal', 'SuccessfulDelete', `Deleted pod: ${name}`)
  } catch (error) {
    if (isNotFound(error)) return
    parts.events.record(set, 'Warning', 'FailedDelete', `Error deleting: ${messageOf(error)}`)
    throw error
  }
}

/** From the cache after the pods' changes, which it has caught up with. */
async function writeStatus(
  parts: Parts,
  planned: ReplicaSet,
  problem: Problem | null,
  signal: AbortSignal,
): Promise<void> {
  const set = parts.sets.get(keyOf(planned))
  if (set === undefined || set.metadata.uid !== planned.metadata.uid) return
  const namespace = set.metadata.namespace ?? ''
  const pods = parts.pods
    .byIndex(NAMESPACE_INDEX, namespace)
    .filter(
      pod => controllerOf(pod)?.uid === set.metadata.uid && selects(set.spec?.selector, pod.metadata.labels),
    )
  const status = planReplicaSetStatus(set, {
    pods,
    nowMs: parts.context.clock.now(),
    failure: problem?.failure ?? null,
  })
  if (semanticEqual(status, set.status)) return
  const updated = await parts.client.update<ReplicaSet>(
    REPLICA_SETS,
    { ...set, status },
    { subresource: 'status' },
  )
  await parts.sets.caughtUp(updated.metadata.resourceVersion, signal)
}
