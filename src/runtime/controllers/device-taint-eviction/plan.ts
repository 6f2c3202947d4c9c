/** Which taints the devices of a claim have, and until when pods may go on with them (pure). */
import type { ResourceClaim, ResourceSlice, Taint, Toleration } from '../../../kube/types.ts'
import { evictionDueMs } from '../shared/eviction-due.ts'

/** `driver/pool` of slices and of what is allocated. */
export const poolKey = (driver: string | undefined, pool: string | undefined): string => `${driver}/${pool}`

export const poolOf = ({ spec }: ResourceSlice): string => poolKey(spec?.driver, spec?.pool?.name)

export const poolsOf = ({ status }: ResourceClaim): string[] => [
  ...new Set((status?.allocation?.devices?.results ?? []).map(({ driver, pool }) => poolKey(driver, pool))),
]

export const hasEvictingTaint = ({ spec }: ResourceSlice): boolean =>
  (spec?.devices ?? []).some(({ taints = [] }) => taints.some(({ effect }) => effect === 'NoExecute'))

/** When pods have to leave because of a claim's devices; infinity: never. Only a pool's newest slices count. */
export function claimDueMs(
  { status }: ResourceClaim,
  slicesOf: (pool: string) => readonly ResourceSlice[],
  seenMs: number,
): number {
  const dues = (status?.allocation?.devices?.results ?? []).map(
    ({ driver, pool, device, tolerations = [] }) => {
      const slices = slicesOf(poolKey(driver, pool))
      const newest = Math.max(...slices.map(({ spec }) => spec?.pool.generation ?? 0))
      const found = slices
        .filter(({ spec }) => spec?.pool.generation === newest)
        .flatMap(({ spec }) => spec?.devices ?? [])
        .find(({ name }) => name === device)
      return evictionDueMs((found?.taints ?? []) as Taint[], tolerations as Toleration[], seenMs)
    },
  )
  return Math.min(Number.POSITIVE_INFINITY, ...dues)
}
