/** Rolls deployments out: carries the plan's actions out, then writes the status. */
import { messageOf } from '../../../base/errors.ts'
import type { EventRecorder } from '../../../client/event-recorder.ts'
import { type Informer, keyOf } from '../../../client/informer.ts'
import { isAlreadyExists, type KubeClient } from '../../../client/kube-client.ts'
import { DEPLOYMENTS, PODS, REPLICA_SETS } from '../../../client/resources.ts'
import { isNamespaceTerminating } from '../../../client/status-errors.ts'
import { semanticEqual } from '../../../kube/equality.ts'
import { selects } from '../../../kube/labels.ts'
import type { Deployment, DeploymentStatus, Pod, ReplicaSet } from '../../../kube/types.ts'
import { claimObjects } from '../shared/claim.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { deleteIfThere } from '../shared/deletion.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import { controllerOf } from '../shared/owners.ts'
import { REVISION, replicasOf, sizeAnnotations } from './annotations.ts'
import { type DeploymentAction, type DeploymentPlan, planDeployment } from './plan.ts'
import { equalTemplates } from './replica-sets.ts'
import { deadlineMs, setCondition, withoutZeros } from './status.ts'

const SERVICE_ACCOUNT = 'deployment-controller'
const NAMESPACE_INDEX = 'namespace'

interface Parts {
  readonly context: ControllerContext
  readonly client: KubeClient
  readonly events: EventRecorder
  readonly deployments: Informer<Deployment>
  readonly sets: Informer<ReplicaSet>
  readonly pods: Informer<Pod>
}

export function createDeploymentController(context: ControllerContext): Controller {
  const deployments = context.informers.informer<Deployment>(DEPLOYMENTS)
  const sets = context.informers.informer<ReplicaSet>(REPLICA_SETS)
  const pods = context.informers.informer<Pod>(PODS)
  for (const informer of [deployments, sets, pods]) {
    informer.addIndex(NAMESPACE_INDEX, object => [object.metadata.namespace ?? ''])
  }
  const parts: Parts = {
    context,
    client: context.client(SERVICE_ACCOUNT),
    events: context.events({ component: SERVICE_ACCOUNT, serviceAccount: SERVICE_ACCOUNT }),
    deployments,
    sets,
    pods,
  }
  return keyedController({
    name: SERVICE_ACCOUNT,
    context,
    sources: [
      keysFrom(deployments, deployment => [keyOf(deployment)]),
      keysFrom(sets, set => deploymentsOf(deployments, set)),
      { subscribe: add => pods.onChange((_key, next, previous) => onPodGone(parts, next, previous, add)) },
    ],
    reconcile: (key, signal) => reconcile(parts, key, signal),
  })
}

function deploymentsOf(deployments: Informer<Deployment>, set: ReplicaSet): string[] {
  const namespace = set.metadata.namespace ?? ''
  const controller = controllerOf(set)
  if (controller !== undefined) {
    return controller.kind === 'Deployment' ? [`${namespace}/${controller.name}`] : []
  }
  return deployments
    .byIndex(NAMESPACE_INDEX, namespace)
    .filter(deployment => selects(deployment.spec?.selector, set.metadata.labels))
    .map(keyOf)
}

/** A Recreate deployment waits for its last old pod, and no replica set's status tells when that is gone. */
function onPodGone(parts: Parts, next: Pod | null, previous: Pod | null, add: (key: string) => void): void {
  const isGone = next === null || next.status?.phase === 'Succeeded' || next.status?.phase === 'Failed'
  const owner = previous === null ? undefined : controllerOf(previous)
  if (!isGone || previous === null || owner?.kind !== 'ReplicaSet') return
  const set = parts.sets.get(`${previous.metadata.namespace}/${owner.name}`)
  if (set === undefined) return
  for (const key of deploymentsOf(parts.deployments, set)) {
    if (parts.deployments.get(key)?.spec?.strategy?.type === 'Recreate') add(key)
  }
}

async function reconcile(parts: Parts, key: string, signal: AbortSignal): Promise<number | undefined> {
  const deployment = parts.deployments.get(key)
  if (deployment === undefined) return undefined
  const namespace = deployment.metadata.namespace ?? ''
  const sets = await claimObjects({
    client: parts.client,
    owner: deployment,
    ownerResource: DEPLOYMENTS,
    selector: deployment.spec?.selector,
    resource: REPLICA_SETS,
    informer: parts.sets,
    candidates: parts.sets.byIndex(NAMESPACE_INDEX, namespace),
    signal,
  })
  const uids = new Set(sets.map(set => set.metadata.uid))
  const pods = parts.pods.byIndex(NAMESPACE_INDEX, namespace).filter(pod => uids.has(controllerOf(pod)?.uid))
  const nowMs = parts.context.clock.now()
  const plan = planDeployment({ deployment, sets, pods, nowMs })
  for (const action of plan.actions) {
    if (!(await carryOut(parts, deployment, action, signal))) return 0
  }
  await writeStatus(parts, deployment, plan, signal)
  if (plan.actions.length > 0) return 0
  const deadline = deadlineMs(deployment, plan.status)
  return deadline === null ? undefined : Math.max(deadline - nowMs, 1_000)
}

/** False: something else was found than the plan expected; look again. */
async function carryOut(
  parts: Parts,
  deployment: Deployment,
  action: DeploymentAction,
  signal: AbortSignal,
): Promise<boolean> {
  const { client, sets } = parts
  switch (action.kind) {
    case 'create-set':
      return createSet(parts, deployment, action.set, signal)
    case 'update-set': {
      const updated = await client.update<ReplicaSet>(REPLICA_SETS, action.set)
      await sets.caughtUp(updated.metadata.resourceVersion, signal)
      return true
    }
    case 'resize-set':
      await resizeSet(parts, deployment, action, signal)
      return true
    case 'delete-set':
      await deleteIfThere(client, REPLICA_SETS, action.set, { propagationPolicy: 'Background' })
      return true
  }
}

async function createSet(
  parts: Parts,
  deployment: Deployment,
  set: ReplicaSet,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    const created = await parts.client.create<ReplicaSet>(REPLICA_SETS, set)
    await parts.sets.caughtUp(created.metadata.resourceVersion, signal)
  } catch (error) {
    if (isNamespaceTerminating(error)) return true
    if (isAlreadyExists(error)) return resolveCollision(parts, deployment, set, signal)
    await reportFailure(parts, deployment, creationFailure(set, error))
    throw error
  }
  const message = `Scaled up replica set ${set.metadata.name} from 0 to ${replicasOf(set)}`
  if (replicasOf(set) > 0) parts.events.record(deployment, 'Normal', 'ScalingReplicaSet', message)
  return true
}

/** The name is taken: by our own set that the cache has not shown yet, or by another template. */
async function resolveCollision(
  parts: Parts,
  deployment: Deployment,
  set: ReplicaSet,
  signal: AbortSignal,
): Promise<boolean> {
  const { namespace, name } = set.metadata
  const existing = await parts.client.get<ReplicaSet>(REPLICA_SETS, { namespace, name: name ?? '' })
  const isOurs =
    controllerOf(existing)?.uid === deployment.metadata.uid &&
    equalTemplates(existing.spec?.template, deployment.spec?.template)
  if (isOurs) {
    await parts.sets.caughtUp(existing.metadata.resourceVersion, signal)
    return false
  }
  const collisionCount = (deployment.status?.collisionCount ?? 0) + 1
  await putStatus(parts, deployment, { ...deployment.status, collisionCount }, signal)
  return false
}

const creationFailure = (set: ReplicaSet, error: unknown): string =>
  `Failed to create new replica set ${JSON.stringify(set.metadata.name)}: ${messageOf(error)}`

async function reportFailure(parts: Parts, deployment: Deployment, message: string): Promise<void> {
  const reason = 'ReplicaSetCreateError'
  const condition = { type: 'Progressing', status: 'False', reason, message } as const
  parts.events.record(deployment, 'Warning', reason, message)
  const conditions = setCondition(deployment.status?.conditions ?? [], condition, parts.context.clock.now())
  if (semanticEqual(conditions, deployment.status?.conditions)) return
  const next = { ...deployment, status: { ...deployment.status, conditions } }
  await parts.client.update<Deployment>(DEPLOYMENTS, next, { subresource: 'status' })
}

async function resizeSet(
  parts: Parts,
  deployment: Deployment,
  action: DeploymentAction & { readonly kind: 'resize-set' },
  signal: AbortSignal,
): Promise<void> {
  const set = parts.sets.get(keyOf(action.set)) ?? action.set
  const from = replicasOf(set)
  const annotations = { ...set.metadata.annotations, ...sizeAnnotations(deployment) }
  const spec = { ...set.spec, selector: set.spec?.selector ?? {}, replicas: action.to }
  const next: ReplicaSet = { ...set, metadata: { ...set.metadata, annotations }, spec }
  const updated = await parts.client.update<ReplicaSet>(REPLICA_SETS, next)
  await parts.sets.caughtUp(updated.metadata.resourceVersion, signal)
  if (from === action.to) return
  const direction = from < action.to ? 'up' : 'down'
  const message = `Scaled ${direction} replica set ${set.metadata.name} from ${from} to ${action.to}`
  parts.events.record(deployment, 'Normal', 'ScalingReplicaSet', message)
}

/** The revision goes with the status when the API server takes it there, and by a patch of its own when not. */
async function writeStatus(
  parts: Parts,
  deployment: Deployment,
  plan: DeploymentPlan,
  signal: AbortSignal,
): Promise<void> {
  const { revision } = plan
  const status = withoutZeros(plan.status)
  const isSame = semanticEqual(status, deployment.status)
  if (isSame && revision === null) return
  const annotations = {
    ...deployment.metadata.annotations,
    ...(revision === null ? {} : { [REVISION]: revision }),
  }
  const next = { ...deployment, metadata: { ...deployment.metadata, annotations } }
  const updated = await putStatus(parts, next, status, signal)
  if (revision === null || updated.metadata.annotations?.[REVISION] === revision) return
  const { namespace, name } = deployment.metadata
  const patch = { metadata: { annotations: { [REVISION]: revision } } }
  const patched = await parts.client.patch<Deployment>(DEPLOYMENTS, {
    namespace,
    name: name ?? '',
    type: 'merge',
    patch,
  })
  await parts.deployments.caughtUp(patched.metadata.resourceVersion, signal)
}

async function putStatus(
  parts: Parts,
  deployment: Deployment,
  status: DeploymentStatus,
  signal: AbortSignal,
): Promise<Deployment> {
  const next = { ...deployment, status }
  const updated = await parts.client.update<Deployment>(DEPLOYMENTS, next, { subresource: 'status' })
  await parts.deployments.caughtUp(updated.metadata.resourceVersion, signal)
  return updated
}
