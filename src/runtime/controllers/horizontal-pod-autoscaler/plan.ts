/** How many replicas an autoscaler wants now, and what its status says. Pure. */
import { milliValue, parseQuantity } from '../../../kube/quantity.ts'
import { formatTime } from '../../../kube/time.ts'
import type {
  HorizontalPodAutoscaler,
  HorizontalPodAutoscalerCondition,
  HorizontalPodAutoscalerStatus,
  MetricStatus,
  Pod,
} from '../../../kube/types.ts'
import { type History, normalize, remember, type Told } from './behavior.ts'
import { type Measured, type MetricFailure, type MetricProposal, propose } from './proposals.ts'

const TOLERANCE = 0.1

export interface AutoscalerEvent {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
}

export interface ScaleFacts {
  readonly specReplicas: number
  readonly statusReplicas: number
}

export interface AutoscalerFacts extends ScaleFacts {
  readonly pods: readonly Pod[]
  /** In the order of the spec's metrics. */
  readonly measured: readonly Measured[]
  readonly history: History
  readonly nowMs: number
}

export interface AutoscalerPlan {
  readonly status: HorizontalPodAutoscalerStatus
  readonly events: readonly AutoscalerEvent[]
  readonly history: History
  /** Absent: the target stays as it is. */
  readonly rescale?: { readonly replicas: number; readonly reason: string }
}

type Conditions = readonly HorizontalPodAutoscalerCondition[]

/** Later conditions of a type replace the time only when the status changes. */
export function withCondition(
  conditions: Conditions | undefined,
  next: Told & { readonly type: string; readonly status: 'True' | 'False' },
  nowMs: number,
): Conditions {
  const present = conditions?.find(each => each.type === next.type)
  const isSame = present?.status === next.status && present.lastTransitionTime !== undefined
  const lastTransitionTime = isSame ? present.lastTransitionTime : formatTime(nowMs)
  const { type, status, reason, message } = next
  const condition = { type, status, lastTransitionTime, reason, message } as HorizontalPodAutoscalerCondition
  if (present === undefined) return [...(conditions ?? []), condition]
  return (conditions ?? []).map(each => (each === present ? condition : each))
}

export const GOT_SCALE = {
  type: 'AbleToScale',
  status: 'True',
  reason: 'SucceededGetScale',
  message: "the HPA controller was able to get the target's current scale",
} as const
const DISABLED = {
  type: 'ScalingActive',
  status: 'False',
  reason: 'ScalingDisabled',
  message: 'scaling is disabled since the replica count of the target is zero',
} as const

/** Whether the metrics decide: not when scaling is off, or when a bound decides alone. */
export function asksMetrics({ spec }: HorizontalPodAutoscaler, { specReplicas }: ScaleFacts): boolean {
  const least = spec?.minReplicas ?? 1
  if (specReplicas === 0 && least !== 0) return false
  return specReplicas <= (spec?.maxReplicas ?? 1) && specReplicas >= least
}

export function planAutoscaler(autoscaler: HorizontalPodAutoscaler, facts: AutoscalerFacts): AutoscalerPlan {
  const { spec, status } = autoscaler
  const { specReplicas, nowMs } = facts
  const conditions = withCondition(status?.conditions, GOT_SCALE, nowMs)
  const history =
    facts.history.recommendations.length > 0
      ? facts.history
      : { ...facts.history, recommendations: [{ atMs: nowMs, replicas: specReplicas }] }
  const known = { ...facts, history }
  if (asksMetrics(autoscaler, facts)) return planByMetrics(autoscaler, known, conditions)
  const least = spec?.minReplicas ?? 1
  if (specReplicas === 0) {
    const off = withCondition(conditions, DISABLED, nowMs)
    return { status: statusOf(status, facts, { conditions: off, desired: 0 }), events: [], history }
  }
  const [replicas, reason] =
    specReplicas < least
      ? [least, 'Current number of replicas below Spec.MinReplicas']
      : [spec?.maxReplicas ?? 1, 'Current number of replicas above Spec.MaxReplicas']
  return {
    status: statusOf(status, facts, { conditions, desired: replicas }),
    events: [],
    history: remember(history, { current: specReplicas, desired: replicas, nowMs }, replicas),
    rescale: { replicas, reason },
  }
}

function statusOf(
  before: HorizontalPodAutoscalerStatus | undefined,
  { specReplicas }: ScaleFacts,
  next: {
    readonly conditions: Conditions
    readonly desired?: number
    readonly metrics?: readonly MetricStatus[]
  },
): HorizontalPodAutoscalerStatus {
  const { currentMetrics: _metrics, ...rest } = before ?? {}
  const metrics = next.metrics ?? []
  return {
    ...rest,
    currentReplicas: specReplicas,
    desiredReplicas: next.desired ?? before?.desiredReplicas ?? 0,
    conditions: [...next.conditions],
    ...(metrics.length > 0 ? { currentMetrics: [...metrics] } : {}),
  }
}

const isFailure = (one: MetricProposal | MetricFailure): one is MetricFailure => 'whole' in one

function planByMetrics(
  autoscaler: HorizontalPodAutoscaler,
  facts: AutoscalerFacts,
  conditions: Conditions,
): AutoscalerPlan {
  const { status } = autoscaler
  const { specReplicas, nowMs, history } = facts
  const results = proposeAll(autoscaler, facts)
  const failures = results.filter(isFailure)
  const proposals = results.filter(one => !isFailure(one)) as MetricProposal[]
  const events = failures.map(failureEvent)
  const metrics = results.map(one => (isFailure(one) ? ({ type: '' } as MetricStatus) : one.status))
  const best = proposals.reduce<MetricProposal | undefined>(
    (most, each) => (most === undefined || each.replicas > most.replicas ? each : most),
    undefined,
  )
  const [first] = failures
  // What is not known may be what forbids to take replicas away.
  if (first !== undefined && (best === undefined || best.replicas < specReplicas)) {
    const message = `the HPA was unable to compute the replica count: ${first.message}`
    const active = { type: 'ScalingActive', status: 'False', reason: first.reason, message } as const
    const told = withCondition(conditions, active, nowMs)
    const whole = `invalid metrics (${failures.length} invalid out of ${results.length}), first error is: ${first.whole}`
    const failed: AutoscalerEvent = {
      type: 'Warning',
      reason: 'FailedComputeMetricsReplicas',
      message: whole,
    }
    const shown = metrics.some(each => each.type !== '') ? metrics : []
    return {
      status: statusOf(status, facts, { conditions: told, metrics: shown }),
      events: [...events, failed],
      history,
    }
  }
  const name = best?.name ?? ''
  const valid = {
    type: 'ScalingActive',
    status: 'True',
    reason: 'ValidMetricFound',
    message: `the HPA was able to successfully calculate a replica count from ${name}`,
  } as const
  const desired = best?.replicas ?? specReplicas
  const told = withCondition(conditions, valid, nowMs)
  return settle(autoscaler, { ...facts, events, metrics, name, desired, conditions: told })
}

function proposeAll(
  { metadata, spec }: HorizontalPodAutoscaler,
  facts: AutoscalerFacts,
): (MetricProposal | MetricFailure)[] {
  const tolerances = {
    up: toleranceOf(spec?.behavior?.scaleUp),
    down: toleranceOf(spec?.behavior?.scaleDown),
  }
  const { specReplicas: current, statusReplicas, pods, nowMs } = facts
  return (spec?.metrics ?? []).map((metric, index) => {
    const measured = facts.measured[index] ?? { kind: 'problem', message: 'not measured' }
    const { namespace = '' } = metadata
    return propose(metric, measured, { namespace, current, statusReplicas, tolerances, pods, nowMs })
  })
}

function toleranceOf(rules: object | undefined): number {
  const { tolerance } = (rules ?? {}) as { tolerance?: string }
  return tolerance === undefined ? TOLERANCE : milliValue(parseQuantity(tolerance)) / 1_000
}

const failureEvent = ({ reason, message }: MetricFailure): AutoscalerEvent => ({
  type: 'Warning',
  reason,
  message,
})

interface Settling extends AutoscalerFacts {
  readonly desired: number
  readonly name: string
  readonly conditions: Conditions
  readonly metrics: readonly MetricStatus[]
  readonly events: readonly AutoscalerEvent[]
}

function settle(autoscaler: HorizontalPodAutoscaler, facts: Settling): AutoscalerPlan {
  const { specReplicas: current, desired, nowMs, history, metrics, events } = facts
  const wish = { current, desired, nowMs }
  const { replicas, ableToScale, limited } = normalize(autoscaler, wish, history)
  const able = { type: 'AbleToScale', status: 'True', ...ableToScale } as const
  const limit = {
    type: 'ScalingLimited',
    status: limited.isLimited ? 'True' : 'False',
    reason: limited.reason,
    message: limited.message,
  } as const
  const conditions = withCondition(withCondition(facts.conditions, able, nowMs), limit, nowMs)
  const plan = {
    status: statusOf(autoscaler.status, facts, { conditions, metrics, desired: replicas }),
    events,
    history: remember(history, wish, replicas),
  }
  if (replicas === current) return plan
  const reason = desired > current ? `${facts.name} above target` : 'All metrics below target'
  return { ...plan, rescale: { replicas, reason } }
}
