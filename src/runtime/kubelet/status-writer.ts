/** Writes a pod's status to the API: one write at a time, only the newest, again until it is there. */
import { type BackoffConfig, backoffMs } from '../../base/backoff.ts'
import { type Clock, sleep } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import { isConflict, isNotFound, type KubeClient } from '../../client/kube-client.ts'
import { PODS } from '../../client/resources.ts'
import type { PodStatus } from '../../kube/types.ts'
import { PASSING_CONDITIONS } from './render-pod-status.ts'

export interface StatusWriterParts {
  readonly client: KubeClient
  readonly clock: Clock
  readonly log: Log
  /** The pod whose status it is; null while the API has none, who is then told once it has. */
  readonly pod: () => { readonly namespace: string; readonly name: string; readonly uid: string } | null
}

const RETRY: BackoffConfig = { baseMs: 250, maxMs: 15_000 }

export class StatusWriter {
  readonly #parts: StatusWriterParts
  readonly #aborter = new AbortController()
  #next: PodStatus | null = null
  #writing: Promise<void> | null = null

  constructor(parts: StatusWriterParts) {
    this.#parts = parts
  }

  write(status: PodStatus): void {
    this.#next = status
    this.#writing ??= this.#drain()
  }

  /** Resolves when the newest status is written, or can never be. */
  async flush(): Promise<void> {
    await this.#writing
  }

  stop(): void {
    this.#aborter.abort()
  }

  async #drain(): Promise<void> {
    let failures = 0
    while (this.#next !== null && !this.#aborter.signal.aborted) {
      const status = this.#next
      this.#next = null
      try {
        await this.#patch(status)
        failures = 0
      } catch (error) {
        // The pod is gone, or another one has its name: nobody waits for this status.
        if (isNotFound(error) || isConflict(error)) break
        failures += 1
        this.#next ??= status
        this.#parts.log.debug('a pod status could not be written and is tried again', { error })
        await sleep(this.#parts.clock, backoffMs(RETRY, failures), this.#aborter.signal).catch(() => {})
      }
    }
    this.#writing = null
  }

  async #patch(status: PodStatus): Promise<void> {
    const { client, pod } = this.#parts
    const target = pod()
    if (target === null) return
    const { namespace, name, uid } = target
    const patch = { metadata: { uid }, status: renderStatusPatch(status) }
    await client.patch(PODS, { namespace, name, subresource: 'status', type: 'strategic', patch })
  }
}

/** A strategic merge keeps what a patch does not name, so what is gone is named as null. */
export function renderStatusPatch(status: PodStatus): object {
  const conditions = (status.conditions ?? []).map(condition => ({
    reason: null,
    message: null,
    ...condition,
  }))
  const passed = PASSING_CONDITIONS.filter(type => !conditions.some(each => each.type === type))
  const gone = passed.map(type => ({ type, $patch: 'delete' }))
  // Lists with merge keys would keep addresses of an earlier sandbox.
  const podIPs = status.podIPs ? [...status.podIPs, { $patch: 'replace' }] : null
  return { reason: null, message: null, podIP: null, ...status, podIPs, conditions: [...conditions, ...gone] }
}
