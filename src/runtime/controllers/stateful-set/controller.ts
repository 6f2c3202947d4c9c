/** Keeps the numbered pods of each stateful set: history, pods and claims, then the status. */
import { type Informer, keyOf } from '../../../client/informer.ts'
import {
  CONTROLLER_REVISIONS,
  PERSISTENT_VOLUME_CLAIMS,
  PODS,
  STATEFUL_SETS,
} from '../../../client/resources.ts'
import { semanticEqual } from '../../../kube/equality.ts'
import { selects } from '../../../kube/labels.ts'
import type { ControllerRevision, PersistentVolumeClaim, Pod, StatefulSet } from '../../../kube/types.ts'
import { claimObjects } from '../shared/claim.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { keyedController, keysFrom, type Source } from '../shared/keyed-controller.ts'
import { controllerOf } from '../shared/owners.ts'
import { podOwnerKeys } from '../shared/pod-owners.ts'
import { deleteRevisions, followRevisions, type History, keepHistory } from '../shared/revision-control.ts'
import { planTruncation, templateOf } from '../shared/revisions.ts'
import { ordinalOf, type Revision, revisionOf } from './identity.ts'
import { planStatefulSet } from './plan.ts'
import { carryOut, type StatefulPodControl } from './pod-control.ts'
import { planStatefulSetStatus, untilAvailableMs } from './status.ts'

const SERVICE_ACCOUNT = 'statefulset-controller'
const NAMESPACE_INDEX = 'namespace'
/** The label of a revision that carries its hash. */
const HASH_LABEL = 'controller.kubernetes.io/hash'
const HISTORY_LIMIT = 10

interface Parts extends StatefulPodControl {
  readonly context: ControllerContext
  readonly sets: Informer<StatefulSet>
  readonly revisions: Informer<ControllerRevision>
}

export function createStatefulSetController(context: ControllerContext): Controller {
  const { informers } = context
  const sets = informers.informer<StatefulSet>(STATEFUL_SETS)
  const pods = informers.informer<Pod>(PODS)
  const claims = informers.informer<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS)
  const revisions = informers.informer<ControllerRevision>(CONTROLLER_REVISIONS)
  followRevisions(revisions)
  for (const informer of [sets, pods, claims]) {
    informer.addIndex(NAMESPACE_INDEX, object => [object.metadata.namespace ?? ''])
  }
  const owners = { kind: 'StatefulSet', informer: sets, selectorOf: (set: StatefulSet) => set.spec?.selector }
  const parts: Parts = {
    context,
    client: context.client(SERVICE_ACCOUNT),
    events: context.events({ component: SERVICE_ACCOUNT, serviceAccount: SERVICE_ACCOUNT }),
    sets,
    pods,
    claims,
    revisions,
  }
  return keyedController({
    name: SERVICE_ACCOUNT,
    context,
    sources: [
      keysFrom(sets, set => [keyOf(set)]),
      keysFrom(pods, pod => podOwnerKeys(owners, pod)),
      claimsGone(parts),
    ],
    reconcile: (key, signal) => reconcile(parts, key, signal),
  })
}

/** A pod may wait for a claim to go, and a claim that is gone may have to come back. */
function claimsGone({ sets, claims }: Parts): Source {
  const isOf = (set: StatefulSet, name: string) =>
    (set.spec?.volumeClaimTemplates ?? []).some(template =>
      name.startsWith(`${template.metadata?.name}-${set.metadata.name}-`),
    )
  return {
    subscribe: add =>
      claims.onChange((_key, next, previous) => {
        if (next !== null || previous === null) return
        const { namespace = '', name = '' } = previous.metadata
        for (const set of sets.byIndex(NAMESPACE_INDEX, namespace)) if (isOf(set, name)) add(keyOf(set))
      }),
  }
}

async function reconcile(parts: Parts, key: string, signal: AbortSignal): Promise<number | undefined> {
  const set = parts.sets.get(key)
  if (set === undefined) return undefined
  const history = await keepHistory(parts, {
    owner: set,
    ownerResource: STATEFUL_SETS,
    selector: set.spec?.selector,
    collisionCount: set.status?.collisionCount ?? 0,
    hashLabel: HASH_LABEL,
    signal,
  })
  const pods = await claimPods(parts, set, signal)
  const update = toRevision(history.present)
  const current = history.all.find(one => one.metadata.name === set.status?.currentRevision)
  const state = { set, current: current === undefined ? update : toRevision(current), update }
  const actions = planStatefulSet({
    ...state,
    pods,
    claims: claimsIn(parts, set),
    nowMs: parts.context.clock.now(),
  })
  try {
    await carryOut(parts, set, actions, signal)
  } finally {
    await writeStatus(parts, { ...state, history }, signal)
  }
  await truncate(parts, { ...state, history })
  return untilAvailableMs(set, ownPods(parts, set), parts.context.clock.now())
}

const toRevision = (revision: ControllerRevision): Revision => ({
  name: revision.metadata.name ?? '',
  template: templateOf(revision),
})

/** Only pods that are called like the set's are ever its own. */
function claimPods(parts: Parts, set: StatefulSet, signal: AbortSignal): Promise<Pod[]> {
  const candidates = parts.pods.byIndex(NAMESPACE_INDEX, set.metadata.namespace ?? '')
  return claimObjects({
    client: parts.client,
    owner: set,
    ownerResource: STATEFUL_SETS,
    selector: set.spec?.selector,
    resource: PODS,
    informer: parts.pods,
    candidates: candidates.filter(pod => ordinalOf(set, pod) !== undefined),
    signal,
  })
}

function claimsIn({ claims }: Parts, set: StatefulSet): Map<string, PersistentVolumeClaim> {
  if ((set.spec?.volumeClaimTemplates ?? []).length === 0) return new Map()
  const found = claims.byIndex(NAMESPACE_INDEX, set.metadata.namespace ?? '')
  return new Map(found.map(claim => [claim.metadata.name ?? '', claim]))
}

const ownPods = ({ pods }: Parts, set: StatefulSet): Pod[] =>
  pods
    .byIndex(NAMESPACE_INDEX, set.metadata.namespace ?? '')
    .filter(
      pod =>
        controllerOf(pod)?.uid === set.metadata.uid &&
        ordinalOf(set, pod) !== undefined &&
        selects(set.spec?.selector, pod.metadata.labels),
    )

interface Outcome {
  readonly set: StatefulSet
  readonly current: Revision
  readonly update: Revision
  readonly history: History
}

/** From the cache after the pods' changes, which it has caught up with. */
async function writeStatus(parts: Parts, outcome: Outcome, signal: AbortSignal): Promise<void> {
  const set = parts.sets.get(keyOf(outcome.set))
  if (set === undefined || set.metadata.uid !== outcome.set.metadata.uid) return
  const planned = planStatefulSetStatus({
    set: outcome.set,
    pods: ownPods(parts, set),
    current: outcome.current.name,
    update: outcome.update.name,
    collisionCount: outcome.history.collisionCount,
    nowMs: parts.context.clock.now(),
  })
  if (semanticEqual(planned, set.status)) return
  const updated = await parts.client.update<StatefulSet>(
    STATEFUL_SETS,
    { ...set, status: planned },
    { subresource: 'status' },
  )
  await parts.sets.caughtUp(updated.metadata.resourceVersion, signal)
}

async function truncate(parts: Parts, { set, current, update, history }: Outcome): Promise<void> {
  const live = new Set([current.name, update.name, ...ownPods(parts, set).map(revisionOf)])
  const excess = planTruncation(history.all, {
    limit: set.spec?.revisionHistoryLimit ?? HISTORY_LIMIT,
    isLive: revision => live.has(revision.metadata.name ?? ''),
  })
  await deleteRevisions(parts.client, excess)
}
