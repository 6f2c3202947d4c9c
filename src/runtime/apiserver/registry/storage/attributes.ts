/** Classes of volume attributes, and how much room drivers say there is. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { forbidden } from '../../../../kube/field-error.ts'
import { checkDns1123Subdomain } from '../../../../kube/names.ts'
import type { CSIStorageCapacity, VolumeAttributesClass } from '../../../../kube/types.ts'
import { ageColumn, column, nameColumn, since, tableOf } from '../columns.ts'
import { defineKind } from '../kind.ts'

import type { Strategy } from '../strategy.ts'
import { asKind } from '../support.ts'
import { checkParameters, checkProvisioner } from '../validation/drivers.ts'
import { checkEach, checkSelector } from '../validation/meta.ts'
import { checkQuantity } from '../validation/resources.ts'
import { checkImmutable } from '../validation/workload.ts'

const GROUP = 'storage.k8s.io'

export const volumeAttributesClasses: Strategy = defineKind({
  group: GROUP,
  resource: 'volumeattributesclasses',
  hasGeneration: false,
  validate(object) {
    const { driverName, parameters } = asKind<VolumeAttributesClass>(object)
    const out: FieldError[] = []
    checkProvisioner(out, 'driverName', driverName ?? '')
    checkParameters(out, parameters, true)
    return out
  },
  validateUpdate(next, previous) {
    const out: FieldError[] = []
    const after = asKind<VolumeAttributesClass>(next)
    const before = asKind<VolumeAttributesClass>(previous)
    if (after.driverName !== before.driverName) {
      out.push(forbidden('driverName', 'updates to driverName are forbidden.'))
    }
    const kept: FieldError[] = []
    checkImmutable(kept, 'parameters', after.parameters ?? {}, before.parameters ?? {})
    if (kept.length > 0) out.push(forbidden('parameters', 'updates to parameters are forbidden.'))
    return out
  },
  table: tableOf<VolumeAttributesClass>(
    [nameColumn, column('DriverName', 'Driver that the class is of'), ageColumn],
    (item, nowMs) => [
      item.metadata.name ?? '',
      item.driverName ?? '',
      since(item.metadata.creationTimestamp, nowMs),
    ],
  ),
})

export const storageCapacities: Strategy = defineKind({
  group: GROUP,
  resource: 'csistoragecapacities',
  hasGeneration: false,
  allowUnconditionalUpdate: false,
  validate(object) {
    const item = asKind<CSIStorageCapacity>(object)
    const out: FieldError[] = []
    const className = item.storageClassName ?? ''
    checkSelector(out, 'nodeTopology', item.nodeTopology)
    checkEach(out, 'storageClassName', className, checkDns1123Subdomain(className))
    if (item.capacity !== undefined) checkQuantity(out, 'capacity', 'storage', item.capacity)
    return out
  },
  validateUpdate(next, previous) {
    const out: FieldError[] = []
    const after = asKind<CSIStorageCapacity>(next)
    const before = asKind<CSIStorageCapacity>(previous)
    checkImmutable(out, 'nodeTopology', after.nodeTopology, before.nodeTopology)
    checkImmutable(out, 'storageClassName', after.storageClassName, before.storageClassName)
    return out
  },
  table: tableOf<CSIStorageCapacity>(
    [
      nameColumn,
      column('StorageClassName', 'Class that there is room for'),
      column('Capacity', 'How much room there is'),
    ],
    item => [item.metadata.name ?? '', item.storageClassName ?? '', item.capacity ?? '<unset>'],
  ),
})
