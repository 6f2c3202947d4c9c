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

/** What a plugin may be asked before devices are chosen for a container. */
export interface PreferenceQuestion {
  readonly container: string
  readonly resource: string
  readonly available: readonly string[]
  readonly mustInclude: readonly string[]
  readonly count: number
}

type Granted = { readonly grants: readonly DeviceGrant[] } | { readonly failure: PodFailure }

/** With preferences that are known already; a device of theirs that is not free any more is passed over. */
export function grantDevices(
  pod: Pod,
  state: { readonly known: KnownDevices; readonly held: readonly DeviceGrant[] },
  preferred: (question: PreferenceQuestion) => readonly string[] = () => [],
): Granted {
  const steps = planGrants(pod, state)
  let step = steps.next()
  while (!step.done) step = steps.next(preferred(step.value))
  return step.value
}

/**
 * What all containers of a new pod get, or why it cannot be taken in. Init containers lend theirs on. Each question is
 * answered with the devices that are to come first.
 */
export function* planGrants(
  pod: Pod,
  { known, held }: { readonly known: KnownDevices; readonly held: readonly DeviceGrant[] },
): Generator<PreferenceQuestion, Granted, readonly string[]> {
  const { uid: podUid = '' } = pod.metadata
  const grants: DeviceGrant[] = []
  for (const [resource, devices] of known) {
    const used = new Set(held.flatMap(grant => (grant.resource === resource ? grant.ids : [])))
    const free = [...devices].filter(([id, isHealthy]) => isHealthy && !used.has(id)).map(([id]) => id)
    const reusable: string[] = []
    for (const { container, isLent } of containersOf(pod)) {
      const count = wantedOf(container, resource)
      if (count === 0) continue
      const all = [...reusable, ...free]
      if (all.length < count) return { failure: shortage(resource, count, all.length) }
      const mustInclude = reusable.slice(0, count)
      const question = { container: container.name, resource, available: all, mustInclude, count }
      const first = mustInclude.length < count ? yield question : []
      const ids = [...new Set([...mustInclude, ...first.filter(id => free.includes(id)), ...all])].slice(
        0,
        count,
      )
      for (const id of ids) {
        if (free.includes(id)) free.splice(free.indexOf(id), 1)
        if (isLent && !reusable.includes(id)) reusable.push(id)
        if (!isLent && reusable.includes(id)) reusable.splice(reusable.indexOf(id), 1)
      }
      grants.push({ podUid, container: container.name, resource, ids })
    }
  }
  return { grants }
}

/** In the order of their starts; what an init container has, those after it may have too. */
const containersOf = ({ spec }: Pod) => [
  ...(spec?.initContainers ?? []).map(container => ({
    container,
    isLent: container.restartPolicy !== 'Always',
  })),
  ...(spec?.containers ?? []).map(container => ({ container, isLent: false })),
]

function shortage(resource: string, wanted: number, available: number): PodFailure {
  const why = `requested number of devices unavailable for ${resource}`
  const numbers = `Requested: ${wanted}, Available: ${available}`
  const message = `Allocate failed due to ${why}. ${numbers}, which is unexpected`
  return { reason: 'UnexpectedAdmissionError', message: `Pod was rejected: ${message}` }
}
