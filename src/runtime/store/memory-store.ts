/** The engine without disk or threads: the same state machine and watch hub, for tests and tools. */
import type { Clock } from '../../base/clock.ts'
import { Mk8sError } from '../../base/errors.ts'
import { type Log, silentLog } from '../../base/log.ts'
import { LocalStore } from './local-store.ts'
import type { Command, CommandResult } from './mvcc/command.ts'
import type { Store, TransactionOptions } from './store.ts'

export interface MemoryStoreParts {
  readonly clock: Clock
  readonly log?: Log
}

export interface MemoryStore extends Store {
  /** As after a change of leader: writes of earlier terms are refused from now on. Returns the term. */
  nextTerm(): number
  close(): Promise<void>
}

export function createMemoryStore(parts: MemoryStoreParts): MemoryStore {
  return new MemoryEngine(parts)
}

class MemoryEngine extends LocalStore implements MemoryStore {
  #closed = false
  #term = 1

  constructor(parts: MemoryStoreParts) {
    super({ clock: parts.clock, log: parts.log ?? silentLog })
    this.becomeLeadership({ leader: true, term: this.#term })
  }

  nextTerm(): number {
    this.#term++
    this.becomeLeadership({ leader: true, term: this.#term })
    return this.#term
  }

  async barrier(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    if (this.#closed) throw closedError()
  }

  protected async propose(command: Command, options: TransactionOptions): Promise<CommandResult> {
    options.signal?.throwIfAborted()
    if (this.#closed) throw closedError()
    if (options.term !== undefined && options.term !== this.#term) {
      throw new Mk8sError('store/fenced', `term ${options.term} is over`, {
        why: `the term is ${this.#term}`,
      })
    }
    return this.applyCommand({ index: this.state.applied + 1, proposer: 0, request: 0, command }).result
  }

  async close(): Promise<void> {
    this.#closed = true
    this.closeLocal(closedError())
  }
}

function closedError(): Mk8sError {
  return new Mk8sError('store/no-leader', 'the store is closed')
}
