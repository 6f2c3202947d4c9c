/** What the main thread asks the store thread for beside writing, and who waits for the answers. */
import type { StoreCheck } from './raft-store.ts'
import type { FromStore, ToStore } from './thread-messages.ts'

type Sizes = { readonly before: number; readonly after: number }

export class DatabaseRequests {
  readonly #post: (message: ToStore) => void
  readonly #checks: PromiseWithResolvers<StoreCheck>[] = []
  readonly #defragmented: PromiseWithResolvers<Sizes>[] = []

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

  take(message: FromStore): void {
    if (message.type === 'checked') this.#checks.shift()?.resolve(message)
    else if (message.type === 'defragmented') this.#defragmented.shift()?.resolve(message)
  }

  end(error: Error): void {
    for (const { reject } of [...this.#checks.splice(0), ...this.#defragmented.splice(0)]) reject(error)
  }
}
