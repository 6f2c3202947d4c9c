/** Which of a pod's own limits of local disk it exceeds (pure): emptyDirs, containers, the pod. */
import { integerValue, parseQuantity } from '../../../kube/quantity.ts'
import type { Pod } from '../../../kube/types.ts'
import type { LocalUse } from '../stats/local-storage.ts'

const STORAGE = 'ephemeral-storage'
const bytes = (text: string) => integerValue(parseQuantity(text))

/** Whether there is anything to look at. */
export function hasLocalLimits({ spec }: Pod): boolean {
  const limitsVolume = spec?.volumes?.some(
    ({ emptyDir }) => emptyDir?.sizeLimit !== undefined && (emptyDir.medium ?? '') === '',
  )
  return (
    limitsVolume === true || (spec?.containers ?? []).some(({ resources }) => resources?.limits?.[STORAGE])
  )
}

/** Null while it keeps to them. `writable` is what containers wrote beside volumes, by name. */
export function exceededLimit(
  { spec }: Pod,
  local: LocalUse,
  writable: ReadonlyMap<string, number>,
): string | null {
  for (const { name, emptyDir } of spec?.volumes ?? []) {
    const limit = emptyDir?.sizeLimit
    if (limit === undefined || bytes(limit) === 0) continue
    if ((local.emptyDirs.get(name) ?? 0) > bytes(limit)) {
      return `Usage of EmptyDir volume ${JSON.stringify(name)} exceeds the limit ${JSON.stringify(limit)}. `
    }
  }
  const containers = spec?.containers ?? []
  const limits = containers.map(({ resources }) => resources?.limits?.[STORAGE])
  const written = [...writable.values()].reduce((sum, each) => sum + each, 0)
  const volumes = [...local.emptyDirs.values()].reduce((sum, each) => sum + each, local.logBytes)
  const total = limits.reduce((sum, limit) => sum + bytes(limit ?? '0'), 0)
  if (limits.length > 0 && limits.every(limit => limit !== undefined) && written + volumes > total) {
    const text = containers.length === 1 ? limits[0] : `${total}`
    return `Pod ephemeral local storage usage exceeds the total limit of containers ${text}. `
  }
  for (const [index, { name }] of containers.entries()) {
    const limit = limits[index]
    if (limit !== undefined && (writable.get(name) ?? 0) > bytes(limit)) {
      return `Container ${name} exceeded its local ephemeral storage limit ${JSON.stringify(limit)}. `
    }
  }
  return null
}
