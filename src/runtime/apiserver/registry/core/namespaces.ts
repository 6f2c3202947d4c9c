/** Namespaces: held back by spec.finalizers, which the `finalize` subresource empties. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { invalid } from '../../../../kube/field-error.ts'
import { checkDns1123Label, checkQualifiedName } from '../../../../kube/names.ts'
import type { KubeObject } from '../../../../kube/object.ts'
import type { Namespace } from '../../../../kube/types.ts'
import { ageColumn, column, nameColumn, since, tableOf } from '../columns.ts'
import { defineKind, takeField } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind, at } from '../support.ts'
import { checkEach } from '../validation/meta.ts'

const FINALIZER = 'kubernetes'
const NAME_LABEL = 'kubernetes.io/metadata.name'

function checkFinalizers(object: KubeObject): FieldError[] {
  const out: FieldError[] = []
  for (const [index, name] of (asKind<Namespace>(object).spec?.finalizers ?? []).entries()) {
    const field = at('spec.finalizers', index)
    checkEach(out, field, name, checkQualifiedName(name))
    if (!name.includes('/') && name !== FINALIZER) {
      out.push(invalid(field, name, 'name is neither a standard finalizer name nor is it fully qualified'))
    }
  }
  return out
}

export const namespaces: Strategy = defineKind({
  group: '',
  resource: 'namespaces',
  hasStatus: true,
  hasGeneration: false,
  applyDefaults(object) {
    if (!object.metadata.name) return
    object.metadata.labels = { ...object.metadata.labels, [NAME_LABEL]: object.metadata.name }
  },
  prepareForCreate(object) {
    const namespace = asKind<Namespace>(object)
    namespace.status = { phase: 'Active' }
    const finalizers = namespace.spec?.finalizers ?? []
    if (!finalizers.includes(FINALIZER)) namespace.spec = { finalizers: [...finalizers, FINALIZER] }
  },
  prepareForUpdate(next, previous) {
    takeField(next, previous, 'spec')
  },
  prepareForDelete(object) {
    const namespace = asKind<Namespace>(object)
    namespace.status = { ...namespace.status, phase: 'Terminating' }
  },
  isHeldBack: object => (asKind<Namespace>(object).spec?.finalizers ?? []).length > 0,
  validateStatusUpdate(next, previous) {
    const phase = asKind<Namespace>(next).status?.phase ?? ''
    const isDeleted = previous.metadata.deletionTimestamp !== undefined
    if (isDeleted && phase !== 'Terminating') {
      return [invalid('status.Phase', phase, "may only be 'Active' if `deletionTimestamp` is empty")]
    }
    if (!isDeleted && phase === 'Terminating') {
      const detail = "may only be 'Terminating' if `deletionTimestamp` is not empty"
      return [invalid('status.Phase', phase, detail)]
    }
    return []
  },
  subresources: {
    finalize: {
      prepareForUpdate: (next, previous) => takeField(next, previous, 'status'),
      validateUpdate: next => checkFinalizers(next),
    },
  },
  selectableFields: object => ({
    'status.phase': asKind<Namespace>(object).status?.phase ?? '',
    name: object.metadata.name ?? '',
  }),
  validateName: name => checkDns1123Label(name)[0] ?? null,
  table: tableOf<Namespace>(
    [nameColumn, column('Status', 'Whether the namespace is in use or going away'), ageColumn],
    ({ metadata, status }, nowMs) => [
      metadata.name ?? '',
      status?.phase ?? '',
      since(metadata.creationTimestamp, nowMs),
    ],
  ),
})
