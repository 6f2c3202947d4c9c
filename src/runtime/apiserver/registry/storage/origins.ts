/** What a claim's volume is filled from: `dataSource`, which is older, and `dataSourceRef`. */
import { invalid, required } from '../../../../kube/field-error.ts'
import { checkDns1123Subdomain } from '../../../../kube/names.ts'
import type { PersistentVolumeClaim } from '../../../../kube/types.ts'
import { checkEach, type Problems } from '../validation/meta.ts'

type Spec = NonNullable<PersistentVolumeClaim['spec']>
type Origin = NonNullable<Spec['dataSource']>

const isOlderKind = ({ apiGroup = '', kind }: Origin): boolean =>
  (apiGroup === '' && kind === 'PersistentVolumeClaim') ||
  (apiGroup === 'snapshot.storage.k8s.io' && kind === 'VolumeSnapshot')

/**
 * One says what the other says. `dataSource` has only ever meant claims and snapshots and drops the rest; a
 * reference into another namespace is not enabled, as by upstream's defaults. `hadOrigin`: what was stored stays.
 */
export function settleOrigins(spec: Spec, hadOrigin: boolean): void {
  if (!hadOrigin) {
    if (spec.dataSource && !isOlderKind(spec.dataSource)) delete spec.dataSource
    if (spec.dataSourceRef?.namespace) delete spec.dataSourceRef
  }
  const { dataSource, dataSourceRef } = spec
  if (dataSource && !dataSourceRef) spec.dataSourceRef = { ...dataSource }
  else if (dataSourceRef && !dataSource && !dataSourceRef.namespace) {
    const { namespace: _none, ...origin } = dataSourceRef
    spec.dataSource = origin
  }
}

export function checkOrigins(out: Problems, { dataSource, dataSourceRef }: Spec): void {
  checkOrigin(out, 'spec.dataSource', dataSource)
  checkOrigin(out, 'spec.dataSourceRef', dataSourceRef)
  if (!dataSource || !dataSourceRef) return
  if (dataSourceRef.namespace) {
    const detail = 'may not be specified when dataSourceRef.namespace is specified'
    out.push(invalid('spec', 'spec.dataSource', detail))
    return
  }
  const isSame = (['apiGroup', 'kind', 'name'] as const).every(
    field => (dataSource[field] ?? '') === (dataSourceRef[field] ?? ''),
  )
  if (!isSame) out.push(invalid('spec', 'spec.dataSource', 'must match dataSourceRef'))
}

function checkOrigin(out: Problems, field: string, origin: Origin | undefined): void {
  if (!origin) return
  const { apiGroup = '', kind = '', name = '' } = origin
  if (name === '') out.push(required(`${field}.name`))
  if (kind === '') out.push(required(`${field}.kind`))
  if (apiGroup !== '') checkEach(out, `${field}.apiGroup`, apiGroup, checkDns1123Subdomain(apiGroup))
  else if (kind !== 'PersistentVolumeClaim') {
    const detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
    out.push(invalid(field, kind, detail))
  }
}
