/** DaemonSets and StatefulSets. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { invalid, required } from '../../../../kube/field-error.ts'
import type { DaemonSet, DaemonSetSpec, StatefulSet, StatefulSetSpec } from '../../../../kube/types.ts'
import {
  ageColumn,
  column,
  containerCells,
  containerColumns,
  labelsText,
  nameColumn,
  selectorText,
  since,
  tableOf,
} from '../columns.ts'
import { defaultTemplate } from '../core/pod-defaults.ts'
import { defineKind } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind, semanticallyEqual, setDefault } from '../support.ts'
import { checkNonNegative } from '../validation/meta.ts'
import { checkRunningTemplate } from '../validation/pod-spec.ts'
import { checkSelectorKept, checkStatefulSpecKept, checkWorkloadSelector } from '../validation/workload.ts'
import { checkClaimTemplates, checkDaemonUpdates, checkStatefulPolicies } from './set-rules.ts'
import { daemonStatusProblems, statefulStatusProblems } from './status-rules.ts'

function defaultDaemonSet(spec: DaemonSetSpec | undefined): void {
  if (!spec) return
  setDefault(spec, 'updateStrategy', {})
  setDefault(spec, 'revisionHistoryLimit', 10)
  const strategy = spec.updateStrategy
  if (strategy) {
    if (!strategy.type) strategy.type = 'RollingUpdate'
    if (strategy.type === 'RollingUpdate') {
      strategy.rollingUpdate ??= {}
      strategy.rollingUpdate.maxUnavailable ??= 1
      strategy.rollingUpdate.maxSurge ??= 0
    }
  }
  defaultTemplate(spec.template)
}

function validateDaemonSet(spec: DaemonSetSpec | undefined): readonly FieldError[] {
  const out: FieldError[] = []
  if (!spec) return [required('spec')]
  const { template, selector, updateStrategy } = spec
  checkWorkloadSelector(out, 'spec.selector', selector, 'daemonset')
  checkRunningTemplate(out, 'spec.template', { template, selector, kind: 'DaemonSet' })
  checkNonNegative(out, 'spec.minReadySeconds', spec.minReadySeconds)
  checkNonNegative(out, 'spec.revisionHistoryLimit', spec.revisionHistoryLimit)
  checkDaemonUpdates(out, 'spec.updateStrategy', updateStrategy ?? {})
  return out
}

/** Counts changes of the template; a field of the time before apps/v1, which is kept as an annotation. */
const TEMPLATE_GENERATION = 'deprecated.daemonset.template.generation'

function setTemplateGeneration(set: DaemonSet, generation: number): void {
  set.metadata.annotations = { ...set.metadata.annotations, [TEMPLATE_GENERATION]: String(generation) }
}

function keepTemplateGeneration(next: DaemonSet, previous: DaemonSet): void {
  const before = Number(previous.metadata.annotations?.[TEMPLATE_GENERATION] ?? 1)
  const isSame = semanticallyEqual(next.spec?.template, previous.spec?.template)
  setTemplateGeneration(next, isSame ? before : before + 1)
}

export const daemonSets: Strategy = defineKind({
  group: 'apps',
  resource: 'daemonsets',
  hasStatus: true,
  hasGeneration: true,
  prepareForCreate: object => {
    object['status'] = {
      currentNumberScheduled: 0,
      desiredNumberScheduled: 0,
      numberMisscheduled: 0,
      numberReady: 0,
    }
    setTemplateGeneration(asKind<DaemonSet>(object), 1)
  },
  prepareForUpdate: (next, previous) =>
    keepTemplateGeneration(asKind<DaemonSet>(next), asKind<DaemonSet>(previous)),
  applyDefaults: object => defaultDaemonSet(asKind<DaemonSet>(object).spec),
  validate: object => validateDaemonSet(asKind<DaemonSet>(object).spec),
  validateUpdate: checkSelectorKept,
  validateStatusUpdate: (next, previous) =>
    daemonStatusProblems(asKind<DaemonSet>(next).status ?? {}, asKind<DaemonSet>(previous).status ?? {}),
  table: tableOf<DaemonSet>(
    [
      nameColumn,
      column('Desired', 'Nodes that should run the pod', 'integer'),
      column('Current', 'Nodes that run the pod', 'integer'),
      column('Ready', 'Pods that are ready', 'integer'),
      column('Up-to-date', 'Pods of the present template', 'integer'),
      column('Available', 'Pods that have been ready long enough', 'integer'),
      column('Node Selector', 'Labels of the nodes that should run the pod'),
      ageColumn,
      ...containerColumns,
    ],
    ({ metadata, spec, status }, nowMs) => [
      metadata.name ?? '',
      status?.desiredNumberScheduled ?? 0,
      status?.currentNumberScheduled ?? 0,
      status?.numberReady ?? 0,
      status?.updatedNumberScheduled ?? 0,
      status?.numberAvailable ?? 0,
      labelsText(spec?.template?.spec?.nodeSelector),
      since(metadata.creationTimestamp, nowMs),
      ...containerCells(spec?.template?.spec),
      selectorText(spec?.selector),
    ],
  ),
})

function defaultStatefulSet(spec: StatefulSetSpec | undefined): void {
  if (!spec) return
  setDefault(spec, 'podManagementPolicy', 'OrderedReady')
  setDefault(spec, 'updateStrategy', {})
  setDefault(spec, 'replicas', 1)
  setDefault(spec, 'revisionHistoryLimit', 10)
  setDefault(spec, 'persistentVolumeClaimRetentionPolicy', {})
  const retention = spec.persistentVolumeClaimRetentionPolicy
  if (retention) {
    if (!retention.whenDeleted) retention.whenDeleted = 'Retain'
    if (!retention.whenScaled) retention.whenScaled = 'Retain'
  }
  const strategy = spec.updateStrategy
  if (strategy) {
    if (!strategy.type) strategy.type = 'RollingUpdate'
    if (strategy.type === 'RollingUpdate') {
      strategy.rollingUpdate ??= {}
      strategy.rollingUpdate.partition ??= 0
    }
  }
  for (const claim of spec.volumeClaimTemplates ?? []) {
    claim.apiVersion ??= 'v1'
    claim.kind ??= 'PersistentVolumeClaim'
    if (claim.spec) setDefault(claim.spec, 'volumeMode', 'Filesystem')
    claim.status ??= { phase: 'Pending' }
  }
  defaultTemplate(spec.template)
}

function validateStatefulSet(spec: StatefulSetSpec | undefined): readonly FieldError[] {
  const out: FieldError[] = []
  if (!spec) return [required('spec')]
  const { template, selector } = spec
  checkStatefulPolicies(out, spec)
  checkNonNegative(out, 'spec.replicas', spec.replicas)
  checkNonNegative(out, 'spec.minReadySeconds', spec.minReadySeconds)
  checkNonNegative(out, 'spec.ordinals.start', spec.ordinals?.start)
  if (checkWorkloadSelector(out, 'spec.selector', selector, 'statefulset')) {
    checkRunningTemplate(out, 'spec.template', { template: withClaims(spec), selector, kind: 'StatefulSet' })
  } else out.push(invalid('spec.selector', selector, ''))
  if (!template) out.push(required('spec.template'))
  return out
}

/** The template as its pods have it: with a volume for each claim template, so that mounts find theirs. */
function withClaims(spec: StatefulSetSpec): StatefulSetSpec['template'] {
  const podSpec = spec.template?.spec
  if (!podSpec) return spec.template
  const claims = (spec.volumeClaimTemplates ?? []).map(claim => claim.metadata?.name ?? '')
  const volumes = (podSpec.volumes ?? []).filter(volume => !claims.includes(volume.name))
  const added = claims.map(name => ({ name, persistentVolumeClaim: { claimName: name } }))
  return { ...spec.template, spec: { ...podSpec, volumes: [...volumes, ...added] } }
}

export const statefulSets: Strategy = defineKind({
  group: 'apps',
  resource: 'statefulsets',
  hasStatus: true,
  hasGeneration: true,
  prepareForCreate: object => {
    object['status'] = { replicas: 0, availableReplicas: 0 }
  },
  applyDefaults: object => defaultStatefulSet(asKind<StatefulSet>(object).spec),
  validate: object => validateStatefulSet(asKind<StatefulSet>(object).spec),
  validateCreate(object) {
    const out: FieldError[] = []
    checkClaimTemplates(out, asKind<StatefulSet>(object).spec?.volumeClaimTemplates ?? [])
    return out
  },
  validateStatusUpdate: (next, previous) =>
    statefulStatusProblems(
      asKind<StatefulSet>(next).status ?? {},
      asKind<StatefulSet>(previous).status ?? {},
    ),
  validateUpdate(next, previous) {
    const out: FieldError[] = []
    const after = asKind<StatefulSet>(next).spec ?? {}
    checkStatefulSpecKept(out, after, asKind<StatefulSet>(previous).spec ?? {})
    return out
  },
  table: tableOf<StatefulSet>(
    [
      nameColumn,
      column('Ready', 'Pods that are ready, of those wanted'),
      ageColumn,
      ...containerColumns.slice(0, 2),
    ],
    ({ metadata, spec, status }, nowMs) => [
      metadata.name ?? '',
      `${status?.readyReplicas ?? 0}/${spec?.replicas ?? 0}`,
      since(metadata.creationTimestamp, nowMs),
      ...containerCells(spec?.template?.spec),
    ],
  ),
})
