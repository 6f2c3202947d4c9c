/**
 * A snapshot that another member sends: written piece by piece to `received.sqlite.part`, each durable before it is
 * acknowledged. The last one makes it `received.sqlite`, checked and this member's own, which then takes the
 * place of the database. A crash between any two steps leaves something that the next start can go on from.
 */
import { closeSync, existsSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { renameSync } from '../../../host/rename.ts'
import type { MemberIdentity } from '../thread-messages.ts'
import { adoptSnapshot, flushDirectoryOf, readIndex, wrongSnapshot } from './snapshot-file.ts'

const RECEIVED_NAME = 'received.sqlite'
const SIDE_FILES = ['', '-wal', '-shm', '-journal']

export interface SinkPiece {
  readonly snapshot: { readonly id: number; readonly index: number }
  readonly offset: number
  readonly data: Uint8Array
  readonly last: boolean
}

export class SnapshotSink {
  readonly #path: string
  #identity: MemberIdentity
  #incoming: { readonly id: number; readonly file: number } | null = null

  constructor(directory: string, identity: MemberIdentity) {
    this.#path = join(directory, RECEIVED_NAME)
    this.#identity = identity
    remove(this.#part)
  }

  get #part(): string {
    return `${this.#path}.part`
  }

  /** Index of the snapshot that was received whole; 0 for none. */
  get received(): number {
    return existsSync(this.#path) ? readIndex(this.#path) : 0
  }

  /** False for a piece of a snapshot that another one has replaced. */
  store({ snapshot, offset, data, last }: SinkPiece): boolean {
    if (offset === 0) this.#begin(snapshot.id)
    const incoming = this.#incoming
    if (incoming?.id !== snapshot.id) return false
    for (let at = 0; at < data.length; )
      at += writeSync(incoming.file, data, at, data.length - at, offset + at)
    fdatasyncSync(incoming.file)
    if (last) this.#finish(snapshot.index)
    return true
  }

  #begin(id: number): void {
    this.#end()
    remove(this.#part)
    this.#incoming = { id, file: openSync(this.#part, 'wx', 0o600) }
  }

  #finish(index: number): void {
    this.#end()
    adoptSnapshot(this.#part, index, this.#identity)
    remove(this.#path)
    renameSync(this.#part, this.#path)
    flushDirectoryOf(this.#path)
  }

  #end(): void {
    if (this.#incoming !== null) closeSync(this.#incoming.file)
    this.#incoming = null
  }

  /** The received snapshot becomes the database at `path`, which nobody has open. */
  install(path: string, index: number): void {
    const { received } = this
    if (received !== index) throw wrongSnapshot(`the one received ends at entry ${received}, not ${index}`)
    // The database goes before its side files: without them it could be older than itself.
    remove(path)
    renameSync(this.#path, path)
    flushDirectoryOf(path)
  }

  discard(): void {
    remove(this.#path)
  }

  close(): void {
    this.#end()
  }
}

function remove(path: string): void {
  for (const end of SIDE_FILES) rmSync(`${path}${end}`, { force: true })
}
