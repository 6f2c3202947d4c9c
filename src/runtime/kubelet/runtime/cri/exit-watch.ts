/**
 * Learns when containers end: from containerd's own events, else from CRI's, and behind both from looking at the
 * list now and then, for what was missed. It says "look at this one"; the caller asks the runtime how it is.
 */
import { type BackoffConfig, backoffMs } from '../../../../base/backoff.ts'
import { type Clock, sleep } from '../../../../base/clock.ts'
import type { Log } from '../../../../base/log.ts'
import { hasRpcCode, type RpcChannel } from './rpc.ts'

export interface ExitWatchParts {
  readonly channel: RpcChannel
  /** The runtime also speaks containerd's own API. */
  readonly isContainerd: boolean
  /** A container or a sandbox has ended, or may have. */
  readonly onMaybeEnded: (id: string) => void
  /** Everything is to be looked at. */
  readonly relist: () => Promise<void>
  readonly clock: Clock
  readonly log: Log
}

/** The namespace in which containerd keeps what CRI makes. */
export const CONTAINERD_NAMESPACE = 'k8s.io'

const TOPICS = ['/tasks/exit', '/tasks/oom']
const RELIST_MS = { withEvents: 10_000, without: 1_000 }
const RETRY: BackoffConfig = { baseMs: 100, maxMs: 5_000 }

interface Envelope {
  readonly event: { readonly value: { readonly containerId: string; readonly id: string } | null } | null
}

interface CriEvent {
  readonly containerId: string
  readonly containerEventType: string
}

export class ExitWatch {
  readonly #parts: ExitWatchParts
  readonly #aborter = new AbortController()
  #relistMs = RELIST_MS.withEvents

  constructor(parts: ExitWatchParts) {
    this.#parts = parts
  }

  start(): void {
    void this.#follow()
    void this.#relist()
  }

  stop(): void {
    this.#aborter.abort()
  }

  async #follow(): Promise<void> {
    const { log, clock } = this.#parts
    const { signal } = this.#aborter
    for (let failures = 0; !signal.aborted; ) {
      const begunMs = clock.monotonic()
      try {
        await this.#subscribe(signal)
      } catch (error) {
        if (hasRpcCode(error, 'Unimplemented')) {
          this.#relistMs = RELIST_MS.without
          return log.info('the runtime has no events, so it is asked every second')
        }
        log.debug("the runtime's events broke off", { error })
      }
      failures = clock.monotonic() - begunMs > RETRY.maxMs ? 1 : failures + 1
      await sleep(clock, backoffMs(RETRY, failures), signal).catch(() => {})
      // What happened in between is found by looking.
      if (!signal.aborted) await this.#look()
    }
  }

  #subscribe(signal: AbortSignal): Promise<void> {
    const { channel, isContainerd, onMaybeEnded } = this.#parts
    if (!isContainerd) {
      const onEvent = ({ containerId, containerEventType }: CriEvent) => {
        if (containerEventType === 'CONTAINER_STOPPED_EVENT') onMaybeEnded(containerId)
      }
      return channel.stream<CriEvent>('runtime.v1.RuntimeService', 'GetContainerEvents', {}, onEvent, {
        signal,
      })
    }
    const filters = TOPICS.map(topic => `namespace==${CONTAINERD_NAMESPACE},topic==${topic}`)
    const onEvent = ({ event }: Envelope) => {
      const { containerId = '', id = '' } = event?.value ?? {}
      // Programs that were run in the container have an id of their own.
      if (id === '' || id === containerId) onMaybeEnded(containerId)
    }
    const metadata = { 'containerd-namespace': CONTAINERD_NAMESPACE }
    const service = 'containerd.services.events.v1.Events'
    return channel.stream<Envelope>(service, 'Subscribe', { filters }, onEvent, { signal, metadata })
  }

  async #relist(): Promise<void> {
    const { clock } = this.#parts
    const { signal } = this.#aborter
    while (!signal.aborted) {
      await sleep(clock, this.#relistMs, signal).catch(() => {})
      if (!signal.aborted) await this.#look()
    }
  }

  async #look(): Promise<void> {
    try {
      await this.#parts.relist()
    } catch (error) {
      this.#parts.log.debug('the runtime could not be listed', { error })
    }
  }
}
