/**
 * Keeps as many pods of each replica set as it asks for, and of each replication controller, which is looked at as
 * a replica set with an older selector (`flavour.ts`).
 */
import type { EventRecorder } from '../../../client/event-recorder.ts'
import { type Informer, keyOf } from '../../../client/informer.ts'
import type { KubeClient } from '../../../client/kube-client.ts'
import { PODS } from '../../../client/resources.ts'
import { semanticEqual } from '../../../kube/equality.ts'
import { selects } from '../../../kube/labels.ts'
import type { Pod, ReplicaSet } from '../../../kube/types.ts'
import { claimObjects } from '../shared/claim.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import { controllerOf } from '../shared/owners.ts'
import { createPods, deletePods, type PodProblem } from '../shared/pod-control.ts'
import { podOwnerKeys } from '../shared/pod-owners.ts'
import { type Flavour, REPLICA_SET, REPLICATION_CONTROLLER } from './flavour.ts'
import { planReplicaSetStatus, planReplicas, type ReplicaPlan, renderPod, untilAvailableMs } from './plan.ts'

const NAMESPACE_INDEX = 'namespace'

interface Parts {
  readonly flavour: Flavour
  readonly context: ControllerContext
  readonly client: KubeClient
  readonly events: EventRecorder
  readonly sets: Informer<ReplicaSet>
  readonly pods: Informer<Pod>
}

export const createReplicaSetController = (context: ControllerContext): Controller =>
  createFor(REPLICA_SET, context)

export const createReplicationController = (context: ControllerContext): Controller =>
  createFor(REPLICATION_CONTROLLER, context)

function createFor(flavour: Flavour, context: ControllerContext): Controller {
  const sets = context.informers.informer<ReplicaSet>(flavour.resource)
  const { serviceAccount } = flavour
  const pods = context.informers.informer<Pod>(PODS)
  for (const informer of [sets, pods]) {
    informer.addIndex(NAMESPACE_INDEX, object => [object.metadata.namespace ?? ''])
  }
  const parts: Parts = {
    flavour,
    context,
    client: context.client(serviceAccount),
    events: context.events({ component: serviceAccount, serviceAccount }),
    sets,
    pods,
  }
  const owners = { kind: flavour.kind, informer: sets, selectorOf: flavour.selectorOf }
  return keyedController({
    name: serviceAccount,
    context,
    sources: [keysFrom(sets, set => [keyOf(set)]), keysFrom(pods, pod => podOwnerKeys(owners, pod))],
    reconcile: (key, signal) => reconcile(parts, key, signal),
  })
}

async function reconcile(parts: Parts, key: string, signal: AbortSignal): Promise<number | undefined> {
  const set = parts.sets.get(key)
  if (set === undefined) return undefined
  const nowMs = parts.context.clock.now()
  const candidates = parts.pods.byIndex(NAMESPACE_INDEX, set.metadata.namespace ?? '')
  const pods = await claimObjects({
    client: parts.client,
    owner: set,
    ownerResource: parts.flavour.resource,
    selector: parts.flavour.selectorOf(set),
    resource: PODS,
    informer: parts.pods,
    candidates: candidates.filter(pod => isCandidate(set, pod)),
    signal,
  })
  const plan = planReplicas(set, { pods, related: relatedPods(parts, set, candidates), nowMs })
  const problem = await carryOut(parts, set, plan, signal)
  await writeStatus(parts, set, problem, signal)
  if (problem !== null) throw problem.cause
  return untilAvailableMs(set, pods, nowMs)
}

async function carryOut(
  parts: Parts,
  set: ReplicaSet,
  plan: ReplicaPlan,
  signal: AbortSignal,
): Promise<PodProblem | null> {
  if (plan.kind === 'create') {
    const rendered = Array.from({ length: plan.count }, () => renderPod(set))
    return createPods(parts, set, rendered, signal)
  }
  return plan.kind === 'delete' ? deletePods(parts, set, plan.pods, { signal }) : null
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

/** From the cache after the pods' changes, which it has caught up with. */
async function writeStatus(
  parts: Parts,
  former: ReplicaSet,
  problem: PodProblem | null,
  signal: AbortSignal,
): Promise<void> {
  const set = parts.sets.get(keyOf(former))
  if (set === undefined || set.metadata.uid !== former.metadata.uid) return
  const namespace = set.metadata.namespace ?? ''
  const pods = parts.pods
    .byIndex(NAMESPACE_INDEX, namespace)
    .filter(
      pod =>
        controllerOf(pod)?.uid === set.metadata.uid &&
        selects(parts.flavour.selectorOf(set), pod.metadata.labels),
    )
  const planned = planReplicaSetStatus(set, {
    pods,
    nowMs: parts.context.clock.now(),
    failure: problem === null ? null : { reason: problem.reason, message: problem.message },
  })
  const status = parts.flavour.statusOf(planned)
  if (semanticEqual(status, set.status)) return
  const updated = await parts.client.update<ReplicaSet>(
    parts.flavour.resource,
    { ...set, status },
    { subresource: 'status' },
  )
  await parts.sets.caughtUp(updated.metadata.resourceVersion, signal)
}
