/** How large an emptyDir in memory may grow (pure): as it says, as the pod may, and never beyond the machine. */
import { integerValue, parseQuantity } from '../../../kube/quantity.ts'
import type { Pod, Volume } from '../../../kube/types.ts'
import type { VolumeParts } from './render-volume.ts'

export function memorySize(volume: Volume, { pod, host }: Pick<VolumeParts, 'pod' | 'host'>): number {
  const own = volume.emptyDir?.sizeLimit
  const wanted = own === undefined ? 0 : integerValue(parseQuantity(own))
  const limits = [wanted, podLimit(pod)].filter(limit => limit > 0)
  return Math.min(host.memoryBytes, ...limits)
}

/** What all containers together may use; 0 when one of them has no limit. */
function podLimit({ spec }: Pod): number {
  const limits = (spec?.containers ?? []).map(({ resources }) => {
    const limit = resources?.limits?.['memory']
    return limit === undefined ? 0 : integerValue(parseQuantity(limit))
  })
  return limits.includes(0) ? 0 : limits.reduce((sum, limit) => sum + limit, 0)
}
