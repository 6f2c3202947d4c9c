/** Who gets processors for itself, and which (pure): upstream's rules of the CPU manager's policy `static`. */

import { qosClassOf } from '../../../kube/qos.ts'
import { parseQuantity } from '../../../kube/quantity.ts'
import type { Container, Pod } from '../../../kube/types.ts'
import type { PodFailure } from '../pod-failure.ts'
import type { Cpu } from './cpu-topology.ts'
import { takeCpus } from './take-cpus.ts'

export interface CpuGrant {
  readonly podUid: string
  readonly container: string
  readonly cpus: readonly number[]
}

export interface CpuPolicy {
  readonly policy: 'none' | 'static'
  /** `0-1`; absent: as many as are reserved in kubeReserved and systemReserved. */
  readonly reservedSystemCpus?: string | undefined
}

export interface CpuPool {
  readonly all: readonly Cpu[]
  /** Never given to one container alone. */
  readonly reserved: ReadonlySet<number>
}

const NANO = 1_000_000_000n

/** 0: it shares. */
export function exclusiveCount(pod: Pod, { resources }: Container): number {
  // What a pod has as a whole is not the container's own.
  if (qosClassOf(pod) !== 'Guaranteed' || pod.spec?.resources !== undefined) return 0
  const { nano } = parseQuantity(resources?.requests?.['cpu'] ?? resources?.limits?.['cpu'] ?? '0')
  return nano % NANO === 0n ? Number(nano / NANO) : 0
}

/** What is nobody's own: everybody else runs there, the machine's programs included. */
export function sharedCpus({ all }: CpuPool, grants: readonly CpuGrant[]): ReadonlySet<number> {
  const taken = new Set(grants.flatMap(({ cpus }) => cpus))
  return new Set(all.map(({ id }) => id).filter(id => !taken.has(id)))
}

/** `held`: of other pods. What init containers have had goes to those that run after them. */
export function grantCpus(
  pod: Pod,
  held: readonly CpuGrant[],
  pool: CpuPool,
): readonly CpuGrant[] | PodFailure {
  const { uid = '' } = pod.metadata
  const grants: CpuGrant[] = []
  let reusable = new Set<number>()
  const inits = pod.spec?.initContainers ?? []
  for (const container of [...inits, ...(pod.spec?.containers ?? [])]) {
    const count = exclusiveCount(pod, container)
    if (count === 0) continue
    const free = sharedCpus(pool, [...held, ...grants])
      .difference(pool.reserved)
      .union(reusable)
    const own = reusable.size >= count ? reusable : free
    const cpus = takeCpus(pool.all, own, count)
    if (cpus === null) return tooFew(count, free.size)
    grants.push({ podUid: uid, container: container.name, cpus: [...cpus].sort((a, b) => a - b) })
    const isDoneFirst = inits.includes(container) && container.restartPolicy !== 'Always'
    reusable = new Set(isDoneFirst ? reusable.union(cpus) : reusable.difference(cpus))
  }
  return grants
}

function tooFew(requested: number, available: number): PodFailure {
  const why = `not enough cpus available to satisfy request: requested=${requested}, available=${available}`
  const message = `Pod was rejected: Allocate failed due to ${why}, which is unexpected`
  return { reason: 'UnexpectedAdmissionError', message }
}
