/** Which container of a pod a request for its log or a stream means. Pure. */
import type { KubeObject } from '../../../kube/object.ts'
import { badRequest } from '../../../kube/status.ts'

export interface PodSpecPart {
  readonly nodeName?: string
  readonly containers?: readonly { readonly name: string }[]
  readonly initContainers?: readonly { readonly name: string }[]
  readonly ephemeralContainers?: readonly { readonly name: string }[]
}

export const podSpecOf = (pod: KubeObject): PodSpecPart => (pod['spec'] ?? {}) as PodSpecPart

/** Throws 400 when that is not clear or there is none of that name. */
export function podContainer(pod: KubeObject, asked: string): string {
  const spec = podSpecOf(pod)
  const names = (spec.containers ?? []).map(one => one.name)
  const initial = (spec.initContainers ?? []).map(one => one.name)
  const ephemeral = (spec.ephemeralContainers ?? []).map(one => one.name)
  const { name } = pod.metadata
  if (asked !== '') {
    if ([...names, ...initial, ...ephemeral].includes(asked)) return asked
    throw badRequest(`container ${asked} is not valid for pod ${name}`)
  }
  const [only] = names
  if (only === undefined) throw badRequest(`a container name must be specified for pod ${name}`)
  if (names.length === 1) return only
  const also = initial.length > 0 ? ` or one of the init containers: [${initial.join(' ')}]` : ''
  throw badRequest(
    `a container name must be specified for pod ${name}, choose one of: [${names.join(' ')}]${also}`,
  )
}
