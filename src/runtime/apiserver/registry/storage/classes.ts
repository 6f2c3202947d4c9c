/** Storage classes. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { duplicate, forbidden, required } from '../../../../kube/field-error.ts'
import { checkQualifiedName } from '../../../../kube/names.ts'
import type { StorageClass } from '../../../../kube/types.ts'
import { ageColumn, column, nameColumn, since, tableOf, UNKNOWN } from '../columns.ts'
import { defineKind } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind, at, semanticallyEqual, setDefault } from '../support.ts'
import { checkParameters, checkProvisioner } from '../validation/drivers.ts'
import { checkEach, checkOneOf, type Problems } from '../validation/meta.ts'
import { checkImmutable } from '../validation/workload.ts'

const DEFAULT_CLASS = 'storageclass.kubernetes.io/is-default-class'

type Topologies = NonNullable<StorageClass['allowedTopologies']>
type Requirement = NonNullable<Topologies[number]['matchLabelExpressions']>[number]

function checkTopologies(out: Problems, topologies: Topologies): void {
  const seen: Record<string, unknown>[] = []
  for (const [index, { matchLabelExpressions = [] }] of topologies.entries()) {
    const field = at('allowedTopologies', index)
    const term: Record<string, unknown> = {}
    for (const [position, requirement] of matchLabelExpressions.entries()) {
      const path = at(`${field}.matchLabelExpressions`, position)
      checkRequirement(out, path, requirement)
      if (Object.hasOwn(term, requirement.key)) out.push(duplicate(`${path}.key`, requirement.key))
      term[requirement.key] = [...(requirement.values ?? [])].sort()
    }
    if (seen.some(other => semanticallyEqual(other, term))) {
      out.push(duplicate(`${field}.matchLabelExpressions`, ''))
    }
    seen.push(term)
  }
}

function checkRequirement(out: Problems, field: string, { key, values = [] }: Requirement): void {
  if (values.length === 0) out.push(required(`${field}.values`))
  for (const [index, value] of values.entries()) {
    if (values.indexOf(value) < index) out.push(duplicate(at(`${field}.values`, index), value))
  }
  checkEach(out, `${field}.key`, key, checkQualifiedName(key))
}

export const storageClasses: Strategy = defineKind({
  group: 'storage.k8s.io',
  resource: 'storageclasses',
  applyDefaults(object) {
    const item = asKind<StorageClass>(object)
    setDefault(item, 'reclaimPolicy', 'Delete')
    setDefault(item, 'volumeBindingMode', 'Immediate')
  },
  validate(object) {
    const out: FieldError[] = []
    const item = asKind<StorageClass>(object)
    checkProvisioner(out, 'provisioner', item.provisioner ?? '')
    checkParameters(out, item.parameters, false)
    if (item.reclaimPolicy) checkOneOf(out, 'reclaimPolicy', item.reclaimPolicy, ['Delete', 'Retain'])
    const modes = ['Immediate', 'WaitForFirstConsumer']
    if (item.volumeBindingMode === undefined) out.push(required('volumeBindingMode'))
    else checkOneOf(out, 'volumeBindingMode', item.volumeBindingMode, modes)
    checkTopologies(out, item.allowedTopologies ?? [])
    return out
  },
  validateUpdate(next, previous) {
    const out: FieldError[] = []
    const after = asKind<StorageClass>(next)
    const before = asKind<StorageClass>(previous)
    for (const name of ['parameters', 'provisioner', 'reclaimPolicy'] as const) {
      if (semanticallyEqual(after[name], before[name])) continue
      out.push(forbidden(name, `updates to ${name} are forbidden.`))
    }
    checkImmutable(out, 'volumeBindingMode', after.volumeBindingMode, before.volumeBindingMode)
    return out
  },
  table: tableOf<StorageClass>(
    [
      nameColumn,
      column('Provisioner', 'Who makes volumes of the class'),
      column('ReclaimPolicy', 'What happens when the claim goes'),
      column('VolumeBindingMode', 'When a volume is chosen'),
      column('AllowVolumeExpansion', 'Whether volumes may grow'),
      ageColumn,
    ],
    (item, nowMs) => [
      `${item.metadata.name ?? ''}${item.metadata.annotations?.[DEFAULT_CLASS] === 'true' ? ' (default)' : ''}`,
      item.provisioner || UNKNOWN,
      item.reclaimPolicy ?? 'Delete',
      item.volumeBindingMode ?? 'Immediate',
      item.allowVolumeExpansion ?? false,
      since(item.metadata.creationTimestamp, nowMs),
    ],
  ),
})
