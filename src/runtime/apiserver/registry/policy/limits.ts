/** Kinds that bound others: disruption budgets, autoscalers, quotas, priority and runtime classes. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { forbidden, invalid, required } from '../../../../kube/field-error.ts'
import { checkDns1123Label } from '../../../../kube/names.ts'
import type {
  HorizontalPodAutoscaler,
  PodDisruptionBudget,
  PriorityClass,
  ResourceQuota,
  RuntimeClass,
} from '../../../../kube/types.ts'
import { ageColumn, column, nameColumn, since, tableOf, UNKNOWN, UNSET } from '../columns.ts'
import { defineKind } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind, keyed } from '../support.ts'
import { checkEach, checkOneOf, checkSelector } from '../validation/meta.ts'
import { checkQuantity } from '../validation/resources.ts'
import { checkAtMostAll, checkImmutable, checkIntOrPercent } from '../validation/workload.ts'

const NOT_SET = 'N/A'

export const podDisruptionBudgets: Strategy = defineKind({
  group: 'policy',
  resource: 'poddisruptionbudgets',
  hasStatus: true,
  hasGeneration: true,
  allowUnconditionalUpdate: false,
  validate(object) {
    const { spec } = asKind<PodDisruptionBudget>(object)
    const out: FieldError[] = []
    if (spec?.minAvailable !== undefined && spec.maxUnavailable !== undefined) {
      out.push(invalid('spec', spec, 'minAvailable and maxUnavailable cannot be both set'))
    }
    for (const name of ['minAvailable', 'maxUnavailable'] as const) {
      checkIntOrPercent(out, `spec.${name}`, spec?.[name])
      checkAtMostAll(out, `spec.${name}`, spec?.[name])
    }
    checkSelector(out, 'spec.selector', spec?.selector)
    const policy = spec?.unhealthyPodEvictionPolicy
    if (policy) checkOneOf(out, 'spec.unhealthyPodEvictionPolicy', policy, ['AlwaysAllow', 'IfHealthyBudget'])
    return out
  },
  table: tableOf<PodDisruptionBudget>(
    [
      nameColumn,
      column('Min Available', 'Pods that must stay'),
      column('Max Unavailable', 'Pods that may be away'),
      column('Allowed Disruptions', 'Evictions allowed now', 'integer'),
      ageColumn,
    ],
    ({ metadata, spec, status }, nowMs) => [
      metadata.name ?? '',
      String(spec?.minAvailable ?? NOT_SET),
      String(spec?.maxUnavailable ?? NOT_SET),
      status?.disruptionsAllowed ?? 0,
      since(metadata.creationTimestamp, nowMs),
    ],
  ),
})

type Metric = NonNullable<NonNullable<HorizontalPodAutoscaler['spec']>['metrics']>[number]
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
  applyDefaults(object) {
    const { spec } = asKind<HorizontalPodAutoscaler>(object)
    if (!spec) return
    spec.minReplicas ??= 1
    if (!('targetCPUUtilizationPercentage' in spec) && (spec.metrics ?? []).length === 0) {
      const target = { type: 'Utilization', averageUtilization: 80 }
      if (object.apiVersion === 'autoscaling/v2') {
        spec.metrics = [{ type: 'Resource', resource: { name: 'cpu', target } }]
      }
    }
  },
  validate(object) {
    const { spec } = asKind<HorizontalPodAutoscaler>(object)
    const out: FieldError[] = []
    if (!spec) return [required('spec')]
    const least = spec.minReplicas ?? 1
    if (least < 1) out.push(invalid('spec.minReplicas', least, 'must be greater than or equal to 1'))
    if (spec.maxReplicas < 1)
      out.push(invalid('spec.maxReplicas', spec.maxReplicas, 'must be greater than 0'))
    if (spec.maxReplicas < least) {
      const detail = 'must be greater than or equal to `minReplicas`'
      out.push(invalid('spec.maxReplicas', spec.maxReplicas, detail))
    }
    if (!spec.scaleTargetRef?.kind) out.push(required('spec.scaleTargetRef.kind'))
    if (!spec.scaleTargetRef?.name) out.push(required('spec.scaleTargetRef.name'))
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

/** `limits.…` of the quota, or everything else, as `name: used/hard`. */
function quotaText({ status }: ResourceQuota, which: 'limits' | 'others'): string {
  return Object.entries(status?.hard ?? {})
    .filter(([name]) => name.startsWith('limits.') === (which === 'limits'))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, hard]) => `${name}: ${status?.used?.[name] ?? '0'}/${hard}`)
    .join(', ')
}

export const resourceQuotas: Strategy = defineKind({
  group: '',
  resource: 'resourcequotas',
  hasStatus: true,
  hasGeneration: false,
  validate(object) {
    const out: FieldError[] = []
    for (const [name, quantity] of Object.entries(asKind<ResourceQuota>(object).spec?.hard ?? {})) {
      checkQuantity(out, keyed('spec.hard', name), name, quantity)
    }
    return out
  },
  validateUpdate(next, previous) {
    const out: FieldError[] = []
    const before = asKind<ResourceQuota>(previous).spec?.scopes
    checkImmutable(out, 'spec.scopes', asKind<ResourceQuota>(next).spec?.scopes, before)
    return out
  },
  table: tableOf<ResourceQuota>(
    [
      nameColumn,
      column('Request', 'Used and allowed, but for limits'),
      column('Limit', 'Limits used and allowed'),
      ageColumn,
    ],
    (quota, nowMs) => [
      quota.metadata.name ?? '',
      quotaText(quota, 'others'),
      quotaText(quota, 'limits'),
      since(quota.metadata.creationTimestamp, nowMs),
    ],
  ),
})

const USER_PRIORITY_MAX = 1_000_000_000
const SYSTEM_CLASSES: Readonly<Record<string, number>> = {
  'system-cluster-critical': 2_000_000_000,
  'system-node-critical': 2_000_001_000,
}

export const priorityClasses: Strategy = defineKind({
  group: 'scheduling.k8s.io',
  resource: 'priorityclasses',
  hasGeneration: true,
  applyDefaults(object) {
    const item = asKind<PriorityClass>(object)
    item.preemptionPolicy ??= 'PreemptLowerPriority'
    item.value ??= 0
  },
  validate(object) {
    const { metadata, value, preemptionPolicy } = asKind<PriorityClass>(object)
    const out: FieldError[] = []
    const name = metadata.name ?? ''
    if (name.startsWith('system-')) {
      if (SYSTEM_CLASSES[name] !== value) {
        const detail = "priority class names with 'system-' prefix are reserved for system use only"
        out.push(forbidden('metadata.name', `${detail}. error: ${name} is not a known system priority class`))
      }
    } else if ((value ?? 0) > USER_PRIORITY_MAX) {
      const detail = `maximum allowed value of a user defined priority is ${USER_PRIORITY_MAX}`
      out.push(forbidden('value', detail))
    }
    checkOneOf(out, 'preemptionPolicy', preemptionPolicy, ['Never', 'PreemptLowerPriority'])
    return out
  },
  validateUpdate(next, previous) {
    const out: FieldError[] = []
    const after = asKind<PriorityClass>(next)
    const before = asKind<PriorityClass>(previous)
    if (after.value !== before.value) out.push(forbidden('value', 'may not be changed in an update.'))
    checkImmutable(out, 'preemptionPolicy', after.preemptionPolicy, before.preemptionPolicy)
    return out
  },
  table: tableOf<PriorityClass>(
    [
      nameColumn,
      column('Value', 'Priority of pods of the class', 'integer'),
      column('Global-Default', 'Whether pods without a class get this one', 'boolean'),
      ageColumn,
      column('PreemptionPolicy', 'Whether pods of the class may take the place of others'),
    ],
    (item, nowMs) => [
      item.metadata.name ?? '',
      item.value,
      item.globalDefault ?? false,
      since(item.metadata.creationTimestamp, nowMs),
      item.preemptionPolicy ?? '',
    ],
  ),
})

export const runtimeClasses: Strategy = defineKind({
  group: 'node.k8s.io',
  resource: 'runtimeclasses',
  allowUnconditionalUpdate: false,
  validate(object) {
    const out: FieldError[] = []
    const { handler } = asKind<RuntimeClass>(object)
    checkEach(out, 'handler', handler ?? '', checkDns1123Label(handler ?? ''))
    return out
  },
  validateUpdate(next, previous) {
    const out: FieldError[] = []
    checkImmutable(out, 'handler', asKind<RuntimeClass>(next).handler, asKind<RuntimeClass>(previous).handler)
    return out
  },
  table: tableOf<RuntimeClass>(
    [nameColumn, column('Handler', 'Configuration of the runtime'), ageColumn],
    (item, nowMs) => [
      item.metadata.name ?? '',
      item.handler ?? '',
      since(item.metadata.creationTimestamp, nowMs),
    ],
  ),
})
