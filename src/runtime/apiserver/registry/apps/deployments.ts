/** Deployments. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { forbidden, invalid, required } from '../../../../kube/field-error.ts'
import type { Deployment, DeploymentSpec } from '../../../../kube/types.ts'
import {
  ageColumn,
  column,
  containerCells,
  containerColumns,
  nameColumn,
  selectorText,
  since,
  tableOf,
} from '../columns.ts'
import { defaultTemplate } from '../core/pod-defaults.ts'
import { defineKind } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind, setDefault } from '../support.ts'
import { checkNonNegative, checkOneOf } from '../validation/meta.ts'
import { checkRunningTemplate } from '../validation/pod-spec.ts'
import {
  checkAtMostAll,
  checkIntOrPercent,
  checkSelectorKept,
  checkWorkloadSelector,
  isZero,
  NO_SELECTOR,
} from '../validation/workload.ts'
import { deploymentStatusProblems } from './status-rules.ts'

const table = tableOf<Deployment>(
  [
    nameColumn,
    column('Ready', 'Pods that are ready, of those wanted'),
    column('Up-to-date', 'Pods of the present template', 'integer'),
    column('Available', 'Pods that have been ready long enough', 'integer'),
    ageColumn,
    ...containerColumns,
  ],
  ({ metadata, spec, status }, nowMs) => [
    metadata.name ?? '',
    `${status?.readyReplicas ?? 0}/${spec?.replicas ?? 0}`,
    status?.updatedReplicas ?? 0,
    status?.availableReplicas ?? 0,
    since(metadata.creationTimestamp, nowMs),
    ...containerCells(spec?.template?.spec),
    selectorText(spec?.selector),
  ],
)

function applyDefaults(spec: DeploymentSpec | undefined): void {
  if (!spec) return
  setDefault(spec, 'replicas', 1)
  setDefault(spec, 'strategy', {})
  setDefault(spec, 'revisionHistoryLimit', 10)
  setDefault(spec, 'progressDeadlineSeconds', 600)
  const strategy = spec.strategy
  if (strategy) {
    if (!strategy.type) strategy.type = 'RollingUpdate'
    if (strategy.type === 'RollingUpdate') {
      strategy.rollingUpdate ??= {}
      strategy.rollingUpdate.maxUnavailable ??= '25%'
      strategy.rollingUpdate.maxSurge ??= '25%'
    }
  }
  defaultTemplate(spec.template)
}

function validate(spec: DeploymentSpec | undefined): readonly FieldError[] {
  const out: FieldError[] = []
  if (!spec) return [required('spec')]
  checkNonNegative(out, 'spec.replicas', spec.replicas)
  const { template, selector } = spec
  if (checkWorkloadSelector(out, 'spec.selector', selector, 'deployment')) {
    checkRunningTemplate(out, 'spec.template', { template, selector, kind: 'ReplicaSet' })
  } else out.push(invalid('spec.selector', selector, NO_SELECTOR))
  checkStrategy(out, spec)
  checkNonNegative(out, 'spec.minReadySeconds', spec.minReadySeconds)
  checkNonNegative(out, 'spec.revisionHistoryLimit', spec.revisionHistoryLimit)
  const deadline = spec.progressDeadlineSeconds
  checkNonNegative(out, 'spec.progressDeadlineSeconds', deadline)
  if (deadline !== undefined && deadline <= (spec.minReadySeconds ?? 0)) {
    out.push(invalid('spec.progressDeadlineSeconds', deadline, 'must be greater than minReadySeconds'))
  }
  return out
}

function checkStrategy(out: FieldError[], spec: DeploymentSpec): void {
  const { type, rollingUpdate } = spec.strategy ?? {}
  if (type === 'Recreate') {
    if (!rollingUpdate) return
    const detail = "may not be specified when strategy `type` is 'Recreate'"
    out.push(forbidden('spec.strategy.rollingUpdate', detail))
  } else if (type === 'RollingUpdate') {
    if (!rollingUpdate) {
      out.push(required('spec.strategy.rollingUpdate', 'this should be defaulted and never be nil'))
      return
    }
    const field = 'spec.strategy.rollingUpdate'
    checkIntOrPercent(out, `${field}.maxUnavailable`, rollingUpdate.maxUnavailable)
    checkIntOrPercent(out, `${field}.maxSurge`, rollingUpdate.maxSurge)
    if (isZero(rollingUpdate.maxUnavailable) && isZero(rollingUpdate.maxSurge)) {
      const detail = 'may not be 0 when `maxSurge` is 0'
      out.push(invalid(`${field}.maxUnavailable`, rollingUpdate.maxUnavailable, detail))
    }
    checkAtMostAll(out, `${field}.maxUnavailable`, rollingUpdate.maxUnavailable)
  } else {
    checkOneOf(out, 'spec.strategy.type', type, ['Recreate', 'RollingUpdate'])
  }
}

export const deployments: Strategy = defineKind({
  group: 'apps',
  resource: 'deployments',
  hasStatus: true,
  hasGeneration: true,
  generationCountsAnnotations: true,
  applyDefaults: object => applyDefaults(asKind<Deployment>(object).spec),
  prepareForStatusUpdate(next, previous) {
    const { labels } = previous.metadata
    if (labels === undefined) delete next.metadata.labels
    else next.metadata.labels = labels
  },
  validate: object => validate(asKind<Deployment>(object).spec),
  validateUpdate: checkSelectorKept,
  validateStatusUpdate: (next, previous) =>
    deploymentStatusProblems(
      asKind<Deployment>(next).status ?? {},
      asKind<Deployment>(previous).status ?? {},
    ),
  table,
})
