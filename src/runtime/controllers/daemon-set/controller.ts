/** Keeps one pod of each daemon set on every node that is to have one; the scheduler binds them. */
import type { EventRecorder } from '../../../client/event-recorder.ts'
import { type Informer, keyOf } from '../../../client/informer.ts'
import type { KubeClient } from '../../../client/kube-client.ts'
import { CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS } from '../../../client/resources.ts'
import { semanticEqual } from '../../../kube/equality.ts'
import { selects } from '../../../kube/labels.ts'
import type { ControllerRevision, DaemonSet, Node, Pod } from '../../../kube/types.ts'
import { claimObjects } from '../shared/claim.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { keyedController, keysFrom, type Source } from '../shared/keyed-controller.ts'
import { controllerOf } from '../shared/owners.ts'
import { createPods, deletePods } from '../shared/pod-control.ts'
import { podOwnerKeys } from '../shared/pod-owners.ts'
import { deleteRevisions, followRevisions, type History, keepHistory } from '../shared/revision-control.ts'
import { planTruncation, REVISION_HASH_LABEL } from '../shared/revisions.ts'
import { renderPod } from './daemon-pod.ts'
import { mergeDuplicates } from './duplicates.ts'
import { FailedPods } from './failed-pods.ts'
import { daemonNodes } from './nodes.ts'
import { type DaemonSetPlan, planDaemonSet } from './plan.ts'
import { planDaemonSetStatus, untilAvailableMs } from './status.ts'

const SERVICE_ACCOUNT = 'daemon-set-controller'
const COMPONENT = 'daemonset-controller'
const NAMESPACE_INDEX = 'namespace'
const HISTORY_LIMIT = 10

interface Parts {
  readonly context: ControllerContext
  readonly client: KubeClient
  readonly events: EventRecorder
  readonly sets: Informer<DaemonSet>
  readonly pods: Informer<Pod>
  readonly nodes: Informer<Node>
  readonly revisions: Informer<ControllerRevision>
  readonly failedPods: FailedPods
}

export function createDaemonSetController(context: ControllerContext): Controller {
  const { informers } = context
  const sets = informers.informer<DaemonSet>(DAEMON_SETS)
  const pods = informers.informer<Pod>(PODS)
  const nodes = informers.informer<Node>(NODES)
  const revisions = informers.informer<ControllerRevision>(CONTROLLER_REVISIONS)
  followRevisions(revisions)
  for (const informer of [sets, pods]) {
    informer.addIndex(NAMESPACE_INDEX, object => [object.metadata.namespace ?? ''])
  }
  const owners = { kind: 'DaemonSet', informer: sets, selectorOf: (set: DaemonSet) => set.spec?.selector }
  const parts: Parts = {
    context,
    client: context.client(SERVICE_ACCOUNT),
    events: context.events({ component: COMPONENT, serviceAccount: SERVICE_ACCOUNT }),
    sets,
    pods,
    nodes,
    revisions,
    failedPods: new FailedPods(),
  }
  return keyedController({
    name: SERVICE_ACCOUNT,
    context,
    sources: [
      keysFrom(sets, set => [keyOf(set)]),
      keysFrom(pods, pod => podOwnerKeys(owners, pod)),
      nodesChanged(parts),
    ],
    reconcile: (key, signal) => reconcile(parts, key, signal),
  })
}

/** Only labels and taints decide where daemons run; a node's many reports change neither. */
function nodesChanged({ nodes, sets }: Parts): Source {
  const looksOf = (node: Node | null) => node && [node.metadata.labels, node.spec?.taints]
  return {
    subscribe: add =>
      nodes.onChange((_key, next, previous) => {
        if (next !== null && previous !== null && semanticEqual(looksOf(next), looksOf(previous))) return
        for (const set of sets.list()) add(keyOf(set))
      }),
  }
}

async function reconcile(parts: Parts, key: string, signal: AbortSignal): Promise<number | undefined> {
  const set = parts.sets.get(key)
  if (set === undefined) return undefined
  const kept = await keepHistory(parts, {
    owner: set,
    ownerResource: DAEMON_SETS,
    selector: set.spec?.selector,
    collisionCount: set.status?.collisionCount ?? 0,
    hashLabel: REVISION_HASH_LABEL,
    signal,
  })
  const claimed = await claimObjects({
    client: parts.client,
    owner: set,
    ownerResource: DAEMON_SETS,
    selector: set.spec?.selector,
    resource: PODS,
    informer: parts.pods,
    candidates: parts.pods.byIndex(NAMESPACE_INDEX, set.metadata.namespace ?? ''),
    signal,
  })
  const { history, pods } = await mergeDuplicates(parts, { history: kept, pods: claimed }, signal)
  const hash = hashOf(history.present)
  const nowMs = parts.context.clock.now()
  const plan = planDaemonSet({
    set,
    nodes: daemonNodes(set, parts.nodes.list(), pods),
    hash,
    nowMs,
    backoffMs: node => parts.failedPods.waitMs(failureKey(set, node), nowMs),
  })
  try {
    await carryOut(parts, { set, plan, hash }, signal)
  } finally {
    await writeStatus(parts, { set, hash, collisionCount: history.collisionCount }, signal)
  }
  await truncate(parts, set, history)
  const waits = [plan.againMs, untilAvailableMs(set, ownPods(parts, set), nowMs)]
  const known = waits.filter(wait => wait !== undefined)
  return known.length === 0 ? undefined : Math.min(...known)
}

const failureKey = (set: DaemonSet, node: string): string => `${set.metadata.uid}/${node}`

const hashOf = (revision: ControllerRevision): string => revision.metadata.labels?.[REVISION_HASH_LABEL] ?? ''

async function carryOut(
  parts: Parts,
  { set, plan, hash }: { readonly set: DaemonSet; readonly plan: DaemonSetPlan; readonly hash: string },
  signal: AbortSignal,
): Promise<void> {
  const nowMs = parts.context.clock.now()
  const where = ({ node, pod }: { readonly node: string; readonly pod: Pod }) =>
    `daemon pod ${keyOf(pod)} on node ${node}`
  for (const ended of plan.failed) {
    parts.failedPods.fail(failureKey(set, ended.node), nowMs)
    const message = `Found failed ${where(ended)}, will try to kill it`
    parts.events.record(set, 'Warning', 'FailedDaemonPod', message)
  }
  for (const ended of plan.succeeded) {
    const message = `Found succeeded ${where(ended)}, will try to delete it`
    parts.events.record(set, 'Normal', 'SucceededDaemonPod', message)
  }
  const rendered = plan.create.map(node => renderPod(set, node, hash))
  const problems = [
    await createPods(parts, set, rendered, signal),
    await deletePods(parts, set, plan.delete, { signal }),
  ]
  for (const problem of problems) if (problem !== null) throw problem.cause
}

const ownPods = ({ pods }: Parts, set: DaemonSet): Pod[] =>
  pods
    .byIndex(NAMESPACE_INDEX, set.metadata.namespace ?? '')
    .filter(
      pod => controllerOf(pod)?.uid === set.metadata.uid && selects(set.spec?.selector, pod.metadata.labels),
    )

/** From the cache after the pods' changes, which it has caught up with. */
async function writeStatus(
  parts: Parts,
  former: { readonly set: DaemonSet; readonly hash: string; readonly collisionCount: number },
  signal: AbortSignal,
): Promise<void> {
  const set = parts.sets.get(keyOf(former.set))
  if (set === undefined || set.metadata.uid !== former.set.metadata.uid) return
  const status = planDaemonSetStatus({
    ...former,
    nodes: daemonNodes(former.set, parts.nodes.list(), ownPods(parts, set)),
    nowMs: parts.context.clock.now(),
  })
  if (semanticEqual(status, set.status)) return
  const updated = await parts.client.update<DaemonSet>(
    DAEMON_SETS,
    { ...set, status },
    { subresource: 'status' },
  )
  await parts.sets.caughtUp(updated.metadata.resourceVersion, signal)
}

async function truncate(parts: Parts, set: DaemonSet, history: History): Promise<void> {
  const live = new Set(ownPods(parts, set).map(pod => pod.metadata.labels?.[REVISION_HASH_LABEL]))
  const excess = planTruncation(history.all, {
    limit: set.spec?.revisionHistoryLimit ?? HISTORY_LIMIT,
    isLive: revision => revision === history.present || live.has(hashOf(revision)),
  })
  await deleteRevisions(parts.client, excess)
}
