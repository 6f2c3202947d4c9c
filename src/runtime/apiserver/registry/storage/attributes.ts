/** Classes of volume attributes, and how much room drivers say there is. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { forbidden, invalid, required, tooLong } from '../../../../kube/field-error.ts'
import { checkDns1123Subdomain, checkQualifiedName } from '../../../../kube/names.ts'
import type { CSIStorageCapacity, VolumeAttributesClass } from '../../../../kube/types.ts'
import { ageColumn, column, nameColumn, since, tableOf } from '../columns.ts'
import { defineKind } from '../kind.ts'

import type { Strategy } from '../strategy.ts'
import { asKind } from '../support.ts'
import { checkEach, checkSelector, type Problems } from '../validation/meta.ts'
import { checkQuantity } from '../validation/resources.ts'
import { checkImmutable } from '../validation/workload.ts'

const GROUP = 'storage.k8s.io'
const PARAMETERS_MAX = 512
const PARAMETERS_BYTES_MAX = 256 * 1024

/** Settings that a driver is handed: bounded, and each with a key. */
function checkParameters(
  out: Problems,
  parameters: Readonly<Record<string, string>> | undefined,
  isNeeded: boolean,
): void {
  const entries = Object.entries(parameters ?? {})
  const field = 'parameters'
  if (entries.length > PARAMETERS_MAX) out.push(tooLong(field, PARAMETERS_MAX))
  if (isNeeded && entries.length === 0) {
    out.push(required(field, 'must contain at least one key/value pair'))
  }
  let size = 0
  for (const [key, value] of entries) {
    if (key === '') out.push(invalid(field, key, 'field can not be empty.'))
    size += Buffer.byteLength(key) + Buffer.byteLength(value)
  }
  if (size > PARAMETERS_BYTES_MAX) out.push(tooLong(field, PARAMETERS_BYTES_MAX))
}

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

/** The name of who makes volumes: a qualified name in any case. */
function checkProvisioner(out: Problems, field: string, name: string): void {
  if (name === '') out.push(required(field))
  else checkEach(out, field, name, checkQualifiedName(name.toLowerCase()))
}

export const storageCapacities: Strategy = defineKind({
  group: GROUP,
  resource: 'csistoragecapacities',
  hasGeneration: false,
  allowUnconditionalUpdate: false,
  validate(object) {
    const item = asKind<CSIStorageCapacity>(object)
    const out: FieldError[] = []
    const className = item.storageClassName ?? ''
    checkEach(out, 'storageClassName', className, checkDns1123Subdomain(className))
    checkSelector(out, 'nodeTopology', item.nodeTopology)
    for (const name of ['capacity', 'maximumVolumeSize'] as const) {
      const quantity = item[name]
      if (quantity !== undefined) checkQuantity(out, name, 'storage', quantity)
    }
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
