/** Scales targets as their metrics ask for, every quarter of a minute. */
import { messageOf } from '../../../base/errors.ts'
import type { EventRecorder } from '../../../client/event-recorder.ts'
import { type Informer, keyOf } from '../../../client/informer.ts'
import type { KubeClient } from '../../../client/kube-client.ts'
import { API_SERVICES, HORIZONTAL_POD_AUTOSCALERS, PODS } from '../../../client/resources.ts'
import { semanticEqual } from '../../../kube/equality.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { StatusError } from '../../../kube/status.ts'
import { formatTime } from '../../../kube/time.ts'
import type { HorizontalPodAutoscaler, HorizontalPodAutoscalerStatus, Pod } from '../../../kube/types.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import { type Scale, Scales, type ScaleTarget } from '../shared/scales.ts'
import type { History } from './behavior.ts'
import { measure } from './metrics.ts'
import { type AutoscalerPlan, asksMetrics, GOT_SCALE, planAutoscaler, withCondition } from './plan.ts'
import { type SelectorProblem, TargetSelectors } from './selectors.ts'

const SERVICE_ACCOUNT = 'horizontal-pod-autoscaler'
const NAMESPACE_INDEX = 'namespace'
/** Metrics are asked for so often: they announce no changes. */
const SYNC_MS = 15_000
const NOTHING_KNOWN: History = { recommendations: [], ups: [], downs: [] }

interface Looked {
  readonly atMs: number
  readonly spec: unknown
}

interface Parts {
  readonly context: ControllerContext
  readonly client: KubeClient
  readonly events: EventRecorder
  readonly autoscalers: Informer<HorizontalPodAutoscaler>
  readonly pods: Informer<Pod>
  readonly apiServices: Informer<KubeObject>
  readonly scales: Scales
  /** By key: what was proposed and done lately. */
  readonly histories: Map<string, History>
  readonly selectors: TargetSelectors
  /** By key: when it was last looked at, and what its spec was. */
  readonly looked: Map<string, Looked>
}

export function createAutoscalerController(context: ControllerContext): Controller {
  const autoscalers = context.informers.informer<HorizontalPodAutoscaler>(HORIZONTAL_POD_AUTOSCALERS)
  const pods = context.informers.informer<Pod>(PODS)
  const apiServices = context.informers.informer<KubeObject>(API_SERVICES)
  pods.addIndex(NAMESPACE_INDEX, object => [object.metadata.namespace ?? ''])
  const client = context.client(SERVICE_ACCOUNT)
  const events = context.events({ component: SERVICE_ACCOUNT, serviceAccount: SERVICE_ACCOUNT })
  const scales = new Scales(context)
  const memory = { histories: new Map(), looked: new Map(), selectors: new TargetSelectors() }
  const parts: Parts = { context, client, events, autoscalers, pods, apiServices, scales, ...memory }
  return keyedController({
    name: SERVICE_ACCOUNT,
    context,
    sources: [keysFrom(autoscalers, one => [keyOf(one)])],
    reconcile: (key, signal) => reconcile(parts, key, signal),
  })
}

async function reconcile(parts: Parts, key: string, signal: AbortSignal): Promise<number | undefined> {
  const autoscaler = parts.autoscalers.get(key)
  if (autoscaler === undefined) {
    parts.looked.delete(key)
    parts.histories.delete(key)
    parts.selectors.forget(key)
    return undefined
  }
  const nowMs = parts.context.clock.now()
  const leftMs = untilNextLook(parts, key, autoscaler)
  if (leftMs > 0) return leftMs
  parts.looked.set(key, { atMs: nowMs, spec: autoscaler.spec })
  try {
    const target = resolveTarget(parts, autoscaler)
    const scale = await parts.scales.get(parts.client, target)
    await scaleTo(parts, autoscaler, { target, scale, nowMs, signal })
  } catch (error) {
    if (!(error instanceof TargetProblem) && !(error instanceof StatusError)) throw error
    const why = messageOf(error)
    parts.events.record(autoscaler, 'Warning', 'FailedGetScale', why)
    const message = `the HPA controller was unable to get the target's current scale: ${why}`
    const condition = { type: 'AbleToScale', status: 'False', reason: 'FailedGetScale', message } as const
    const conditions = [...withCondition(autoscaler.status?.conditions, condition, nowMs)]
    const before = autoscaler.status ?? { desiredReplicas: 0 }
    await writeStatus(parts, autoscaler, { ...before, conditions }, signal)
  }
  return SYNC_MS
}

/** Writes of its status, its own among them, are no reason to look sooner. */
function untilNextLook({ looked, context }: Parts, key: string, { spec }: HorizontalPodAutoscaler): number {
  const last = looked.get(key)
  if (last === undefined || !semanticEqual(last.spec, spec)) return 0
  return last.atMs + SYNC_MS - context.clock.now()
}

class TargetProblem extends Error {}

function resolveTarget({ scales }: Parts, { metadata, spec }: HorizontalPodAutoscaler): ScaleTarget {
  const { apiVersion = 'v1', kind = '', name = '' } = spec?.scaleTargetRef ?? {}
  const resource = scales.resourceOf(apiVersion, kind)
  if (resource === undefined) {
    const group = apiVersion.includes('/') ? apiVersion.split('/')[0] : ''
    throw new TargetProblem(`no matches for kind ${JSON.stringify(kind)} in group ${JSON.stringify(group)}`)
  }
  return { resource, name, namespace: metadata.namespace ?? '' }
}

interface Found {
  readonly target: ScaleTarget
  readonly scale: Scale
  readonly nowMs: number
  readonly signal: AbortSignal
}

async function scaleTo(parts: Parts, autoscaler: HorizontalPodAutoscaler, found: Found): Promise<void> {
  const { scale, nowMs, signal } = found
  const key = keyOf(autoscaler)
  const facts = { specReplicas: scale.spec?.replicas ?? 0, statusReplicas: scale.status?.replicas ?? 0 }
  const selector = scale.status?.selector ?? ''
  const asks = asksMetrics(autoscaler, facts)
  const namespace = autoscaler.metadata.namespace ?? ''
  const { pods, problem } = parts.selectors.select(
    key,
    parts.pods.byIndex(NAMESPACE_INDEX, namespace),
    selector,
  )
  if (asks && problem !== undefined) return tellProblem(parts, autoscaler, { ...found, problem })
  const metrics = asks ? (autoscaler.spec?.metrics ?? []) : []
  const measured = await Promise.all(metrics.map(each => measure(parts, each, { namespace, selector })))
  const history = parts.histories.get(key) ?? NOTHING_KNOWN
  const plan = planAutoscaler(autoscaler, { ...facts, pods, measured, history, nowMs })
  for (const { type, reason, message } of plan.events) parts.events.record(autoscaler, type, reason, message)
  const status = await rescale(parts, autoscaler, plan, found)
  parts.histories.set(key, plan.history)
  await writeStatus(parts, autoscaler, status, signal)
}

async function tellProblem(
  parts: Parts,
  autoscaler: HorizontalPodAutoscaler,
  { scale, nowMs, signal, problem }: Found & { readonly problem: SelectorProblem },
): Promise<void> {
  const { event, condition: told } = problem
  parts.events.record(autoscaler, 'Warning', event.reason, event.message)
  parts.events.record(autoscaler, 'Warning', 'FailedComputeMetricsReplicas', event.message)
  const condition = { type: 'ScalingActive', status: 'False', ...told } as const
  const able = withCondition(autoscaler.status?.conditions, GOT_SCALE, nowMs)
  const conditions = [...withCondition(able, condition, nowMs)]
  const before = autoscaler.status ?? { desiredReplicas: 0 }
  const status = { ...before, conditions, currentReplicas: scale.spec?.replicas ?? 0 }
  await writeStatus(parts, autoscaler, status, signal)
}

/** The status after it. */
async function rescale(
  parts: Parts,
  autoscaler: HorizontalPodAutoscaler,
  plan: AutoscalerPlan,
  { target, scale, nowMs }: Found,
): Promise<HorizontalPodAutoscalerStatus> {
  if (plan.rescale === undefined) return plan.status
  const { replicas, reason } = plan.rescale
  const type = 'AbleToScale'
  const wanted = { ...scale, spec: { ...scale.spec, replicas } }
  const size = `New size: ${replicas}; reason: ${reason}`
  try {
    await parts.client.update<Scale>(target.resource, wanted, { subresource: 'scale' })
  } catch (error) {
    if (!(error instanceof StatusError)) throw error
    parts.events.record(autoscaler, 'Warning', 'FailedRescale', `${size}; error: ${messageOf(error)}`)
    const message = `the HPA controller was unable to update the target scale: ${messageOf(error)}`
    const failed = { type, status: 'False', reason: 'FailedUpdateScale', message } as const
    const { desiredReplicas = 0 } = autoscaler.status ?? {}
    const conditions = [...withCondition(plan.status.conditions, failed, nowMs)]
    return { ...plan.status, desiredReplicas, conditions }
  }
  parts.events.record(autoscaler, 'Normal', 'SuccessfulRescale', size)
  const message = `the HPA controller was able to update the target scale to ${replicas}`
  const done = { type, status: 'True', reason: 'SucceededRescale', message } as const
  const conditions = [...withCondition(plan.status.conditions, done, nowMs)]
  return { ...plan.status, lastScaleTime: formatTime(nowMs), conditions }
}

async function writeStatus(
  parts: Parts,
  autoscaler: HorizontalPodAutoscaler,
  status: HorizontalPodAutoscalerStatus,
  signal: AbortSignal,
): Promise<void> {
  if (semanticEqual(status, autoscaler.status)) return
  const next = { ...autoscaler, status }
  const updated = await parts.client.update(HORIZONTAL_POD_AUTOSCALERS, next, { subresource: 'status' })
  await parts.autoscalers.caughtUp(updated.metadata.resourceVersion, signal)
}
