/** What the main thread asks the store thread for beside writing, and who waits for the answers. */
import type { StoreCheck } from './raft-store.ts'
import type { BackupCopy } from './sqlite/backup-copy.ts'
import { errorOf } from './thread-failure.ts'
import type { FromStore, ToStore } from './thread-messages.ts'

type Sizes = { readonly before: number; readonly after: number }

export class DatabaseRequests {
  readonly #post: (message: ToStore) => void
  readonly #checks: PromiseWithResolvers<StoreCheck>[] = []
  readonly #defragmented: PromiseWithResolvers<Sizes>[] = []
  readonly #copies = new Map<string, PromiseWithResolvers<BackupCopy>>()

  constructor(post: (message: ToStore) => void) {
    this.#post = post
  }

  check(logDirectory: string): Promise<StoreCheck> {
    this.#post({ type: 'check', logDirectory })
    const waiting = Promise.withResolvers<StoreCheck>()
    this.#checks.push(waiting)
    return waiting.promise
  }

  defragment(): Promise<Sizes> {
    this.#post({ type: 'defragment' })
    const waiting = Promise.withResolvers<Sizes>()
    this.#defragmented.push(waiting)
    return waiting.promise
  }

  /** Of everything that was handed over to be written so far, at least. */
  copy(path: string): Promise<BackupCopy> {
    this.#post({ type: 'copy', path })
    const waiting = Promise.withResolvers<BackupCopy>()
    this.#copies.set(path, waiting)
    return waiting.promise
  }

  take(message: FromStore): void {
    if (message.type === 'checked') this.#checks.shift()?.resolve(message)
    else if (message.type === 'defragmented') this.#defragmented.shift()?.resolve(message)
    else if (message.type === 'copied') this.#takeCopy(message.copy.path)?.resolve(message.copy)
    else if (message.type === 'copy-failed') this.#takeCopy(message.path)?.reject(errorOf(message.failure))
  }

  end(error: Error): void {
    const waiting = [...this.#checks.splice(0), ...this.#defragmented.splice(0), ...this.#copies.values()]
    this.#copies.clear()
    for (const { reject } of waiting) reject(error)
  }

  #takeCopy(path: string): PromiseWithResolvers<BackupCopy> | undefined {
    const waiting = this.#copies.get(path)
    this.#copies.delete(path)
    return waiting
  }
}
