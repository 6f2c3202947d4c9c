/** HorizontalPodAutoscalers: defaults, and what a row of their table says of their metrics. */
import type { FieldError } from '../../../../kube/field-error.ts'
import type { HorizontalPodAutoscaler } from '../../../../kube/types.ts'
import { ageColumn, column, nameColumn, since, tableOf, UNKNOWN, UNSET } from '../columns.ts'
import { defineKind } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind } from '../support.ts'
import { checkNonNegative } from '../validation/meta.ts'
import { checkAutoscaler, type Metric } from './autoscaler-rules.ts'

type Spec = NonNullable<HorizontalPodAutoscaler['spec']>
type Rules = NonNullable<NonNullable<Spec['behavior']>['scaleUp']>

const CPU_PERCENT = 80
const PERCENT_POLICY = { type: 'Percent', value: 100, periodSeconds: 15 }
const SCALE_UP: Rules = {
  stabilizationWindowSeconds: 0,
  selectPolicy: 'Max',
  policies: [{ type: 'Pods', value: 4, periodSeconds: 15 }, PERCENT_POLICY],
}
const SCALE_DOWN: Rules = { selectPolicy: 'Max', policies: [PERCENT_POLICY] }

/** One half of the behavior said: both are filled in. */
function defaultBehavior(spec: Spec): void {
  const { behavior } = spec
  if (!behavior?.scaleUp && !behavior?.scaleDown) return
  behavior.scaleUp = { ...structuredClone(SCALE_UP), ...behavior.scaleUp }
  behavior.scaleDown = { ...structuredClone(SCALE_DOWN), ...behavior.scaleDown }
}

function applyDefaults(spec: Spec | undefined): void {
  if (!spec) return
  spec.minReplicas ??= 1
  if ((spec.metrics ?? []).length === 0) {
    const target = { type: 'Utilization', averageUtilization: CPU_PERCENT }
    spec.metrics = [{ type: 'Resource', resource: { name: 'cpu', target } }]
  }
  defaultBehavior(spec)
}

type MetricStatus = NonNullable<NonNullable<HorizontalPodAutoscaler['status']>['currentMetrics']>[number]
interface Amount {
  averageUtilization?: number
  averageValue?: string
  value?: string
}
const METRICS_SHOWN_MAX = 2

/** `cpu: 12%/80%`: what is measured against what is wanted. */
function metricText(metric: Metric, status: MetricStatus | undefined): string {
  const resource = metric.resource ?? metric.containerResource
  if (resource) {
    const current = status?.resource?.current ?? status?.containerResource?.current
    return `${resource.name}: ${amountPair(resource.target, current)}`
  }
  const other = metric.pods ?? metric.object ?? metric.external
  const current = status?.pods?.current ?? status?.object?.current ?? status?.external?.current
  if (!other) return '<unknown type>'
  const isAverage = metric.type === 'Pods' || other.target?.averageValue !== undefined
  const text = amountPair(other.target, current)
  return isAverage && metric.type !== 'Pods' ? `${text} (avg)` : text
}

function amountPair(target: Amount = {}, current: Amount | undefined): string {
  if (target.averageUtilization !== undefined) {
    const percent = current?.averageUtilization
    return `${percent === undefined ? UNKNOWN : `${percent}%`}/${target.averageUtilization}%`
  }
  if (target.averageValue !== undefined) return `${current?.averageValue ?? UNKNOWN}/${target.averageValue}`
  return `${current?.value ?? UNKNOWN}/${target.value ?? '<auto>'}`
}

function targetsText({ spec, status }: HorizontalPodAutoscaler): string {
  const metrics = spec?.metrics ?? []
  if (metrics.length === 0) return '<none>'
  const texts = metrics.map((metric, index) => metricText(metric, status?.currentMetrics?.[index]))
  const shown = texts.slice(0, METRICS_SHOWN_MAX).join(', ')
  return texts.length > METRICS_SHOWN_MAX ? `${shown} + ${texts.length - METRICS_SHOWN_MAX} more...` : shown
}

export const autoscalers: Strategy = defineKind({
  group: 'autoscaling',
  resource: 'horizontalpodautoscalers',
  hasStatus: true,
  hasGeneration: false,
  applyDefaults: object => applyDefaults(asKind<HorizontalPodAutoscaler>(object).spec),
  validateCreate: object => checkAutoscaler(asKind<HorizontalPodAutoscaler>(object).spec, 1),
  validateUpdate(next, previous) {
    const least = asKind<HorizontalPodAutoscaler>(previous).spec?.minReplicas === 0 ? 0 : 1
    return checkAutoscaler(asKind<HorizontalPodAutoscaler>(next).spec, least)
  },
  validateStatusUpdate(next) {
    const { status } = asKind<HorizontalPodAutoscaler>(next)
    const out: FieldError[] = []
    checkNonNegative(out, 'status.currentReplicas', status?.currentReplicas)
    checkNonNegative(out, 'status.desiredReplicas', status?.desiredReplicas)
    return out
  },
  table: tableOf<HorizontalPodAutoscaler>(
    [
      nameColumn,
      column('Reference', 'What is scaled'),
      column('Targets', 'What is measured, and what is wanted'),
      column('MinPods', 'Fewest replicas'),
      column('MaxPods', 'Most replicas', 'integer'),
      column('Replicas', 'Replicas now', 'integer'),
      ageColumn,
    ],
    (hpa, nowMs) => [
      hpa.metadata.name ?? '',
      `${hpa.spec?.scaleTargetRef?.kind ?? ''}/${hpa.spec?.scaleTargetRef?.name ?? ''}`,
      targetsText(hpa),
      String(hpa.spec?.minReplicas ?? UNSET),
      hpa.spec?.maxReplicas ?? 0,
      hpa.status?.currentReplicas ?? 0,
      since(hpa.metadata.creationTimestamp, nowMs),
    ],
  ),
})
