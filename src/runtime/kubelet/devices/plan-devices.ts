/** Which devices a pod gets, and what a node has of them (pure). */
import type { Container, Pod } from '../../../kube/types.ts'
import type { PodFailure } from '../pod-failure.ts'

/** By resource: whether each device is healthy. A resource whose plugin is gone has none. */
export type KnownDevices = ReadonlyMap<string, ReadonlyMap<string, boolean>>

export interface DeviceGrant {
  readonly podUid: string
  readonly container: string
  readonly resource: string
  readonly ids: readonly string[]
}

export function deviceAmounts(known: KnownDevices): {
  readonly capacity: Record<string, string>
  readonly allocatable: Record<string, string>
} {
  const count = (pick: (isHealthy: boolean) => boolean) =>
    Object.fromEntries(
      Array.from(known, ([name, devices]) => [name, String([...devices.values()].filter(pick).length)]),
    )
  return { capacity: count(() => true), allocatable: count(isHealthy => isHealthy) }
}

/** Whole devices; requests and limits of extended resources are the same. */
const wantedOf = ({ resources }: Container, resource: string): number =>
  Number(resources?.limits?.[resource] ?? resources?.requests?.[resource] ?? 0)

/** What all containers of a new pod get, or why it cannot be taken in. Init containers lend theirs on. */
export function grantDevices(
  pod: Pod,
  known: KnownDevices,
  held: readonly DeviceGrant[],
): { readonly grants: readonly DeviceGrant[] } | { readonly failure: PodFailure } {
  const { uid: podUid = '' } = pod.metadata
  const grants: DeviceGrant[] = []
  for (const [resource, devices] of known) {
    const used = new Set(held.flatMap(grant => (grant.resource === resource ? grant.ids : [])))
    const free = [...devices].filter(([id, isHealthy]) => isHealthy && !used.has(id)).map(([id]) => id)
    const reusable: string[] = []
    const give = (container: Container, isLent: boolean): PodFailure | null => {
      const count = wantedOf(container, resource)
      if (count === 0) return null
      const ids = [...reusable, ...free].slice(0, count)
      if (ids.length < count) return shortage(resource, count, ids.length)
      for (const id of ids) {
        if (free.includes(id)) free.splice(free.indexOf(id), 1)
        if (isLent && !reusable.includes(id)) reusable.push(id)
        if (!isLent && reusable.includes(id)) reusable.splice(reusable.indexOf(id), 1)
      }
      grants.push({ podUid, container: container.name, resource, ids })
      return null
    }
    for (const container of pod.spec?.initContainers ?? []) {
      const failure = give(container, container.restartPolicy !== 'Always')
      if (failure !== null) return { failure }
    }
    for (const container of pod.spec?.containers ?? []) {
      const failure = give(container, false)
      if (failure !== null) return { failure }
    }
  }
  return { grants }
}

function shortage(resource: string, wanted: number, available: number): PodFailure {
  const why = `requested number of devices unavailable for ${resource}`
  const numbers = `Requested: ${wanted}, Available: ${available}`
  const message = `Allocate failed due to ${why}. ${numbers}, which is unexpected`
  return { reason: 'UnexpectedAdmissionError', message: `Pod was rejected: ${message}` }
}
