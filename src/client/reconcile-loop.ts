/** Workers that take keys from a queue and reconcile them: success forgets, failure comes back later. */
import type { Clock } from '../base/clock.ts'
import { Mk8sError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { WorkQueue } from '../base/work-queue.ts'
import { isConflict, isNamespaceTerminating, isNotFound } from './status-errors.ts'

/** Nothing: done until the next event. A number: look again after so many milliseconds. */
export type ReconcileResult = number | undefined

export interface ReconcileLoopParts {
  readonly clock: Clock
  readonly log: Log
  /** How many keys are worked on at the same time. */
  readonly workers?: number
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<ReconcileResult>
}

const DEFAULT_WORKERS = 4
/** A key that waits for a later time is looked at once in between; timers cannot wait for a month. */
const AGAIN_MS_MAX = 24 * 3_600_000
/** From so many failures in a row on, a failure is a warning. */
const QUIET_FAILURES = 3

export class ReconcileLoop {
  readonly #parts: ReconcileLoopParts
  readonly #queue: WorkQueue
  readonly #aborter = new AbortController()
  #workers: Promise<void>[] = []

  constructor(parts: ReconcileLoopParts) {
    this.#parts = parts
    this.#queue = new WorkQueue({ clock: parts.clock })
  }

  add(key: string): void {
    this.#queue.add(key)
  }

  addAfter(key: string, delayMs: number): void {
    this.#queue.addAfter(key, delayMs)
  }

  start(): void {
    const count = this.#parts.workers ?? DEFAULT_WORKERS
    this.#workers = Array.from({ length: count }, () => this.#work())
  }

  /** Resolves when the last worker has finished its key. */
  async stop(): Promise<void> {
    this.#aborter.abort()
    this.#queue.shutDown()
    await Promise.all(this.#workers)
  }

  async #work(): Promise<void> {
    for (let key = await this.#queue.take(); key !== null; key = await this.#queue.take()) {
      await this.#process(key)
      this.#queue.done(key)
    }
  }

  async #process(key: string): Promise<void> {
    try {
      const againMs = await this.#parts.reconcile(key, this.#aborter.signal)
      this.#queue.forget(key)
      if (againMs !== undefined) this.#queue.addAfter(key, Math.min(againMs, AGAIN_MS_MAX))
    } catch (error) {
      if (this.#aborter.signal.aborted) return
      this.#queue.addRateLimited(key)
      this.#report(key, error)
    }
  }

  #report(key: string, error: unknown): void {
    const { log } = this.#parts
    const isRoutine = isConflict(error) || isNotFound(error) || isNamespaceTerminating(error)
    const isFenced = error instanceof Mk8sError && error.code === 'store/fenced'
    const failures = this.#queue.failures(key)
    if (isRoutine || isFenced || failures < QUIET_FAILURES) {
      log.debug('Reconciling failed and is tried again', { key, failures, error })
    } else {
      log.warn('Reconciling keeps failing', { key, failures, error })
    }
  }
}
