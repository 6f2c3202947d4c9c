/** Keeps the registry's thread running, from the main thread: starts it again when it fails, and speaks to it. */
import { MessageChannel, type Worker } from 'node:worker_threads'
import { type BackoffConfig, backoffMs } from '../../base/backoff.ts'
import { type Clock, endsWithin, type Timer } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import { startWorker } from '../../host/worker.ts'
import type { Review } from './access.ts'
import type { Collected } from './collector.ts'
import type { FromRegistry, RegistryConfig, RegistryState, ToRegistry } from './messages.ts'

export interface RegistryThreadParts {
  readonly config: RegistryConfig
  readonly review: Review
  /** It listens now, or does not any more. */
  readonly onChange: () => void
  readonly clock: Clock
  readonly log: Log
}

const RESTART: BackoffConfig = { baseMs: 200, maxMs: 30_000 }
const CLOSE_MS_MAX = 5_000
const LIMITS = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 16, stackSizeMb: 2 }

const HASHING_LIMITS = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 8, stackSizeMb: 2 }

/** The registry's thread and the one that hashes for it, which ends with it. */
export function startRegistryWorker(config: RegistryConfig): Worker {
  const worker = startWorker('registry', { resourceLimits: LIMITS })
  const hashing = startWorker('hash', { resourceLimits: HASHING_LIMITS })
  const { port1, port2 } = new MessageChannel()
  hashing.unref()
  hashing.on('error', () => {})
  hashing.postMessage({ port: port1 }, [port1])
  const opening: ToRegistry = { type: 'open', config, hashes: port2 }
  worker.postMessage(opening, [port2])
  worker.once('exit', () => void hashing.terminate())
  return worker
}

export class RegistryThread {
  readonly #parts: RegistryThreadParts
  readonly #collections = new Map<number, PromiseWithResolvers<Collected>>()
  #config: RegistryConfig
  #worker: Worker | null = null
  #timer: Timer | null = null
  #failures = 0
  #collectionsAsked = 0
  #isListening = false
  #isStopped = false
  #problem = 'it is starting'
  #state: RegistryState | null = null

  constructor(parts: RegistryThreadParts) {
    this.#parts = parts
    this.#config = parts.config
    this.#start()
  }

  get isListening(): boolean {
    return this.#isListening
  }

  /** Empty while all is well. */
  get problem(): string {
    const { usedBytes = 0, bytesMax = Number.MAX_SAFE_INTEGER } = this.#state ?? {}
    if (this.#problem !== '' || usedBytes < bytesMax) return this.#problem
    return `its volume is full: ${usedBytes} of ${bytesMax} bytes are used`
  }

  trust(trusted: readonly string[]): void {
    this.#config = { ...this.#config, trusted }
    this.#post({ type: 'trust', trusted })
  }

  collect(options: { readonly graceMs: number; readonly untagged: boolean }): Promise<Collected> {
    const id = ++this.#collectionsAsked
    const done = Promise.withResolvers<Collected>()
    if (!this.#isListening) done.reject(new Error(`the registry does not run: ${this.#problem}`))
    else {
      this.#collections.set(id, done)
      this.#post({ type: 'collect', id, ...options })
    }
    return done.promise
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#timer?.cancel()
    const worker = this.#worker
    if (worker === null) return
    this.#worker = null
    const exited = new Promise<void>(resolve => worker.once('exit', () => resolve()))
    worker.postMessage({ type: 'close' } satisfies ToRegistry)
    if (!(await endsWithin(this.#parts.clock, CLOSE_MS_MAX, exited))) await worker.terminate()
  }

  #start(): void {
    const worker = startRegistryWorker(this.#config)
    this.#worker = worker
    worker.unref()
    worker.on('message', (message: FromRegistry) => this.#take(message))
    worker.on('error', error => this.#parts.log.error("the registry's thread failed", { error }))
    worker.on('exit', () => this.#ended(worker))
  }

  /** What was acknowledged is on the disk, and uploads go on. */
  #ended(worker: Worker): void {
    if (this.#worker !== worker || this.#isStopped) return
    this.#worker = null
    this.#failures++
    this.#isListening = false
    this.#problem = 'its thread ended and is started again'
    for (const done of this.#collections.values()) done.reject(new Error(this.#problem))
    this.#collections.clear()
    this.#timer = this.#parts.clock.after(backoffMs(RESTART, this.#failures), () => this.#start())
    this.#parts.onChange()
  }

  #take(message: FromRegistry): void {
    switch (message.type) {
      case 'listening':
        this.#isListening = true
        this.#problem = ''
        this.#parts.onChange()
        return
      case 'problem':
        this.#problem = message.text
        this.#parts.log.warn('the registry has a problem', { problem: message.text })
        this.#parts.onChange()
        return
      case 'state':
        this.#state = message.state
        return
      case 'collected': {
        const done = this.#collections.get(message.id)
        this.#collections.delete(message.id)
        if (message.collected === null) done?.reject(new Error(message.problem))
        else done?.resolve(message.collected)
        return
      }
      case 'review':
        return void this.#review(message)
      case 'log':
        return void this.#parts.log[message.level](message.message, message.fields)
      case 'closed':
    }
  }

  async #review({ id, token, asked }: Extract<FromRegistry, { type: 'review' }>): Promise<void> {
    const verdict = await this.#parts.review(token, asked).catch(error => {
      this.#parts.log.warn('a token shown to the registry cannot be reviewed', { error })
      return false
    })
    this.#post({ type: 'reviewed', id, verdict })
  }

  #post(message: ToRegistry): void {
    this.#worker?.postMessage(message)
  }
}
