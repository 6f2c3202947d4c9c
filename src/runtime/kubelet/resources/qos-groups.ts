/**
 * Limits of the groups that hold all pods and classes of them: pods together get what the node has for them, burstable
 * ones the CPU that they ask for together, the others what is left. Groups of pods that are gone are taken away.
 */

import { type Clock, sleep } from '../../../base/clock.ts'
import type { Log } from '../../../base/log.ts'
import { qosClassOf } from '../../../kube/qos.ts'
import { milliValue } from '../../../kube/quantity.ts'
import { podTotal } from '../../../kube/quota-usage.ts'
import type { Pod } from '../../../kube/types.ts'
import { identityOf } from '../pod-identity.ts'
import type { PodResources } from '../runtime/cgroup-limits.ts'
import type { PodGroups } from '../runtime/pod-groups.ts'
import type { Usable } from './allocation.ts'

export interface QosGroupsParts {
  readonly groups: Pick<PodGroups, 'limit' | 'sweep'>
  /** All that have anything on this node, as they are allocated. */
  readonly pods: () => readonly Pod[]
  readonly allocatable: Usable
  readonly clock: Clock
  readonly log: Log
}

const UPKEEP_MS = 60_000
/** Pods that come together are counted together. */
const SETTLE_MS = 100

export class QosGroups {
  readonly #parts: QosGroupsParts
  #settling: Promise<void> | null = null
  #isSynced = false

  constructor(parts: QosGroupsParts) {
    this.#parts = parts
  }

  /** Before the first pod: whoever makes a pod's group makes those above it. */
  async start(): Promise<void> {
    const { groups, allocatable } = this.#parts
    try {
      await groups.limit('Guaranteed', {
        cpuRequestMillis: allocatable.cpu,
        memoryLimitBytes: allocatable.memory,
      })
      await groups.limit('BestEffort', { cpuRequestMillis: 0 })
    } catch (error) {
      this.#parts.log.warn('the control groups of all pods could not be limited', { error })
    }
    await this.#update()
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#isSynced = true
    while (!signal.aborted) {
      await this.#update()
      await sleep(this.#parts.clock, UPKEEP_MS, signal).catch(() => {})
    }
  }

  /** A pod came, went or was resized. */
  changed(): void {
    this.#settling ??= sleep(this.#parts.clock, SETTLE_MS).then(async () => {
      this.#settling = null
      await this.#update()
    })
  }

  async #update(): Promise<void> {
    const { groups, pods, log } = this.#parts
    await groups
      .limit('Burstable', burstableLimits(pods()))
      .catch(error => log.warn('the control group of burstable pods could not be limited', { error }))
    // Before all pods are known, any of them might be one that is.
    if (!this.#isSynced) return
    await groups
      .sweep(new Set(pods().map(pod => identityOf(pod).uid)))
      .catch(error => log.debug('control groups of ended pods could not be taken away', { error }))
  }
}

/** Pure. */
export function burstableLimits(pods: readonly Pod[]): PodResources {
  const asked = pods.map(pod => {
    const cpu =
      pod.spec && qosClassOf(pod) === 'Burstable' ? podTotal(pod.spec, 'requests').get('cpu') : undefined
    return cpu === undefined ? 0 : milliValue(cpu)
  })
  return { cpuRequestMillis: asked.reduce((sum, millis) => sum + millis, 0) }
}
