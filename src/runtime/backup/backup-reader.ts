/**
 * Opens a backup: everything about its container is checked before anything is handed out, and a part's SHA-256 as it
 * is read. What the file is called does not matter.
 */
import { createHash, type Hash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { must } from '../../base/assert.ts'
import { renderFileHeader, TAR_BLOCK, tarPadding } from '../../base/tar.ts'
import { ENTRY_MODE } from './backup-archive.ts'
import { type ByteSource, FileSource } from './byte-source.ts'
import type { OpeningKey } from './keys.ts'
import {
  type BackupManifest,
  CHECKSUMS_NAME,
  MANIFEST_NAME,
  parseManifest,
  renderChecksums,
} from './manifest.ts'
import { writeFileWhole } from './output.ts'
import { damaged, emptyFile, foreign, truncated } from './refusals.ts'
import { openSealed, readSealed, type SealHeader } from './seal.ts'

const PIECE_BYTES = 1024 * 1024
/** Of what is read into memory: everything but the state. */
const READ_BYTES_MAX = 16 * 1024 * 1024

export type Encryption = 'none' | 'passphrase' | 'public-key'

export interface Backup {
  readonly path: string
  /** Of the file. */
  readonly bytes: number
  readonly encryption: Encryption
  readonly manifest: BackupManifest
  /** A small part, checked. Throws `backup/damaged` when the manifest knows no such part, too. */
  read(name: string): Buffer
  /** Writes a part, checked, into a new file of mode 0600; nothing is left of one that is damaged. */
  extract(name: string, to: string, options?: { readonly force?: boolean }): Promise<void>
  /** Reads all parts. */
  checkParts(): Promise<void>
  close(): void
}

/** Throws `backup/…` for whatever is not a whole backup that this key opens, `config/unreadable` without a file. */
export async function openBackup(file: string, key: OpeningKey | null, shown = file): Promise<Backup> {
  return openSource(new FileSource(file, shown), key)
}

async function openSource(file: FileSource, key: OpeningKey | null): Promise<Backup> {
  try {
    if (file.size === 0) throw emptyFile(file.path)
    const sealed = readSealed(file)
    const source = sealed === null ? file : await openSealed(sealed, key)
    return new OpenedBackup(file, source, encryptionOf(sealed?.header ?? null))
  } catch (error) {
    file.close()
    throw error
  }
}

/** What a file tells of itself without a key. */
export interface BackupGlance {
  readonly path: string
  readonly bytes: number
  readonly encryption: Encryption
  readonly createdAt: string
  readonly clusterId: string
  /** Null: it is encrypted. */
  readonly manifest: BackupManifest | null
}

/** Looks at the container only. Throws as `openBackup` does. */
export async function glanceAtBackup(path: string): Promise<BackupGlance> {
  const file = new FileSource(path)
  try {
    if (file.size === 0) throw emptyFile(path)
    const sealed = readSealed(file)
    const encryption = encryptionOf(sealed?.header ?? null)
    const manifest = sealed === null ? new OpenedBackup(file, file, encryption).manifest : null
    const { createdAt, clusterId } = sealed?.header ?? must(manifest, 'the manifest of a plain backup')
    return { path, bytes: file.size, encryption, createdAt, clusterId, manifest }
  } finally {
    file.close()
  }
}

function encryptionOf(header: SealHeader | null): Encryption {
  if (header === null) return 'none'
  return header.key.type === 'scrypt' ? 'passphrase' : 'public-key'
}

interface Entry {
  readonly name: string
  readonly size: number
  /** Of its first byte. */
  readonly offset: number
}

class OpenedBackup implements Backup {
  readonly path: string
  readonly bytes: number
  readonly encryption: Encryption
  readonly manifest: BackupManifest
  readonly #file: FileSource
  readonly #source: ByteSource
  readonly #entries = new Map<string, Entry>()

  constructor(file: FileSource, source: ByteSource, encryption: Encryption) {
    this.#file = file
    this.#source = source
    this.path = file.path
    this.bytes = file.size
    this.encryption = encryption
    refuseForeign(file.path, source.read(0, TAR_BLOCK))
    const first = this.#entryAt(0, MANIFEST_NAME)
    const manifest = this.#readWhole(first)
    this.manifest = parseManifest(this.path, manifest.toString('utf8'))
    const last = this.#walk(first)
    const sha256 = createHash('sha256').update(manifest).digest('hex')
    const sums = renderChecksums([{ name: MANIFEST_NAME, sha256 }, ...this.manifest.parts])
    if (!this.#readWhole(last).equals(sums)) throw this.#damaged('its manifest and its checksums differ')
  }

  read(name: string): Buffer {
    const { entry, sha256 } = this.#find(name)
    const bytes = this.#readWhole(entry)
    if (createHash('sha256').update(bytes).digest('hex') !== sha256) throw this.#changed(name)
    return bytes
  }

  async extract(name: string, to: string, { force = false } = {}): Promise<void> {
    const { entry, sha256 } = this.#find(name)
    const hash = createHash('sha256')
    await writeFileWhole(to, this.#pieces(entry, hash), { force })
    if (hash.digest('hex') === sha256) return
    await rm(to, { force: true })
    throw this.#changed(name)
  }

  async checkParts(): Promise<void> {
    for (const { name } of this.manifest.parts) {
      const { entry, sha256 } = this.#find(name)
      const hash = createHash('sha256')
      for await (const _ of this.#pieces(entry, hash));
      if (hash.digest('hex') !== sha256) throw this.#changed(name)
    }
  }

  close(): void {
    this.#file.close()
  }

  #find(name: string): { entry: Entry; sha256: string } {
    const entry = this.#entries.get(name)
    const part = this.manifest.parts.find(each => each.name === name)
    if (entry === undefined || part === undefined) throw this.#damaged(`it has no part ${name}`)
    return { entry, sha256: part.sha256 }
  }

  /** The entries that the manifest names, then the checksums, then the end of the file; returns the checksums. */
  #walk(first: Entry): Entry {
    let entry = first
    for (const { name, size } of this.manifest.parts) {
      entry = this.#entryAt(endOf(entry), name)
      if (entry.size !== size) throw this.#damaged(`${name} has ${entry.size} instead of ${size} bytes`)
      this.#entries.set(name, entry)
    }
    const last = this.#entryAt(endOf(entry), CHECKSUMS_NAME)
    const end = this.#source.read(endOf(last), 2 * TAR_BLOCK + 1)
    if (end.length < 2 * TAR_BLOCK) throw truncated(this.path, 'it has no end')
    if (end.length > 2 * TAR_BLOCK || end.some(byte => byte !== 0))
      throw this.#damaged('something follows its end')
    return last
  }

  /** Headers are compared byte by byte with what they have to be, padding included. */
  #entryAt(at: number, name: string): Entry {
    const header = this.#source.read(at, TAR_BLOCK)
    if (header.length < TAR_BLOCK) throw truncated(this.path, `it ends before ${name}`)
    const number = (offset: number) => Number.parseInt(header.toString('latin1', offset, offset + 11), 8)
    const [size, seconds] = [number(124), number(136)]
    const isSound = size >= 0 && seconds >= 0
    const options = { modifiedMs: seconds * 1000 }
    if (!isSound || !header.equals(renderFileHeader({ name, mode: ENTRY_MODE, size }, options)))
      throw this.#damaged(`the entry of ${name} was changed`)
    const entry = { name, size, offset: at + TAR_BLOCK }
    if (endOf(entry) > this.#source.size)
      throw truncated(this.path, `it ends within ${name}, after ${this.#source.size} of its bytes`)
    if (this.#source.read(entry.offset + size, tarPadding(size)).some(byte => byte !== 0))
      throw this.#damaged(`something follows ${name}`)
    return entry
  }

  #readWhole({ name, offset, size }: Entry): Buffer {
    if (size > READ_BYTES_MAX) throw this.#damaged(`${name} has ${size} bytes, too many to be one`)
    const bytes = this.#source.read(offset, size)
    if (bytes.length < size) throw truncated(this.path, `it ends within ${name}`)
    return bytes
  }

  /** Asynchronous so that others have their turn in between. */
  async *#pieces({ name, offset, size }: Entry, hash: Hash): AsyncGenerator<Buffer> {
    for (let at = 0; at < size; ) {
      const piece = this.#source.read(offset + at, Math.min(PIECE_BYTES, size - at))
      if (piece.length === 0) throw truncated(this.path, `it ends within ${name}`)
      hash.update(piece)
      yield piece
      at += piece.length
      await new Promise(resolve => setImmediate(resolve))
    }
  }

  #damaged(why: string): Error {
    return damaged(this.path, why)
  }

  #changed(name: string): Error {
    return this.#damaged(`${name} is not what was written: its SHA-256 differs`)
  }
}

const endOf = ({ offset, size }: Entry): number => offset + size + tarPadding(size)

/** Says what a file is that is none of ours, as far as its first bytes tell. */
function refuseForeign(path: string, head: Buffer): void {
  const begins = (text: string, at = 0) => head.toString('latin1', at, at + text.length) === text
  if (begins(`${MANIFEST_NAME}\0`) || begins('ustar', 257)) {
    const name = head.toString('latin1', 0, Math.max(0, head.indexOf(0)))
    if (isTarHeader(head) && name !== MANIFEST_NAME)
      throw foreign(path, `it is an archive of something else: ${name}`)
    return
  }
  if (begins('\x1f\x8b')) {
    const hint = 'a backup of MicroK8s (microk8s dbctl backup) can be restored there only'
    throw foreign(path, 'it is a gzip file', hint)
  }
  if (begins('SQLite format 3\0')) throw foreign(path, 'it is an SQLite database')
  if (head.length < TAR_BLOCK && Buffer.from(MANIFEST_NAME).indexOf(head.subarray(0, 1)) === 0)
    throw truncated(path, 'it ends within its head')
  throw foreign(path, 'it begins like nothing that mk8s writes')
}

function isTarHeader(head: Buffer): boolean {
  const stored = Number.parseInt(head.toString('latin1', 148, 154), 8)
  const sum = head.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : byte), 0)
  return head.length === TAR_BLOCK && stored === sum
}
