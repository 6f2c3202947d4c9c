/** Which mounts are read-only all the way down, and what a container's status says of its mounts (pure). */
import type { Container, ContainerStatus } from '../../../kube/types.ts'

type VolumeMount = NonNullable<Container['volumeMounts']>[number]

/** `canRecurse`: the runtime is able to. */
export function isRecursive({ readOnly, recursiveReadOnly }: VolumeMount, canRecurse: boolean): boolean {
  if (readOnly !== true) return false
  return recursiveReadOnly === 'Enabled' || (recursiveReadOnly === 'IfPossible' && canRecurse)
}

export function mountStatuses(
  { volumeMounts = [] }: Container,
  canRecurse: boolean,
): Pick<ContainerStatus, 'volumeMounts'> {
  if (volumeMounts.length === 0) return {}
  return {
    volumeMounts: volumeMounts.map(mount => {
      const { name, mountPath, readOnly } = mount
      if (readOnly !== true) return { name, mountPath }
      const recursiveReadOnly = isRecursive(mount, canRecurse) ? 'Enabled' : 'Disabled'
      return { name, mountPath, readOnly, recursiveReadOnly }
    }),
  }
}
