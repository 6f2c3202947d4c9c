/** Leases: who leads, which node lives. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { forbidden, invalid, notSupported } from '../../../../kube/field-error.ts'
import { checkQualifiedName } from '../../../../kube/names.ts'
import type { Lease } from '../../../../kube/types.ts'
import { ageColumn, column, nameColumn, since, tableOf } from '../columns.ts'
import { defineKind } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind } from '../support.ts'
import { checkEach, checkNonNegative } from '../validation/meta.ts'

const STRATEGIES = ['OldestEmulationVersion']

function problemsOf({ spec }: Lease): readonly FieldError[] {
  const out: FieldError[] = []
  const seconds = spec?.leaseDurationSeconds
  if (seconds !== undefined && seconds <= 0) {
    out.push(invalid('spec.leaseDurationSeconds', seconds, 'must be greater than 0'))
  }
  checkNonNegative(out, 'spec.leaseTransitions', spec?.leaseTransitions)
  const strategy = spec?.strategy
  if (strategy !== undefined) {
    // The path is upstream's.
    const field = 'spec.strategy.strategy'
    if (strategy.includes('/')) checkEach(out, field, strategy, checkQualifiedName(strategy))
    else if (!STRATEGIES.includes(strategy)) out.push(notSupported(field, strategy, STRATEGIES))
  }
  if (spec?.preferredHolder && !strategy) {
    out.push(forbidden('spec.preferredHolder', 'may only be specified if `strategy` is defined'))
  }
  return out
}

export const leases: Strategy = defineKind({
  group: 'coordination.k8s.io',
  resource: 'leases',
  hasGeneration: false,
  allowCreateOnUpdate: true,
  allowUnconditionalUpdate: false,
  validate: object => problemsOf(asKind<Lease>(object)),
  table: tableOf<Lease>(
    [nameColumn, column('Holder', 'Who holds the lease'), ageColumn],
    ({ metadata, spec }, nowMs) => [
      metadata.name ?? '',
      spec?.holderIdentity ?? '',
      since(metadata.creationTimestamp, nowMs),
    ],
  ),
})
