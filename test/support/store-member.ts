/** The parent's end of a member of the datastore that runs in a process of its own (store-member-program.ts). */
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import type { RaftStore, StoreStatus } from '../../src/runtime/store/raft-store.ts'
import type { StoreEvent, WatchRequest } from '../../src/runtime/store/store.ts'
import type {
  Answer,
  FromMember,
  LoadOutcome,
  LoadRequest,
  OpenOptions,
  SaidError,
  StoreMethod,
  ToMember,
} from './store-member-protocol.ts'

const PROGRAM = join(import.meta.dirname, 'store-member-program.ts')
const LOG_LINES_MAX = 500

/** What a member said went wrong, with the code it has in the table of errors. */
export class MemberError extends Error {
  override readonly name = 'MemberError'
  readonly code: string
  readonly why: string
  readonly hint: string

  constructor({ code, message, why, hint }: SaidError) {
    super(`${code} ${message}${why === '' ? '' : `: ${why}`}`)
    this.code = code
    this.why = why
    this.hint = hint
  }
}

/** The process ended before it answered. */
export class MemberGone extends Error {
  override readonly name = 'MemberGone'
}

export interface MemberWatch {
  onEvents(events: readonly StoreEvent[], revision: number): void
  onClosed(error: Error): void
}

interface Pending {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: Error) => void
}

export class StoreMember {
  readonly id: number
  /** How a program is begun in the member's network: a prefix of the command, empty for this process' network. */
  readonly #prefix: readonly string[]
  readonly #pending = new Map<number, Pending>()
  readonly #watches = new Map<number, MemberWatch>()
  #options: OpenOptions
  #child: ChildProcess | null = null
  #calls = 0
  #exited: Promise<void> = Promise.resolve()
  #opening: PromiseWithResolvers<StoreStatus> | null = null
  #status: StoreStatus | null = null
  #fatal: MemberError | null = null
  #log: string[] = []

  constructor(options: OpenOptions, prefix: readonly string[] = []) {
    this.id = options.memberId
    this.#options = options
    this.#prefix = prefix
  }

  get options(): OpenOptions {
    return this.#options
  }

  /** The process is there; it may be stopped, or still opening. */
  get alive(): boolean {
    return this.#child !== null
  }

  get pid(): number | null {
    return this.#child?.pid ?? null
  }

  /** The store is open; the process may be stopped nevertheless. */
  get serving(): boolean {
    return this.#child !== null && this.#status !== null
  }

  /** As last told without being asked. */
  get lastStatus(): StoreStatus | null {
    return this.#status
  }

  /** Why this life's store ended by itself. */
  get fatal(): MemberError | null {
    return this.#fatal
  }

  /** Lines of all lives, the last ones. */
  get log(): readonly string[] {
    return this.#log
  }

  /** Resolves when the process is gone. */
  get exited(): Promise<void> {
    return this.#exited
  }

  /** Begins a life with the same options, or with these instead. Rejects with what the store says. */
  start(over: Partial<OpenOptions> = {}): Promise<StoreStatus> {
    if (this.#child !== null) throw new Error(`member ${this.id} runs already`)
    this.#options = { ...this.#options, ...over }
    this.#fatal = null
    this.#status = null
    const opening = Promise.withResolvers<StoreStatus>()
    this.#opening = opening
    const [program = '', ...args] = [...this.#prefix, process.execPath, PROGRAM]
    const child = spawn(program, args, {
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
      serialization: 'advanced',
    })
    this.#child = child
    child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#takeLog(text))
    child.on('message', message => this.#take(message as FromMember))
    this.#exited = new Promise(resolve =>
      child.once('exit', (code, signal) => {
        this.#ended(`member ${this.id} ended with ${signal ?? code}`)
        resolve()
      }),
    )
    this.#post({ type: 'open', options: this.#options })
    return opening.promise
  }

  /** Asks the store for something by its method's name. */
  call<M extends StoreMethod>(method: M, ...args: Parameters<RaftStore[M]>): Promise<Answer<M>> {
    return this.#ask(id => ({ type: 'call', id, method, args })) as Promise<Answer<M>>
  }

  /** Writers inside the member's own process. */
  load(load: LoadRequest): Promise<LoadOutcome> {
    return this.#ask(id => ({ type: 'load', id, load })) as Promise<LoadOutcome>
  }

  put(key: string, value: string | Buffer): Promise<Answer<'transact'>> {
    return this.call('transact', {
      compares: [],
      operations: [{ type: 'put', key, value: Buffer.from(value) }],
    })
  }

  /** Linearizable. */
  async read(key: string): Promise<string | null> {
    await this.call('barrier')
    return (await this.call('get', key))?.value.toString() ?? null
  }

  /** Returns how to end it. */
  watch(request: WatchRequest, listener: MemberWatch): () => void {
    const id = ++this.#calls
    this.#watches.set(id, listener)
    this.#post({ type: 'watch', id, request })
    return () => {
      if (this.#watches.delete(id)) this.#post({ type: 'unwatch', id })
    }
  }

  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL')
    await this.#exited
  }

  /** The main thread hangs for so long, and the others do not. */
  hangMainThread(milliseconds: number): void {
    this.#post({ type: 'spin', milliseconds })
  }

  /** The process stands still, and its sockets stay open. */
  freeze(): void {
    this.#child?.kill('SIGSTOP')
  }

  thaw(): void {
    this.#child?.kill('SIGCONT')
  }

  /** Ends the store in order, then the process. */
  async close(): Promise<void> {
    if (this.#child === null) return
    await this.call('close')
    this.#child?.disconnect()
    await this.#exited
  }

  #ask(message: (id: number) => ToMember): Promise<unknown> {
    if (this.#child === null) return Promise.reject(new MemberGone(`member ${this.id} is not running`))
    const id = ++this.#calls
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject })
      this.#post(message(id))
    })
  }

  #post(message: ToMember): void {
    // A process that has just ended does not read any more; its exit answers everything.
    if (this.#child?.connected) this.#child.send(message, () => {})
  }

  #take(message: FromMember): void {
    switch (message.type) {
      case 'opened':
        this.#status = message.status
        this.#opening?.resolve(message.status)
        return
      case 'open-failed':
        this.#opening?.reject(new MemberError(message.error))
        this.#child?.kill('SIGKILL')
        return
      case 'fatal':
        this.#fatal = new MemberError(message.error)
        return
      case 'status':
        this.#status = message.status
        return
      case 'answer':
        this.#pending.get(message.id)?.resolve(message.result)
        this.#pending.delete(message.id)
        return
      case 'error':
        this.#pending.get(message.id)?.reject(new MemberError(message.error))
        this.#pending.delete(message.id)
        return
      case 'events':
        this.#watches.get(message.id)?.onEvents(message.events, message.revision)
        return
      case 'watch-closed':
        this.#watches.get(message.id)?.onClosed(new MemberError(message.error))
        this.#watches.delete(message.id)
    }
  }

  #ended(how: string): void {
    this.#child = null
    this.#opening?.reject(this.#fatal ?? new MemberGone(how))
    for (const { reject } of this.#pending.values()) reject(new MemberGone(how))
    for (const { onClosed } of this.#watches.values()) onClosed(new MemberGone(how))
    this.#pending.clear()
    this.#watches.clear()
  }

  #takeLog(text: string): void {
    const lines = text.split('\n').filter(line => line !== '')
    this.#log = [...this.#log, ...lines].slice(-LOG_LINES_MAX)
  }
}
