/** Which pages an emptyDir of the medium HugePages has (pure): those that it names, or the pod's only ones. */
import type { Pod } from '../../../kube/types.ts'
import { VolumeError } from './volume-error.ts'

const PREFIX = 'hugepages-'
const MEDIUM = /^HugePages(?:-(.+))?$/

/** Null for another medium. Throws when the pod asks for no such pages. */
export function hugePageSize(medium: string, { spec }: Pod): string | null {
  const found = MEDIUM.exec(medium)
  if (found === null) return null
  const containers = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])]
  const requested = new Set(
    containers
      .flatMap(({ resources }) => Object.keys({ ...resources?.limits, ...resources?.requests }))
      .filter(name => name.startsWith(PREFIX))
      .map(name => name.slice(PREFIX.length)),
  )
  const sizes = found[1] === undefined ? [...requested] : [...requested].filter(size => size === found[1])
  const [size] = sizes
  if (size === undefined)
    throw new VolumeError(
      `medium "${medium}": hugepages storage requested, but there is no resource request for huge pages.`,
    )
  if (sizes.length > 1)
    throw new VolumeError(`medium "${medium}": multiple pageSizes for huge pages in a single pod`)
  return size
}
