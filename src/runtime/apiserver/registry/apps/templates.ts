/** What workloads leave behind or start from: controller revisions and pod templates. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { required } from '../../../../kube/field-error.ts'
import type { ControllerRevision, PodTemplate } from '../../../../kube/types.ts'
import {
  ageColumn,
  column,
  containerCells,
  labelsText,
  NONE,
  nameColumn,
  since,
  tableOf,
} from '../columns.ts'
import { defaultTemplate } from '../core/pod-defaults.ts'
import { defineKind } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind } from '../support.ts'
import { checkNonNegative } from '../validation/meta.ts'
import { checkTemplate } from '../validation/pod-spec.ts'
import { checkImmutable } from '../validation/workload.ts'

/** `deployment.apps/web`: who owns an object, as kubectl names it. */
function ownerText({ metadata }: ControllerRevision): string {
  const owner = (metadata.ownerReferences ?? []).find(item => item.controller === true)
  if (!owner) return NONE
  const [group = '', version] = owner.apiVersion.split('/')
  const kind = owner.kind.toLowerCase()
  return version === undefined ? `${kind}/${owner.name}` : `${kind}.${group}/${owner.name}`
}

export const controllerRevisions: Strategy = defineKind({
  group: 'apps',
  resource: 'controllerrevisions',
  validate(object) {
    const { data, revision } = asKind<ControllerRevision>(object)
    const out: FieldError[] = []
    checkNonNegative(out, 'revision', revision)
    if (data === undefined || data === null) out.push(required('data', 'data is mandatory'))
    return out
  },
  validateUpdate(next, previous) {
    const out: FieldError[] = []
    const before = asKind<ControllerRevision>(previous).data
    checkImmutable(out, 'data', asKind<ControllerRevision>(next).data, before)
    return out
  },
  table: tableOf<ControllerRevision>(
    [
      nameColumn,
      column('Controller', 'Controller that owns the revision'),
      column('Revision', 'Number of the revision', 'integer'),
      ageColumn,
    ],
    (revision, nowMs) => [
      revision.metadata.name ?? '',
      ownerText(revision),
      revision.revision ?? 0,
      since(revision.metadata.creationTimestamp, nowMs),
    ],
  ),
})

export const podTemplates: Strategy = defineKind({
  group: '',
  resource: 'podtemplates',
  hasGeneration: true,
  applyDefaults: object => defaultTemplate(asKind<PodTemplate>(object).template),
  validate(object) {
    const out: FieldError[] = []
    checkTemplate(out, 'template', asKind<PodTemplate>(object).template)
    return out
  },
  table: tableOf<PodTemplate>(
    [
      nameColumn,
      column('Containers', 'Names of the containers'),
      column('Images', 'Images of the containers'),
      column('Pod Labels', 'Labels of the pods'),
    ],
    ({ metadata, template }) => [
      metadata.name ?? '',
      ...containerCells(template?.spec),
      labelsText(template?.metadata?.labels),
    ],
  ),
})
