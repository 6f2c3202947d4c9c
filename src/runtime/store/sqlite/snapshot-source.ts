/**
 * Snapshots for members that lag: copies of the database, read piece by piece. A copy is shared by all who ask
 * within a while, and gone when nobody has read from it for some time; its file has no name, so that nothing is
 * left behind by a crash.
 */
import { closeSync, fstatSync, openSync, readSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Clock, sleep } from '../../../base/clock.ts'
import { messageOf } from '../../../base/errors.ts'
import type { Log } from '../../../base/log.ts'
import type { Random } from '../../../base/random.ts'
import type { SnapshotPiece } from '../thread-messages.ts'
import { copyDatabase } from './snapshot-file.ts'

const PIECE_BYTES = 1024 * 1024
/** Within this, a second member gets the same copy. */
const SHARED_MS = 5_000
const IDLE_MS = 60_000
/** The one that was not read from longest goes for another; whoever still needed it begins anew. */
const COPIES_MAX = 2
/** How long the main thread may take to hand over what it has applied. */
const PERSIST_TIMEOUT_MS = 5_000
export const COPY_NAME = 'snapshot.sqlite'

export interface SnapshotSourceParts {
  readonly directory: string
  readonly databasePath: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** The last entry that the database holds. */
  readonly applied: () => number
  /** Asks that everything applied is written, up to this index at least; `persisted` is called then. */
  readonly persist: (index: number) => void
}

interface Copy {
  readonly id: number
  readonly index: number
  readonly file: number
  readonly size: number
  readonly madeAt: number
  usedAt: number
}

export class SnapshotSource {
  readonly #parts: SnapshotSourceParts
  readonly #copies = new Map<number, Copy>()
  #making: Promise<Copy | null> | null = null
  #onPersisted: () => void = () => {}

  constructor(parts: SnapshotSourceParts) {
    this.#parts = parts
    this.#remove()
  }

  /** A piece of that snapshot; when it is gone, the first piece of another that reaches to `index` at least. */
  async read(id: number, offset: number, index: number): Promise<SnapshotPiece | null> {
    const known = this.#copies.get(id)
    if (known !== undefined) return this.#piece(known, offset)
    const copy = await this.#copyFor(index)
    return copy && this.#piece(copy, 0)
  }

  persisted(): void {
    this.#onPersisted()
  }

  close(): void {
    for (const copy of this.#copies.values()) this.#drop(copy)
  }

  async #copyFor(index: number): Promise<Copy | null> {
    const now = this.#parts.clock.monotonic()
    for (const copy of this.#copies.values()) {
      if (copy.index >= index && now - copy.madeAt < SHARED_MS) return copy
    }
    this.#making ??= this.#make(index).finally(() => {
      this.#making = null
    })
    const made = await this.#making
    return made !== null && made.index >= index ? made : null
  }

  /** Null when there is none to be had; whoever needs it asks again. */
  async #make(atLeast: number): Promise<Copy | null> {
    const { directory, databasePath, clock, random, log, applied } = this.#parts
    await this.#persistAll(atLeast)
    if (applied() < atLeast) return null
    const path = join(directory, COPY_NAME)
    const [oldest] = [...this.#copies.values()].sort((a, b) => a.usedAt - b.usedAt)
    if (oldest !== undefined && this.#copies.size >= COPIES_MAX) this.#drop(oldest)
    try {
      const index = await copyDatabase(databasePath, path)
      const file = openSync(path, 'r')
      const id = Buffer.from(random.bytes(6)).readUIntLE(0, 6) || 1
      const now = clock.monotonic()
      const copy: Copy = { id, index, file, size: fstatSync(file).size, madeAt: now, usedAt: now }
      this.#copies.set(id, copy)
      this.#dropLater()
      log.info('made a snapshot for a member that lags', { index, bytes: copy.size })
      return copy
    } catch (error) {
      log.warn('could not make a snapshot for a member that lags', { why: messageOf(error) })
      return null
    } finally {
      this.#remove()
    }
  }

  #remove(): void {
    const path = join(this.#parts.directory, COPY_NAME)
    for (const end of ['', '-wal', '-shm', '-journal']) rmSync(`${path}${end}`, { force: true })
  }

  /** The database lags behind what was applied, and the log may not reach back so far any more. */
  async #persistAll(index: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#onPersisted = resolve
    this.#parts.persist(index)
    await Promise.race([promise, sleep(this.#parts.clock, PERSIST_TIMEOUT_MS)])
  }

  #piece(copy: Copy, offset: number): SnapshotPiece {
    copy.usedAt = this.#parts.clock.monotonic()
    const data = new Uint8Array(Math.max(0, Math.min(PIECE_BYTES, copy.size - offset)))
    const length = readSync(copy.file, data, 0, data.length, offset)
    if (length < data.length) throw new Error(`a snapshot of ${copy.size} bytes ends at ${offset + length}`)
    const { id, index } = copy
    return { id, index, offset, data: data.buffer, last: offset + data.length >= copy.size }
  }

  #dropLater(): void {
    this.#parts.clock.after(IDLE_MS, () => {
      const now = this.#parts.clock.monotonic()
      for (const copy of this.#copies.values()) if (now - copy.usedAt >= IDLE_MS) this.#drop(copy)
      if (this.#copies.size > 0) this.#dropLater()
    })
  }

  #drop({ id, file }: Copy): void {
    this.#copies.delete(id)
    closeSync(file)
  }
}
