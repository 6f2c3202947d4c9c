/** How daemon sets and stateful sets change their pods, and what they keep: the rules. */
import { invalid, notSupported, required } from '../../../../kube/field-error.ts'
import type { DaemonSetSpec, StatefulSetSpec } from '../../../../kube/types.ts'
import { at } from '../support.ts'
import { checkClaimSpec } from '../validation/claim-spec.ts'
import { checkNonNegative, checkOneOf, type Problems } from '../validation/meta.ts'
import { checkAtMostAll, checkIntOrPercent, isZero } from '../validation/workload.ts'

type DaemonUpdates = NonNullable<DaemonSetSpec['updateStrategy']>
type StatefulUpdates = NonNullable<StatefulSetSpec['updateStrategy']>

export function checkDaemonUpdates(out: Problems, field: string, updates: DaemonUpdates): void {
  const { type = '', rollingUpdate } = updates
  if (type === 'OnDelete') return
  if (type !== 'RollingUpdate') {
    const shown = { Type: type, RollingUpdate: rollingUpdate ?? null }
    out.push(notSupported(field, shown, ['RollingUpdate', 'OnDelete']))
  } else if (rollingUpdate) checkDaemonRolling(out, `${field}.rollingUpdate`, rollingUpdate)
  else out.push(required(`${field}.rollingUpdate`))
}

function checkDaemonRolling(
  out: Problems,
  field: string,
  { maxUnavailable, maxSurge }: NonNullable<DaemonUpdates['rollingUpdate']>,
): void {
  checkIntOrPercent(out, `${field}.maxUnavailable`, maxUnavailable)
  checkIntOrPercent(out, `${field}.maxSurge`, maxSurge)
  checkAtMostAll(out, `${field}.maxUnavailable`, maxUnavailable)
  checkAtMostAll(out, `${field}.maxSurge`, maxSurge)
  const noneUnavailable = isZero(maxUnavailable)
  const noneMore = isZero(maxSurge)
  if (noneUnavailable && noneMore) {
    out.push(required(`${field}.maxUnavailable`, 'cannot be 0 when maxSurge is 0'))
  } else if (!noneUnavailable && !noneMore) {
    out.push(invalid(`${field}.maxSurge`, maxSurge, 'may not be set when maxUnavailable is non-zero'))
  }
}

export function checkStatefulPolicies(out: Problems, spec: StatefulSetSpec): void {
  const policy = spec.podManagementPolicy ?? ''
  if (policy === '') out.push(required('spec.podManagementPolicy'))
  else if (!['OrderedReady', 'Parallel'].includes(policy)) {
    out.push(invalid('spec.podManagementPolicy', policy, "must be 'OrderedReady' or 'Parallel'"))
  }
  checkStatefulUpdates(out, 'spec.updateStrategy', spec.updateStrategy ?? {})
  const retention = spec.persistentVolumeClaimRetentionPolicy
  if (!retention) return
  for (const name of ['whenDeleted', 'whenScaled'] as const) {
    const field = `spec.persistentVolumeClaimRetentionPolicy.${name}`
    checkOneOf(out, field, retention[name], ['Retain', 'Delete'])
  }
}

function checkStatefulUpdates(out: Problems, field: string, updates: StatefulUpdates): void {
  const { type = '', rollingUpdate: rolling } = updates
  const shown = rolling
    ? { Partition: rolling.partition ?? 0, MaxUnavailable: rolling.maxUnavailable ?? null }
    : null
  if (type === '') out.push(required(field))
  else if (type === 'OnDelete') {
    if (!rolling) return
    out.push(invalid(`${field}.rollingUpdate`, shown, "only allowed for updateStrategy 'RollingUpdate'"))
  } else if (type !== 'RollingUpdate') {
    const detail = "must be 'RollingUpdate' or 'OnDelete'"
    out.push(invalid(field, { Type: type, RollingUpdate: shown }, detail))
  } else if (rolling) checkStatefulRolling(out, `${field}.rollingUpdate`, rolling)
}

function checkStatefulRolling(
  out: Problems,
  path: string,
  { partition, maxUnavailable }: NonNullable<StatefulUpdates['rollingUpdate']>,
): void {
  checkNonNegative(out, `${path}.partition`, partition)
  if (maxUnavailable === undefined) return
  const field = `${path}.maxUnavailable`
  checkIntOrPercent(out, field, maxUnavailable)
  if (isZero(maxUnavailable)) out.push(invalid(field, maxUnavailable, 'cannot be 0'))
  checkAtMostAll(out, field, maxUnavailable)
}

/** What every pod's claims will be made from; a set that is there already keeps what it has. */
export function checkClaimTemplates(
  out: Problems,
  templates: NonNullable<StatefulSetSpec['volumeClaimTemplates']>,
): void {
  for (const [index, { spec }] of templates.entries()) {
    checkClaimSpec(out, `${at('spec.volumeClaimTemplates', index)}.spec`, spec ?? {})
  }
}
