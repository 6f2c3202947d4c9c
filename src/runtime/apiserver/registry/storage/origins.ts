/** What a claim's volume is filled from: `dataSource`, which is older, and `dataSourceRef`. */
import type { PersistentVolumeClaim } from '../../../../kube/types.ts'

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
