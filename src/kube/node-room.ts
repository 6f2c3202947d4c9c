/** What a node lacks for a pod, given what it has and what is used of it (pure). */
import type { Amounts } from './pod-requests.ts'

export interface NodeRoom {
  readonly allocatable: Amounts
  readonly podsMax: number
  readonly podCount: number
  requested(resource: string): number
}

export interface Shortage {
  readonly resource: string
  readonly requested: number
  readonly used: number
  readonly capacity: number
}

const FIRST: readonly string[] = ['cpu', 'memory', 'ephemeral-storage']

/** In upstream's order: pods, the resources that every node has, then the pod's others. */
export function shortagesOf(requests: Amounts, room: NodeRoom): readonly Shortage[] {
  const shortages: Shortage[] = []
  const check = (resource: string, requested: number, used: number, capacity: number): void => {
    if (requested > capacity - used) shortages.push({ resource, requested, used, capacity })
  }
  check('pods', 1, room.podCount, room.podsMax)
  for (const resource of new Set([...FIRST, ...requests.keys()])) {
    const requested = requests.get(resource) ?? 0
    if (requested === 0) continue
    check(resource, requested, room.requested(resource), room.allocatable.get(resource) ?? 0)
  }
  return shortages
}
