/** The raft thread and the store thread as the main thread sees them: started, spoken to, and watched. */
import { MessageChannel, type Worker } from 'node:worker_threads'
import type { Log } from '../../base/log.ts'
import { startWorker } from '../../host/worker.ts'
import { errorOf } from './thread-failure.ts'
import type { FromRaft, FromStore, ToRaft, ToStore } from './thread-messages.ts'

/**
 * Caps, not reservations; a small young generation keeps the threads small. That of the raft thread grows under load
 * only: with a smaller one, entries that are kept for followers outlive it, and all of its memory is searched often.
 */
const RAFT_LIMITS = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 16, stackSizeMb: 1 }
const STORE_LIMITS = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 4, stackSizeMb: 1 }

export interface StoreThreadsParts {
  readonly log: Log
  readonly onRaft: (message: FromRaft) => void
  readonly onStore: (message: FromStore) => void
  /** A thread said that it failed, or died. Called once. */
  readonly onFailed: (error: Error) => void
}

export class StoreThreads {
  readonly #parts: StoreThreadsParts
  readonly #raft: Worker
  readonly #store: Worker
  /** Between the two, for snapshots: a busy main thread must not delay them. */
  readonly #snapshots = new MessageChannel()
  #ending = false

  constructor(parts: StoreThreadsParts) {
    this.#parts = parts
    this.#raft = startWorker('raft', { resourceLimits: RAFT_LIMITS })
    this.#store = startWorker('store', { resourceLimits: STORE_LIMITS })
    this.#listen(this.#raft, 'raft', message => this.#parts.onRaft(message as FromRaft))
    this.#listen(this.#store, 'store', message => this.#parts.onStore(message as FromStore))
  }

  openStore(message: Omit<Extract<ToStore, { type: 'open' }>, 'snapshots'>): void {
    const { port1: snapshots } = this.#snapshots
    this.#store.postMessage({ ...message, snapshots }, [snapshots])
  }

  openRaft(message: Omit<Extract<ToRaft, { type: 'open' }>, 'snapshots'>): void {
    const { port2: snapshots } = this.#snapshots
    this.#raft.postMessage({ ...message, snapshots }, [snapshots])
  }

  toRaft(message: ToRaft, transfer: ArrayBuffer[] = []): void {
    this.#raft.postMessage(message, transfer)
  }

  toStore(message: ToStore, transfer: ArrayBuffer[] = []): void {
    this.#store.postMessage(message, transfer)
  }

  /** Asks both to close and waits for it, the database first: the log must outlive it. */
  async close(): Promise<void> {
    this.#ending = true
    const closed = (worker: Worker) => new Promise<void>(resolve => worker.once('exit', () => resolve()))
    for (const [worker, post] of [
      [this.#store, () => this.toStore({ type: 'close' })],
      [this.#raft, () => this.toRaft({ type: 'close' })],
    ] as const) {
      const done = closed(worker)
      post()
      await done
    }
  }

  async terminate(): Promise<void> {
    this.#ending = true
    await Promise.all([this.#raft.terminate(), this.#store.terminate()])
  }

  #listen(worker: Worker, name: string, onMessage: (message: unknown) => void): void {
    worker.on('message', (message: FromRaft | FromStore) => {
      if (message.type === 'log') this.#parts.log[message.level](message.message, message.fields)
      else if (message.type === 'failed') this.#fail(errorOf(message.failure))
      else onMessage(message)
    })
    worker.on('error', error => this.#fail(error instanceof Error ? error : new Error(String(error))))
    worker.on('exit', code => {
      // Failures are said before; a thread that just ends is a bug.
      if (!this.#ending) this.#fail(new Error(`the ${name} thread ended with code ${code}`))
    })
  }

  #fail(error: Error): void {
    if (this.#ending) {
      // What is in the log is safe there; waiting for a thread that cannot close would last for ever.
      this.#parts.log.error('a datastore thread failed while it was closing', { error })
      void this.terminate()
      return
    }
    this.#ending = true
    this.#parts.onFailed(error)
  }
}
