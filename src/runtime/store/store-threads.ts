/** The raft thread and the store thread as the main thread sees them: started, spoken to, and watched. */
import { MessageChannel, type Worker } from 'node:worker_threads'
import { type Clock, endsWithin } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import { collectYoungAlone } from '../../host/process-memory.ts'
import { startWorker } from '../../host/worker.ts'
import { errorOf } from './thread-failure.ts'
import type { FromRaft, FromStore, ToRaft, ToStore } from './thread-messages.ts'

/**
 * Caps, not reservations; a small young generation keeps the threads small. That of the raft thread grows under load
 * only: with a smaller one, entries that are kept for followers outlive it, and all of its memory is searched often.
 */
const RAFT_LIMITS = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 16, stackSizeMb: 1 }
const STORE_LIMITS = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 8, stackSizeMb: 1 }

/** How long a thread may take to close: the store thread may have a checkpoint or a snapshot under way. */
const THREAD_CLOSE_MS_MAX = 15_000
/** A thread that waits for a disk that hangs cannot even be terminated. */
const THREAD_TERMINATE_MS_MAX = 5_000

interface Thread {
  readonly name: 'raft' | 'store'
  readonly worker: Worker
  readonly exited: Promise<void>
}

export interface StoreThreadsParts {
  readonly clock: Clock
  readonly log: Log
  readonly onRaft: (message: FromRaft) => void
  readonly onStore: (message: FromStore) => void
  /** A thread said that it failed, or died. Called once. */
  readonly onFailed: (error: Error) => void
}

export class StoreThreads {
  readonly #parts: StoreThreadsParts
  readonly #raft: Thread
  readonly #store: Thread
  /** Between the two, for snapshots: a busy main thread must not delay them. */
  readonly #snapshots = new MessageChannel()
  #ending = false

  constructor(parts: StoreThreadsParts) {
    this.#parts = parts
    collectYoungAlone()
    this.#raft = startThread('raft', RAFT_LIMITS)
    this.#store = startThread('store', STORE_LIMITS)
    this.#listen(this.#raft, message => this.#parts.onRaft(message as FromRaft))
    this.#listen(this.#store, message => this.#parts.onStore(message as FromStore))
  }

  openStore(message: Omit<Extract<ToStore, { type: 'open' }>, 'snapshots'>): void {
    const { port1: snapshots } = this.#snapshots
    this.#store.worker.postMessage({ ...message, snapshots }, [snapshots])
  }

  openRaft(message: Omit<Extract<ToRaft, { type: 'open' }>, 'snapshots'>): void {
    const { port2: snapshots } = this.#snapshots
    this.#raft.worker.postMessage({ ...message, snapshots }, [snapshots])
  }

  toRaft(message: ToRaft, transfer: ArrayBuffer[] = []): void {
    this.#raft.worker.postMessage(message, transfer)
  }

  toStore(message: ToStore, transfer: ArrayBuffer[] = []): void {
    this.#store.worker.postMessage(message, transfer)
  }

  /**
   * Asks both to close and waits for it, the database first: the log must outlive it. False when a thread could not
   * even be terminated, because the disk hangs: it may still write.
   */
  async close(): Promise<boolean> {
    this.#ending = true
    this.toStore({ type: 'close' })
    const storeEnded = await this.#ends(this.#store)
    this.toRaft({ type: 'close' })
    return (await this.#ends(this.#raft)) && storeEnded
  }

  /** What is in the log is safe there: a thread that does not close in time is ended. */
  async #ends({ name, worker, exited }: Thread): Promise<boolean> {
    const { clock, log } = this.#parts
    if (await endsWithin(clock, THREAD_CLOSE_MS_MAX, exited)) return true
    log.error('a datastore thread does not close, it is ended', { thread: name })
    void worker.terminate()
    return await endsWithin(clock, THREAD_TERMINATE_MS_MAX, exited)
  }

  async terminate(): Promise<void> {
    this.#ending = true
    await Promise.all([this.#raft.worker.terminate(), this.#store.worker.terminate()])
  }

  #listen({ worker, name }: Thread, onMessage: (message: unknown) => void): void {
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

function startThread(name: Thread['name'], resourceLimits: typeof RAFT_LIMITS): Thread {
  const worker = startWorker(name, { resourceLimits })
  // From the beginning, because a thread that has failed may be gone before anybody waits for it.
  const exited = new Promise<void>(resolve => worker.once('exit', () => resolve()))
  return { name, worker, exited }
}
