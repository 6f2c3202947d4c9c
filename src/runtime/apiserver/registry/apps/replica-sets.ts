/** ReplicaSets, and ReplicationControllers, which are the same with an older selector. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { invalid, required } from '../../../../kube/field-error.ts'
import type { KubeObject } from '../../../../kube/object.ts'
import type { ReplicaSet, ReplicationController } from '../../../../kube/types.ts'
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
import { asKind, setDefault } from '../support.ts'
import { checkNonNegative } from '../validation/meta.ts'
import { checkRunningTemplate } from '../validation/pod-spec.ts'
import { checkSelectorKept, checkWorkloadSelector, NO_SELECTOR } from '../validation/workload.ts'
import { replicaStatusProblems } from './status-rules.ts'

const columns = [
  nameColumn,
  column('Desired', 'Pods wanted', 'integer'),
  column('Current', 'Pods that exist', 'integer'),
  column('Ready', 'Pods that are ready', 'integer'),
  ageColumn,
  ...containerColumns,
]

const replicaTable = <T extends ReplicaSet | ReplicationController>(selectorCell: (object: T) => string) =>
  tableOf<T>(columns, (object, nowMs) => [
    object.metadata.name ?? '',
    object.spec?.replicas ?? 0,
    object.status?.replicas ?? 0,
    object.status?.readyReplicas ?? 0,
    since(object.metadata.creationTimestamp, nowMs),
    ...containerCells(object.spec?.template?.spec),
    selectorCell(object),
  ])

const replicaFields = (object: KubeObject) => ({
  'status.replicas': String(asKind<ReplicaSet | ReplicationController>(object).status?.replicas ?? 0),
})

export const replicaSets: Strategy = defineKind({
  group: 'apps',
  resource: 'replicasets',
  hasStatus: true,
  validateStatusUpdate: next => replicaStatusProblems(asKind<ReplicaSet>(next).status ?? {}),
  hasGeneration: true,
  applyDefaults(object) {
    const { spec } = asKind<ReplicaSet>(object)
    if (!spec) return
    setDefault(spec, 'replicas', 1)
    defaultTemplate(spec.template)
  },
  prepareForCreate: object => {
    object['status'] = { replicas: 0 }
  },
  validate(object) {
    const { spec } = asKind<ReplicaSet>(object)
    const out: FieldError[] = []
    if (!spec) return [required('spec')]
    const { template, selector } = spec
    checkNonNegative(out, 'spec.replicas', spec.replicas)
    checkNonNegative(out, 'spec.minReadySeconds', spec.minReadySeconds)
    if (checkWorkloadSelector(out, 'spec.selector', selector, 'deployment')) {
      checkRunningTemplate(out, 'spec.template', { template, selector, kind: 'ReplicaSet' })
    } else out.push(invalid('spec.selector', selector, NO_SELECTOR))
    return out
  },
  validateUpdate: checkSelectorKept,
  selectableFields: replicaFields,
  table: replicaTable<ReplicaSet>(({ spec }) => selectorText(spec?.selector)),
})

/** The selector of a replication controller is a plain map, and by default the template's labels. */
export const replicationControllers: Strategy = defineKind({
  group: '',
  resource: 'replicationcontrollers',
  hasStatus: true,
  validateStatusUpdate: next => replicaStatusProblems(asKind<ReplicationController>(next).status ?? {}),
  hasGeneration: true,
  applyDefaults(object) {
    const controller = asKind<ReplicationController>(object)
    const { spec } = controller
    if (!spec) return
    setDefault(spec, 'replicas', 1)
    defaultTemplate(spec.template)
    const labels = spec.template?.metadata?.labels
    if (!labels) return
    if (Object.keys(spec.selector ?? {}).length === 0) spec.selector = { ...labels }
    if (Object.keys(controller.metadata.labels ?? {}).length === 0) controller.metadata.labels = { ...labels }
  },
  prepareForCreate: object => {
    object['status'] = { replicas: 0 }
  },
  validate(object) {
    const { spec } = asKind<ReplicationController>(object)
    const out: FieldError[] = []
    if (!spec) return [required('spec')]
    checkNonNegative(out, 'spec.minReadySeconds', spec.minReadySeconds)
    if (Object.keys(spec.selector ?? {}).length === 0) out.push(required('spec.selector'))
    checkNonNegative(out, 'spec.replicas', spec.replicas)
    if (!spec.template) {
      out.push(required('spec.template'))
      return out
    }
    const selector = { matchLabels: spec.selector ?? {} }
    checkRunningTemplate(out, 'spec.template', {
      template: spec.template,
      selector,
      kind: 'ReplicationController',
    })
    return out
  },
  selectableFields: replicaFields,
  table: replicaTable<ReplicationController>(({ spec }) => labelsText(spec?.selector)),
})
