/** What holds for a HorizontalPodAutoscaler: its bounds, its target, its metrics and how fast it may scale. */
import { type FieldError, forbidden, invalid, notSupported, required } from '../../../../kube/field-error.ts'
import { checkDns1123Label, checkPathSegmentName } from '../../../../kube/names.ts'
import type { HorizontalPodAutoscaler } from '../../../../kube/types.ts'
import { at } from '../support.ts'
import { checkEach, type Problems } from '../validation/meta.ts'
import { compareQuantities, isQuantity } from '../validation/quantities.ts'
import { checkContainerResourceName } from '../validation/resources.ts'

type Spec = NonNullable<HorizontalPodAutoscaler['spec']>
export type Metric = NonNullable<Spec['metrics']>[number]
type Rules = NonNullable<NonNullable<Spec['behavior']>['scaleUp']>
type Policy = NonNullable<Rules['policies']>[number]
type Target = NonNullable<Metric['resource']>['target']

const PERIOD_SECONDS_MAX = 1800
const WINDOW_SECONDS_MAX = 3600
const METRIC_TYPES = ['ContainerResource', 'External', 'Object', 'Pods', 'Resource']
const TARGET_TYPES = ['Utilization', 'Value', 'AverageValue']

/** `least`: an autoscaler that already may scale to zero keeps that. */
export function checkAutoscaler(spec: Spec | undefined, least: number): readonly FieldError[] {
  const out: FieldError[] = []
  const min = spec?.minReplicas
  const max = spec?.maxReplicas ?? 0
  if (min !== undefined && min < least) {
    out.push(invalid('spec.minReplicas', min, `must be greater than or equal to ${least}`))
  }
  if (max < 1) out.push(invalid('spec.maxReplicas', max, 'must be greater than 0'))
  if (min !== undefined && max < min) {
    out.push(invalid('spec.maxReplicas', max, 'must be greater than or equal to `minReplicas`'))
  }
  checkReference(out, 'spec.scaleTargetRef', spec?.scaleTargetRef)
  for (const [index, metric] of (spec?.metrics ?? []).entries()) {
    checkMetric(out, at('spec.metrics', index), metric)
  }
  const wakes = (spec?.metrics ?? []).some(({ type }) => type === 'Object' || type === 'External')
  if (min === 0 && !wakes) {
    const detail = 'must specify at least one Object or External metric to support scaling to zero replicas'
    out.push(forbidden('spec.metrics', detail))
  }
  checkRules(out, 'spec.behavior.scaleUp', spec?.behavior?.scaleUp)
  checkRules(out, 'spec.behavior.scaleDown', spec?.behavior?.scaleDown)
  return out
}

function checkReference(
  out: Problems,
  field: string,
  reference: { kind?: string; name?: string } | undefined,
): void {
  for (const name of ['kind', 'name'] as const) {
    const value = reference?.[name] ?? ''
    if (value === '') out.push(required(`${field}.${name}`))
    else checkEach(out, `${field}.${name}`, value, checkPathSegmentName(value))
  }
}

const SOURCES: Readonly<Record<string, keyof Metric>> = {
  Object: 'object',
  External: 'external',
  Pods: 'pods',
  Resource: 'resource',
  ContainerResource: 'containerResource',
}

function checkMetric(out: Problems, field: string, metric: Metric): void {
  const type = metric.type ?? ''
  const expected = SOURCES[type]
  if (type === '') out.push(required(`${field}.type`, 'must specify a metric source type'))
  if (!expected) out.push(notSupported(`${field}.type`, type, METRIC_TYPES))
  const present = Object.values(SOURCES).filter(name => metric[name] !== undefined)
  const [first] = present
  if (first !== undefined) checkSource(out, `${field}.${first}`, first, metric)
  if (!expected) out.push(notSupported(`${field}.type`, type, METRIC_TYPES))
  else if (!present.includes(expected)) {
    out.push(required(`${field}.${expected}`, 'must populate information for the given metric source'))
  }
  if (present.length === 1) return
  for (const name of present.filter(other => other !== expected)) {
    out.push(forbidden(`${field}.${name}`, 'must populate the given metric source only'))
  }
}

function checkSource(out: Problems, field: string, name: keyof Metric, metric: Metric): void {
  const { object, external, pods, resource, containerResource } = metric
  if (name === 'object' && object) {
    checkReference(out, `${field}.describedObject`, object.describedObject)
    checkMeasured(out, field, object)
    requireValue(out, field, object.target, 'must set either a target value or averageValue')
  } else if (name === 'external' && external) {
    checkMeasured(out, field, external)
    requireValue(out, field, external.target, 'must set either a target value for metric or a per-pod target')
    if (external.target?.value !== undefined && external.target.averageValue !== undefined) {
      const detail = 'may not set both a target value for metric and a per-pod target'
      out.push(forbidden(`${field}.target.value`, detail))
    }
  } else if (name === 'pods' && pods) {
    checkMeasured(out, field, pods)
    if (pods.target?.averageValue === undefined) {
      out.push(required(`${field}.target.averageValue`, 'must specify a positive target averageValue'))
    }
  } else if (resource && name === 'resource') {
    if (!resource.name) out.push(required(`${field}.name`, 'must specify a resource name'))
    checkUsage(out, field, resource.target)
  } else if (containerResource) {
    checkContainerSource(out, field, containerResource)
  }
}

function checkContainerSource(
  out: Problems,
  field: string,
  source: NonNullable<Metric['containerResource']>,
): void {
  if (!source.name) out.push(required(`${field}.name`, 'must specify a resource name'))
  else checkContainerResourceName(out, `${field}.name`, source.name)
  if (!source.container) out.push(required(`${field}.container`, 'must specify a container'))
  else checkEach(out, `${field}.container`, source.container, checkDns1123Label(source.container))
  checkUsage(out, field, source.target)
}

function checkMeasured(
  out: Problems,
  field: string,
  source: { metric?: { name?: string }; target?: Target },
): void {
  const name = source.metric?.name ?? ''
  if (name === '') out.push(required(`${field}.metric.name`, 'must specify a metric name'))
  else checkEach(out, `${field}.metric.name`, name, checkPathSegmentName(name))
  checkTarget(out, `${field}.target`, source.target)
}

function requireValue(out: Problems, field: string, target: Target | undefined, detail: string): void {
  if (target?.value !== undefined || target?.averageValue !== undefined) return
  out.push(required(`${field}.target.averageValue`, detail))
}

/** The target of a resource: a share of what is requested, or an amount. */
function checkUsage(out: Problems, field: string, target: Target | undefined): void {
  checkTarget(out, `${field}.target`, target)
  const share = target?.averageUtilization
  const amount = target?.averageValue
  if (share === undefined && amount === undefined) {
    const detail = 'must set either a target raw value or a target utilization'
    out.push(required(`${field}.target.averageUtilization`, detail))
  }
  if (share !== undefined && amount !== undefined) {
    const detail = 'may not set both a target raw value and a target utilization'
    out.push(forbidden(`${field}.target.averageValue`, detail))
  }
}

function checkTarget(out: Problems, field: string, target: Target | undefined): void {
  const type = target?.type ?? ''
  if (type === '') out.push(required(`${field}.type`, 'must specify a metric target type'))
  if (!TARGET_TYPES.includes(type)) {
    out.push(invalid(`${field}.type`, type, 'must be either Utilization, Value, or AverageValue'))
  }
  for (const name of ['value', 'averageValue'] as const) {
    const amount = target?.[name]
    if (amount === undefined || (isQuantity(amount) && compareQuantities(amount, '0') > 0)) continue
    out.push(invalid(`${field}.${name}`, amount, 'must be positive'))
  }
  const share = target?.averageUtilization
  if (share !== undefined && share < 1) {
    out.push(invalid(`${field}.averageUtilization`, share, 'must be greater than 0'))
  }
}

function checkRules(out: Problems, field: string, rules: Rules | undefined): void {
  if (!rules) return
  const seconds = rules.stabilizationWindowSeconds ?? 0
  const windowField = `${field}.stabilizationWindowSeconds`
  if (seconds < 0) out.push(invalid(windowField, seconds, 'must be greater than or equal to zero'))
  if (seconds > WINDOW_SECONDS_MAX) {
    out.push(invalid(windowField, seconds, `must be less than or equal to ${WINDOW_SECONDS_MAX}`))
  }
  const { selectPolicy, policies = [] } = rules
  const choices = ['Disabled', 'Max', 'Min']
  if (selectPolicy !== undefined && !choices.includes(selectPolicy)) {
    out.push(notSupported(`${field}.selectPolicy`, selectPolicy, choices))
  }
  if (policies.length === 0) out.push(required(`${field}.policies`, 'must specify at least one Policy'))
  for (const [index, policy] of policies.entries()) checkPolicy(out, at(`${field}.policies`, index), policy)
  const { tolerance } = rules as { tolerance?: string }
  if (tolerance !== undefined && isQuantity(tolerance) && compareQuantities(tolerance, '0') < 0) {
    out.push(invalid(`${field}.tolerance`, tolerance, 'must be greater than or equal to 0'))
  }
}

function checkPolicy(out: Problems, field: string, { type, value, periodSeconds }: Policy): void {
  const types = ['Percent', 'Pods']
  if (!types.includes(type)) out.push(notSupported(`${field}.type`, type ?? '', types))
  if ((value ?? 0) <= 0) out.push(invalid(`${field}.value`, value ?? 0, 'must be greater than zero'))
  const seconds = periodSeconds ?? 0
  if (seconds <= 0) out.push(invalid(`${field}.periodSeconds`, seconds, 'must be greater than zero'))
  if (seconds > PERIOD_SECONDS_MAX) {
    const detail = `must be less than or equal to ${PERIOD_SECONDS_MAX}`
    out.push(invalid(`${field}.periodSeconds`, seconds, detail))
  }
}
