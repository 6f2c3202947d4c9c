/**
 * Hashes that grow with uploads: on a thread of their own where there is one, else on the one that asks. Bytes are
 * given away and not copied, so they have to be written before.
 */
import { createHash } from 'node:crypto'
import type { MessagePort, Transferable } from 'node:worker_threads'
import type { DigestAlgorithm } from './names.ts'

export type ToHashes =
  | { readonly type: 'begin'; readonly id: number; readonly algorithm: DigestAlgorithm }
  | { readonly type: 'update'; readonly id: number; readonly chunks: readonly Uint8Array[] }
  | { readonly type: 'end'; readonly id: number }
  | { readonly type: 'drop'; readonly id: number }

export type FromHashes =
  | { readonly type: 'hashed'; readonly id: number; readonly bytes: number }
  | { readonly type: 'digest'; readonly id: number; readonly hex: string }

export interface RunningHash {
  /** Takes the bytes away: nobody else may use them afterwards. Resolves once more may come. */
  update(chunks: readonly Uint8Array[]): Promise<void>
  /** In hex; null when it is not known after all. */
  digest(): Promise<string | null>
  /** Nobody will ask. */
  drop(): void
}

export type BeginHash = (algorithm: DigestAlgorithm) => RunningHash

export const localHash: BeginHash = algorithm => {
  const hash = createHash(algorithm)
  return {
    async update(chunks) {
      for (const chunk of chunks) hash.update(chunk)
    },
    digest: async () => hash.digest('hex'),
    drop() {},
  }
}

/** Bytes that wait for the thread, of one upload. */
const WAITING_BYTES_MAX = 4 * 1024 * 1024

/** Without the thread, or once it is gone, hashes are the asker's own work. */
export function hashesBy(port: MessagePort | null): BeginHash {
  if (port === null) return localHash
  const thread = new HashThread(port)
  return algorithm => (thread.isOpen ? thread.begin(algorithm) : localHash(algorithm))
}

class HashThread {
  readonly #port: MessagePort
  readonly #hashes = new Map<number, ThreadHash>()
  #ids = 0
  isOpen = true

  constructor(port: MessagePort) {
    this.#port = port
    port.on('message', (message: FromHashes) => this.#hashes.get(message.id)?.take(message))
    // It ends with the registry's thread, and does not keep it.
    port.unref()
    port.on('close', () => {
      this.isOpen = false
      for (const hash of this.#hashes.values()) hash.lose()
      this.#hashes.clear()
    })
  }

  begin(algorithm: DigestAlgorithm): RunningHash {
    const id = ++this.#ids
    const post = (message: ToHashes, given: readonly Transferable[] = []) => {
      if (message.type === 'drop') this.#hashes.delete(id)
      this.#port.postMessage(message, [...given])
    }
    const hash = new ThreadHash(id, post, () => this.#hashes.delete(id))
    this.#hashes.set(id, hash)
    post({ type: 'begin', id, algorithm })
    return hash
  }
}

class ThreadHash implements RunningHash {
  readonly #id: number
  readonly #post: (message: ToHashes, given?: readonly Transferable[]) => void
  readonly #forget: () => void
  readonly #ended = Promise.withResolvers<string | null>()
  #waitingBytes = 0
  #room: PromiseWithResolvers<void> | null = null
  #isLost = false

  constructor(
    id: number,
    post: (message: ToHashes, given?: readonly Transferable[]) => void,
    forget: () => void,
  ) {
    this.#id = id
    this.#post = post
    this.#forget = forget
  }

  async update(chunks: readonly Uint8Array[]): Promise<void> {
    if (this.#isLost) return
    const given = chunks.map(giveable)
    this.#waitingBytes += given.reduce((sum, { length }) => sum + length, 0)
    const buffers = given.map(({ buffer }) => buffer as ArrayBuffer)
    try {
      this.#post({ type: 'update', id: this.#id, chunks: given }, buffers)
    } catch {
      // What cannot be given away is read from the file in the end.
      this.drop()
      return this.lose()
    }
    if (this.#waitingBytes < WAITING_BYTES_MAX) return
    this.#room ??= Promise.withResolvers<void>()
    await this.#room.promise
  }

  digest(): Promise<string | null> {
    if (!this.#isLost) this.#post({ type: 'end', id: this.#id })
    return this.#ended.promise
  }

  drop(): void {
    if (!this.#isLost) this.#post({ type: 'drop', id: this.#id })
  }

  take(message: FromHashes): void {
    if (message.type === 'digest') {
      this.#forget()
      this.#ended.resolve(message.hex || null)
      return
    }
    this.#waitingBytes -= message.bytes
    if (this.#waitingBytes < WAITING_BYTES_MAX) this.#makeRoom()
  }

  /** The thread is gone, and with it what it knew. */
  lose(): void {
    this.#isLost = true
    this.#ended.resolve(null)
    this.#makeRoom()
  }

  #makeRoom(): void {
    this.#room?.resolve()
    this.#room = null
  }
}

/** Memory that something else may lie in, too, cannot be given away. */
function giveable(chunk: Uint8Array): Uint8Array {
  const isWhole = chunk.byteOffset === 0 && chunk.byteLength === chunk.buffer.byteLength
  return isWhole ? chunk : new Uint8Array(chunk)
}
