/** The containers of a pod's spec, of all three kinds (pure). */
import type { Container, Pod } from '../../kube/types.ts'

/** What `kubectl debug` adds has the same fields, and a few less. */
export const ephemeralOf = ({ spec }: Pod): readonly Container[] => spec?.ephemeralContainers ?? []

export const containersOf = (pod: Pod): Container[] => [
  ...(pod.spec?.initContainers ?? []),
  ...(pod.spec?.containers ?? []),
  ...ephemeralOf(pod),
]

export const containerNamed = (pod: Pod, name: string | undefined): Container | undefined =>
  containersOf(pod).find(container => container.name === name)

/** `spec.initContainers{migrate}`: where events say that a container is. */
export function containerPath(pod: Pod, name: string): string {
  if (pod.spec?.initContainers?.some(each => each.name === name)) return `spec.initContainers{${name}}`
  if (ephemeralOf(pod).some(each => each.name === name)) return `spec.ephemeralContainers{${name}}`
  return `spec.containers{${name}}`
}
