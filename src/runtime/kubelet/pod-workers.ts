/** The pods of this node with their workers, and what they are together: to be counted, judged, ended. */

import type { Node, Pod } from '../../kube/types.ts'
import type { NodeView } from './admission/judge-pod.ts'
import type { KubeletParts } from './kubelet-parts.ts'
import type { PodFailure } from './pod-failure.ts'
import { identityOf } from './pod-identity.ts'
import { hasNotEnded, isAlive } from './pod-states.ts'
import type { PodWorker } from './pod-worker.ts'
import type { Room } from './resources/allocation.ts'
import { allocatableAmounts } from './resources/node-allocatable.ts'
import type { ClaimedPlace, ClaimedPlaces } from './volumes/claim-volumes.ts'

export class PodWorkers {
  readonly #parts: Pick<KubeletParts, 'host' | 'settings'>
  readonly #workers = new Map<string, PodWorker>()

  constructor(parts: Pick<KubeletParts, 'host' | 'settings'>) {
    this.#parts = parts
  }

  get(uid: string): PodWorker | undefined {
    return this.#workers.get(uid)
  }

  of(pod: Pod): PodWorker | undefined {
    return this.#workers.get(identityOf(pod).uid)
  }

  add(uid: string, worker: PodWorker): void {
    this.#workers.set(uid, worker)
  }

  remove(uid: string): void {
    this.#workers.delete(uid)
  }

  get uids(): ReadonlySet<string> {
    return new Set(this.#workers.keys())
  }

  get pods(): readonly Pod[] {
    return [...this.#workers.values()].map(({ pod }) => pod)
  }

  get alive(): readonly Pod[] {
    return this.pods.filter(isAlive)
  }

  /** With what they have been given. */
  get allocated(): readonly Pod[] {
    return [...this.#workers.values()].map(({ allocated }) => allocated).filter(hasNotEnded)
  }

  get places(): readonly ClaimedPlace[] {
    return [...this.#workers.values()].flatMap(({ places }) => [...places.values()])
  }

  placesOf(pod: Pod): ClaimedPlaces {
    return this.of(pod)?.places ?? new Map()
  }

  view(node: Node, given: NodeView['given']): NodeView {
    const workers = [...this.#workers.values()].filter(worker => worker.isTakenIn)
    const { operatingSystem } = this.#parts.host
    return { node, operatingSystem, given, others: workers.map(({ allocated }) => allocated) }
  }

  roomFor(uid: string): Room {
    const { host, settings } = this.#parts
    const { cpuMillis, memoryBytes } = allocatableAmounts(host, settings.reserved)
    const others = [...this.#workers].filter(([id, { pod }]) => id !== uid && isAlive(pod))
    return {
      others: others.map(([, worker]) => worker.allocated),
      allocatable: { cpu: cpuMillis, memory: memoryBytes },
    }
  }

  /** Resolves once nothing of the pod runs. */
  async fail(pod: Pod, failure: PodFailure): Promise<void> {
    await this.of(pod)?.fail(failure)
  }

  /** Whatever waits for room on the node looks again. */
  wakeWaiting(): void {
    for (const worker of this.#workers.values()) if (worker.awaitsRoom) worker.wake()
  }

  /** Those that wait for a driver of devices need not wait for their next try. */
  wakeClaimants(): void {
    for (const worker of this.#workers.values()) if (worker.pod.spec?.resourceClaims) worker.wake()
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#workers.values()].map(worker => worker.stop()))
  }

  clear(): void {
    this.#workers.clear()
  }
}
