/**
 * Which pods may be on a node, found without parsing any: by every text that is called nodeName in their bytes, of
 * which a pod's own node is one. Followed from the first question on.
 */
import { type KeyValue, prefixEnd, type Store, type StoreEvent, type Watch } from '../../store/store.ts'

const FIELD = Buffer.from('"nodeName":"')
const QUOTE = 0x22

export class PodsByNode {
  readonly #store: Store
  readonly #prefix: string
  readonly #keys = new Map<string, Set<string>>()
  #watch: Watch | null = null

  /** `prefix`: that all pods' keys begin with. */
  constructor(store: Store, prefix: string) {
    this.#store = store
    this.#prefix = prefix
  }

  /** More than those that are on the node, never less. */
  candidates(node: string): KeyValue[] {
    if (this.#watch === null) this.#follow()
    const found: KeyValue[] = []
    for (const key of this.#keys.get(node) ?? []) {
      const kv = this.#store.get(key)
      if (kv !== null) found.push(kv)
    }
    return found
  }

  #follow(): void {
    const range = { start: this.#prefix, end: prefixEnd(this.#prefix) }
    const { entries, revision } = this.#store.range(range)
    this.#keys.clear()
    for (const kv of entries) this.#add(kv)
    this.#watch = this.#store.watch(
      { ...range, after: revision },
      {
        onEvents: events => {
          for (const event of events) this.#change(event)
        },
        onClosed: () => {
          this.#watch = null
        },
      },
    )
  }

  #change(event: StoreEvent): void {
    if (event.previous !== null) this.#remove(event.previous)
    if (event.type === 'put') this.#add(event.kv)
  }

  #add({ key, value }: KeyValue): void {
    for (const node of nodesIn(value)) {
      const keys = this.#keys.get(node)
      if (keys === undefined) this.#keys.set(node, new Set([key]))
      else keys.add(key)
    }
  }

  #remove({ key, value }: KeyValue): void {
    for (const node of nodesIn(value)) {
      const keys = this.#keys.get(node)
      keys?.delete(key)
      if (keys?.size === 0) this.#keys.delete(node)
    }
  }
}

function* nodesIn(value: Buffer): Generator<string> {
  for (let at = value.indexOf(FIELD); at >= 0; at = value.indexOf(FIELD, at)) {
    const start = at + FIELD.length
    at = value.indexOf(QUOTE, start)
    if (at < 0) return
    yield value.toString('utf8', start, at)
  }
}
