/** Runs each job's pods to completion, counts them, and ends the job. */
import { keyOf } from '../../../client/informer.ts'
import { isInvalid, isNotFound } from '../../../client/kube-client.ts'
import { JOBS, PODS } from '../../../client/resources.ts'
import { semanticEqual } from '../../../kube/equality.ts'
import { selects } from '../../../kube/labels.ts'
import type { Job, Pod } from '../../../kube/types.ts'
import { claimObjects } from '../shared/claim.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import { controllerOf } from '../shared/owners.ts'
import { createPods, deletePods, type PodControl, type PodProblem } from '../shared/pod-control.ts'
import { podOwnerKeys } from '../shared/pod-owners.ts'
import { finishedCondition } from './conditions.ts'
import type { ManagePlan } from './manage.ts'
import { type JobPlan, planJob } from './plan.ts'
import { isTracked, renderPod, TRACKING_FINALIZER } from './pods.ts'

const SERVICE_ACCOUNT = 'job-controller'
const NAMESPACE_INDEX = 'namespace'
/** The value of spec.managedBy that means this controller, as an absent one does. */
const MANAGED_BY = 'kubernetes.io/job-controller'

interface Parts extends PodControl {
  readonly context: ControllerContext
  readonly jobs: ReturnType<typeof jobInformer>
}

const jobInformer = (context: ControllerContext) => context.informers.informer<Job>(JOBS)

export function createJobController(context: ControllerContext): Controller {
  const jobs = jobInformer(context)
  const pods = context.informers.informer<Pod>(PODS)
  for (const informer of [jobs, pods]) {
    informer.addIndex(NAMESPACE_INDEX, object => [object.metadata.namespace ?? ''])
  }
  const client = context.client(SERVICE_ACCOUNT)
  const events = context.events({ component: SERVICE_ACCOUNT, serviceAccount: SERVICE_ACCOUNT })
  const parts: Parts = { context, client, events, jobs, pods }
  const running = keyedController({
    name: SERVICE_ACCOUNT,
    context,
    sources: [keysFrom(jobs, job => [keyOf(job)]), keysFrom(pods, pod => jobsOf(parts, pod))],
    reconcile: (key, signal) => reconcile(parts, key, signal),
  })
  const orphans = keyedController({
    name: `${SERVICE_ACCOUNT}-orphans`,
    context,
    sources: [
      keysFrom(pods, pod => (isTracked(pod) ? [keyOf(pod)] : [])),
      keysFrom(jobs, job => trackedPodsOf(parts, job).map(keyOf)),
    ],
    reconcile: (key, signal) => releaseOrphan(parts, key, signal),
  })
  return {
    name: SERVICE_ACCOUNT,
    start() {
      running.start()
      orphans.start()
    },
    async stop() {
      await Promise.all([running.stop(), orphans.stop()])
    },
  }
}

const jobsOf = ({ jobs }: Parts, pod: Pod): string[] =>
  podOwnerKeys({ kind: 'Job', informer: jobs, selectorOf: job => job.spec?.selector }, pod)

const podsNear = (parts: Parts, job: Job): Pod[] =>
  parts.pods.byIndex(NAMESPACE_INDEX, job.metadata.namespace ?? '')

const trackedPodsOf = (parts: Parts, job: Job): Pod[] =>
  podsNear(parts, job).filter(pod => isTracked(pod) && controllerOf(pod)?.uid === job.metadata.uid)

const isOurs = (job: Job): boolean => (job.spec?.managedBy ?? MANAGED_BY) === MANAGED_BY

async function reconcile(parts: Parts, key: string, signal: AbortSignal): Promise<number | undefined> {
  const job = parts.jobs.get(key)
  if (job === undefined || !isOurs(job) || finishedCondition(job) !== undefined) return undefined
  const nowMs = parts.context.clock.now()
  const first = planJob(job, { pods: await claimPods(parts, job, signal), nowMs })
  const problem = await changePods(parts, job, first.pods, signal)
  const changed = first.pods.create.length + first.pods.drop.length + first.pods.end.length > 0
  const { verdict: decided } = first
  const plan = changed ? planJob(job, { pods: ownPods(parts, job), nowMs, decided }) : first
  await writeStatus(parts, job, plan, signal)
  await Promise.all(plan.release.map(pod => release(parts, pod, signal)))
  if (problem !== null) throw problem.cause
  return plan.againMs
}

function claimPods(parts: Parts, job: Job, signal: AbortSignal): Promise<Pod[]> {
  return claimObjects({
    client: parts.client,
    owner: job,
    ownerResource: JOBS,
    selector: job.spec?.selector,
    resource: PODS,
    informer: parts.pods,
    candidates: podsNear(parts, job),
    finalizers: [TRACKING_FINALIZER],
    signal,
  })
}

/** From the cache after the pods' changes, which it has caught up with. */
function ownPods(parts: Parts, job: Job): Pod[] {
  return podsNear(parts, job).filter(
    pod => controllerOf(pod)?.uid === job.metadata.uid && selects(job.spec?.selector, pod.metadata.labels),
  )
}

async function changePods(
  parts: Parts,
  job: Job,
  plan: ManagePlan,
  signal: AbortSignal,
): Promise<PodProblem | null> {
  const before = (pod: Pod) => release(parts, pod, signal)
  return (
    (await deletePods(parts, job, plan.drop, { signal, before })) ??
    (await deletePods(parts, job, plan.end, { signal })) ??
    createPods(
      parts,
      job,
      plan.create.map(pod => renderPod(job, pod)),
      signal,
    )
  )
}

async function writeStatus(parts: Parts, job: Job, plan: JobPlan, signal: AbortSignal): Promise<void> {
  if (!semanticEqual(plan.status, job.status)) {
    const next = { ...job, status: plan.status }
    const updated = await parts.client.update<Job>(JOBS, next, { subresource: 'status' })
    await parts.jobs.caughtUp(updated.metadata.resourceVersion, signal)
  }
  for (const { type, reason, message } of plan.events) parts.events.record(job, type, reason, message)
}

/** Takes the finalizer off the pod, unless it is another one by now. */
async function release(parts: Parts, pod: Pod, signal: AbortSignal): Promise<void> {
  const { namespace, name, uid } = pod.metadata
  if (!isTracked(pod)) return
  const patch = { metadata: { uid, '$deleteFromPrimitiveList/finalizers': [TRACKING_FINALIZER] } }
  try {
    await parts.client.patch<Pod>(PODS, { namespace, name: name ?? '', type: 'strategic', patch })
  } catch (error) {
    if (!isNotFound(error) && !isInvalid(error)) throw error
  }
  const isReleased = () => {
    const cached = parts.pods.get(keyOf(pod))
    return cached?.metadata.uid !== uid || !isTracked(cached ?? pod)
  }
  await parts.pods.until(isReleased, signal)
}

/** A tracked pod whose job is gone or has finished waits for nobody. */
async function releaseOrphan(parts: Parts, key: string, signal: AbortSignal): Promise<undefined> {
  const pod = parts.pods.get(key)
  if (pod === undefined || !isTracked(pod)) return undefined
  const controller = controllerOf(pod)
  if (controller !== undefined && controller.kind !== 'Job') return undefined
  if (controller === undefined && jobsOf(parts, pod).length > 0) return undefined
  if (controller !== undefined && (await isWaitedFor(parts, pod, controller))) return undefined
  await release(parts, pod, signal)
  return undefined
}

/** The cache may be behind, so a job that it does not have is asked for. */
async function isWaitedFor(
  parts: Parts,
  pod: Pod,
  { name, uid }: { readonly name: string; readonly uid: string },
): Promise<boolean> {
  const namespace = pod.metadata.namespace ?? ''
  const cached = parts.jobs.get(`${namespace}/${name}`)
  if (cached?.metadata.uid === uid) return finishedCondition(cached) === undefined
  try {
    const job = await parts.client.get<Job>(JOBS, { namespace, name })
    return job.metadata.uid === uid && finishedCondition(job) === undefined
  } catch (error) {
    if (isNotFound(error)) return false
    throw error
  }
}
