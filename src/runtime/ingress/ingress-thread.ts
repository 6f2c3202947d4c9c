/** Keeps the routing's thread running, from the main thread: starts it again when it fails, and tells it of changes. */
import type { Worker } from 'node:worker_threads'
import { type BackoffConfig, backoffMs } from '../../base/backoff.ts'
import { type Clock, endsWithin, type Timer } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import { startWorker } from '../../host/worker.ts'
import type { Change, FromIngress, ToIngress } from './messages.ts'
import type { Certificate, IngressSettings } from './world.ts'

export interface IngressThreadParts {
  readonly settings: IngressSettings
  readonly address: string
  readonly own: Certificate
  /** Everything that there is, for a thread that begins. */
  readonly world: () => readonly Change[]
  readonly clock: Clock
  readonly log: Log
}

export type NamedCertificates = readonly (readonly [name: string, certificate: Certificate])[]

const RESTART: BackoffConfig = { baseMs: 200, maxMs: 30_000 }
/** Longer than what is under way is waited for. */
const CLOSE_MS_MAX = 12_000
const GATHER_MS = 10
const LIMITS = { maxOldGenerationSizeMb: 512, maxYoungGenerationSizeMb: 32, stackSizeMb: 2 }

export class IngressThread {
  readonly #parts: IngressThreadParts
  #certificates: NamedCertificates = []
  #changes: Change[] = []
  #worker: Worker | null = null
  #timer: Timer | null = null
  #gathering: Timer | null = null
  #failures = 0
  #isStopped = false
  #problem = 'it is starting'
  #closedPorts = ''

  constructor(parts: IngressThreadParts) {
    this.#parts = parts
    this.#start()
  }

  /** Empty while all is well. */
  get problem(): string {
    return this.#problem
  }

  /** Ports of Gateways that cannot be opened here, as `parseClosedPorts` reads them. */
  get closedPorts(): string {
    return this.#closedPorts
  }

  change(change: Change): void {
    this.#changes.push(change)
    this.#gathering ??= this.#parts.clock.after(GATHER_MS, () => {
      this.#gathering = null
      const changes = this.#changes
      this.#changes = []
      this.#post({ type: 'change', changes })
    })
  }

  certify(certificates: NamedCertificates): void {
    this.#certificates = certificates
    this.#post({ type: 'certificates', certificates })
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#timer?.cancel()
    this.#gathering?.cancel()
    const worker = this.#worker
    if (worker === null) return
    this.#worker = null
    const exited = new Promise<void>(resolve => worker.once('exit', () => resolve()))
    worker.postMessage({ type: 'close' } satisfies ToIngress)
    if (!(await endsWithin(this.#parts.clock, CLOSE_MS_MAX, exited))) await worker.terminate()
  }

  #start(): void {
    const { settings, address, own } = this.#parts
    const worker = startWorker('ingress', { resourceLimits: LIMITS })
    this.#worker = worker
    this.#closedPorts = ''
    worker.unref()
    worker.on('message', (message: FromIngress) => this.#take(message))
    worker.on('error', error => this.#parts.log.error("the routing's thread failed", { error }))
    worker.on('exit', () => this.#ended(worker))
    const [changes, certificates] = [this.#parts.world(), this.#certificates]
    this.#post({ type: 'open', settings, address, own, changes, certificates })
  }

  #ended(worker: Worker): void {
    if (this.#worker !== worker || this.#isStopped) return
    this.#worker = null
    this.#failures++
    this.#problem = 'its thread ended and is started again'
    this.#timer = this.#parts.clock.after(backoffMs(RESTART, this.#failures), () => this.#start())
  }

  #take(message: FromIngress): void {
    switch (message.type) {
      case 'listening':
        this.#problem = ''
        return
      case 'problem':
        this.#problem = message.text
        this.#parts.log.warn('the routing has a problem', { problem: message.text })
        return
      case 'closed-ports':
        this.#closedPorts = message.text
        if (message.text !== '') this.#parts.log.warn('a Gateway cannot be served', { problem: message.text })
        return
      case 'log':
        return void this.#parts.log[message.level](message.message, message.fields)
      case 'closed':
    }
  }

  #post(message: ToIngress): void {
    this.#worker?.postMessage(message)
  }
}
