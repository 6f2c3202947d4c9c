/** Disruption budgets, priority classes and runtime classes. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { forbidden, invalid } from '../../../../kube/field-error.ts'
import { checkDns1123Label } from '../../../../kube/names.ts'
import type { PodDisruptionBudget, PriorityClass, RuntimeClass } from '../../../../kube/types.ts'
import { ageColumn, column, nameColumn, since, tableOf } from '../columns.ts'
import { defineKind } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind } from '../support.ts'
import { checkConditions } from '../validation/conditions.ts'
import { checkEach, checkLabels, checkNonNegative, checkOneOf, checkSelector } from '../validation/meta.ts'
import { checkResources } from '../validation/resources.ts'
import { checkTolerations } from '../validation/scheduling.ts'
import { checkAtMostAll, checkImmutable, checkIntOrPercent } from '../validation/workload.ts'

const NOT_SET = 'N/A'
const BUDGET_COUNTS = ['disruptionsAllowed', 'currentHealthy', 'desiredHealthy', 'expectedPods'] as const

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
  validateStatusUpdate(next) {
    const out: FieldError[] = []
    const { status } = asKind<PodDisruptionBudget>(next)
    checkConditions(out, 'status.conditions', status?.conditions ?? [])
    for (const name of BUDGET_COUNTS) checkNonNegative(out, `status.${name}`, status?.[name])
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

const USER_PRIORITY_MAX = 1_000_000_000
const SYSTEM_CLASSES: Readonly<Record<string, number>> = {
  'system-cluster-critical': 2_000_000_000,
  'system-node-critical': 2_000_001_000,
}

function systemClassProblem(name: string, value: number, isDefault: boolean): string | null {
  const known = SYSTEM_CLASSES[name]
  if (known === undefined) return `${name} is not a known system priority class`
  if (known !== value) return `value of ${name} PriorityClass must be ${known}`
  return isDefault ? `globalDefault of ${name} PriorityClass must be false` : null
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
    const { metadata, value, preemptionPolicy, globalDefault } = asKind<PriorityClass>(object)
    const out: FieldError[] = []
    const name = metadata.name ?? ''
    if (name.startsWith('system-')) {
      const problem = systemClassProblem(name, value ?? 0, globalDefault === true)
      const detail = "priority class names with 'system-' prefix are reserved for system use only"
      if (problem !== null) out.push(forbidden('metadata.name', `${detail}. error: ${problem}`))
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
    const { handler, overhead, scheduling } = asKind<RuntimeClass>(object)
    checkEach(out, 'handler', handler ?? '', checkDns1123Label(handler ?? ''))
    if (overhead) checkResources(out, 'overhead', { limits: overhead.podFixed ?? {} })
    checkLabels(out, 'scheduling.nodeSelector', scheduling?.nodeSelector)
    checkTolerations(out, 'scheduling.tolerations', scheduling?.tolerations ?? [])
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
