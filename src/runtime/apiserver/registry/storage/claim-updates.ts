/** What may become of a claim on a volume, and of its status. */
import { cloneJson } from '../../../../kube/clone.ts'
import { type FieldError, forbidden, invalid, notSupported } from '../../../../kube/field-error.ts'
import { checkQualifiedName } from '../../../../kube/names.ts'
import type { PersistentVolumeClaim } from '../../../../kube/types.ts'
import { keyed, semanticallyEqual } from '../support.ts'
import { checkEach, checkOneOf } from '../validation/meta.ts'
import { compareQuantities, isQuantity } from '../validation/quantities.ts'
import { isNative } from '../validation/resources.ts'
import { checkImmutable } from '../validation/workload.ts'

type Claim = PersistentVolumeClaim

const RESIZE_STATUSES = [
  'ControllerResizeInProgress',
  'ControllerResizeInfeasible',
  'NodeResizeInProgress',
  'NodeResizeInfeasible',
  'NodeResizePending',
].sort()

const CLAIM_KEPT =
  'spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims'

/** A bound claim may grow, may shrink while it has less than it asks for, and may change its class of attributes. */
export function claimUpdateProblems(next: Claim, previous: Claim): readonly FieldError[] {
  const out: FieldError[] = []
  const before = previous.spec ?? {}
  const after = next.spec ?? {}
  const masked = cloneJson(after)
  const old = cloneJson(before)
  if (!before.volumeName) old.volumeName = masked.volumeName = after.volumeName ?? ''
  if (before.storageClassName === undefined && !before.volumeName) delete masked.storageClassName
  const storage = before.resources?.requests?.['storage']
  if (next.status?.phase === 'Bound') {
    if (masked.resources?.requests && storage !== undefined) masked.resources.requests['storage'] = storage
    delete masked.volumeAttributesClassName
    delete old.volumeAttributesClassName
  }
  if (!semanticallyEqual(masked, old)) out.push(forbidden('spec', CLAIM_KEPT))
  checkShrinking(out, next, storage)
  checkImmutable(out, 'volumeMode', after.volumeMode, before.volumeMode)
  checkAttributesClass(out, next)
  return out
}

function checkShrinking(out: FieldError[], { spec, status }: Claim, before: string | undefined): void {
  const size = spec?.resources?.requests?.['storage']
  if (!isQuantity(size) || !isQuantity(before) || compareQuantities(size, before) >= 0) return
  const has = status?.capacity?.['storage'] ?? '0'
  if (isQuantity(has) && compareQuantities(size, has) > 0) return
  out.push(forbidden('spec.resources.requests.storage', 'field can not be less than status.capacity'))
}

/** One that a driver has put to work cannot be taken away, only replaced. */
function checkAttributesClass(out: FieldError[], { spec, status }: Claim): void {
  const wanted = spec?.volumeAttributesClassName
  if (status?.currentVolumeAttributesClassName === undefined || wanted) return
  const what = wanted === undefined ? 'nil' : 'empty string'
  const detail = `update to ${what} is forbidden when status.currentVolumeAttributesClassName is not nil`
  out.push(forbidden('spec.volumeAttributesClassName', detail))
}

/** How far its growth has come, by resource. */
export function claimStatusProblems({ status }: Claim): readonly FieldError[] {
  const out: FieldError[] = []
  for (const [name, amount] of Object.entries(status?.capacity ?? {})) {
    checkAmount(out, keyed('status.capacity', name), amount)
  }
  for (const [name, step] of Object.entries(status?.allocatedResourceStatuses ?? {})) {
    checkName(out, 'status.allocatedResourceStatus', name)
    checkOneOf(out, 'status.allocatedResourceStatus', step, RESIZE_STATUSES)
  }
  for (const [name, amount] of Object.entries(status?.allocatedResources ?? {})) {
    const isName = checkName(out, 'status.allocatedResources', name)
    if (isName) checkAmount(out, keyed('status.allocatedResources', name), amount)
  }
  return out
}

function checkAmount(out: FieldError[], field: string, amount: string): void {
  if (isQuantity(amount) && compareQuantities(amount, '0') >= 0) return
  out.push(invalid(field, amount, 'must be a valid resource quantity'))
}

function checkName(out: FieldError[], field: string, name: string): boolean {
  const problems = checkQualifiedName(name)
  checkEach(out, field, name, problems)
  if (problems.length > 0) return false
  if (!isNative(name) || name === 'storage') return true
  out.push(notSupported(field, name, ['storage']))
  return false
}
