/**
 * Encryption of a whole backup: three lines of text (what it is, how its key comes about, a checksum of that), then
 * chunks of 64 KiB under AES-256-GCM. A chunk's nonce is its number and whether it is the last, so that no chunk can
 * be left out, moved or be the last one too early. The text goes into the key, so that it cannot be changed either.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  scrypt,
} from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { Random } from '../../base/random.ts'
import { isMap } from '../../kube/json-map.ts'
import type { ByteSource, FileSource } from './byte-source.ts'
import { fingerprintOf, type OpeningKey, type SealingKey } from './keys.ts'
import { BACKUP_FORMAT_VERSION } from './manifest.ts'
import { damaged, newerFormat, truncated, wrongKey } from './refusals.ts'

export const SEALED_MAGIC = 'mk8s encrypted backup\n'
const HEADER_BYTES_MAX = 4096
const CHUNK_BYTES = 64 * 1024
const TAG_BYTES = 16
const CIPHER = 'aes-256-gcm'
/** 32 MiB of memory, thrice. */
const SCRYPT = { cost: 2 ** 15, blockSize: 8, parallelization: 3 }
/** What a file may ask for. */
const SCRYPT_MAX = { cost: 2 ** 18, blockSize: 16, parallelization: 16 }

type KeySource =
  | ({ readonly type: 'scrypt'; readonly salt: string } & typeof SCRYPT)
  /** `ephemeral` is the public half of a pair made for this file, `recipient` the SHA-256 of the key it is for. */
  | { readonly type: 'public-key'; readonly ephemeral: string; readonly recipient: string }

export interface SealHeader {
  readonly formatVersion: number
  /** RFC 3339. */
  readonly createdAt: string
  readonly clusterId: string
  /** Bytes of the archive inside. */
  readonly size: number
  readonly key: KeySource
  /** Tells a wrong passphrase from a damaged file. */
  readonly check: string
}

export type SealFacts = Pick<SealHeader, 'createdAt' | 'clusterId' | 'size'>

/** What the key of one file comes from; takes time for a passphrase, by intent. Good for one file only. */
export interface FreshMaster {
  readonly source: KeySource
  readonly master: Buffer
}

/** The file that hides `archive`, which must have exactly the size that the facts say. */
export async function* seal(
  archive: AsyncIterable<Buffer>,
  facts: SealFacts,
  { source, master }: FreshMaster,
): AsyncGenerator<Buffer> {
  const header: SealHeader = {
    formatVersion: BACKUP_FORMAT_VERSION,
    ...facts,
    key: source,
    check: checkOf(master),
  }
  const line = Buffer.from(`${JSON.stringify(header)}\n`)
  yield Buffer.concat([Buffer.from(SEALED_MAGIC), line, Buffer.from(`${checksumOf(line)}\n`)])
  const fileKey = fileKeyOf(master, line)
  let waiting: Buffer = Buffer.alloc(0)
  let chunk = 0
  for await (const piece of archive) {
    waiting = waiting.length === 0 ? piece : Buffer.concat([waiting, piece])
    let at = 0
    const sealed: Buffer[] = []
    // The last chunk may be full, but not empty: one is held back until something follows.
    for (; waiting.length - at > CHUNK_BYTES; at += CHUNK_BYTES)
      sealed.push(sealChunk(fileKey, chunk++, false, waiting.subarray(at, at + CHUNK_BYTES)))
    // The piece's memory may be another's next time.
    waiting = Buffer.from(waiting.subarray(at))
    if (sealed.length > 0) yield Buffer.concat(sealed)
  }
  yield sealChunk(fileKey, chunk, true, waiting)
}

function sealChunk(key: Buffer, chunk: number, last: boolean, bytes: Buffer): Buffer {
  const cipher = createCipheriv(CIPHER, key, nonceOf(chunk, last))
  return Buffer.concat([cipher.update(bytes), cipher.final(), cipher.getAuthTag()])
}

function nonceOf(chunk: number, last: boolean): Buffer {
  const nonce = Buffer.alloc(12)
  nonce.writeUIntBE(chunk, 5, 6)
  nonce[11] = last ? 1 : 0
  return nonce
}

export async function makeMaster(key: SealingKey, random: Random): Promise<FreshMaster> {
  if (key.kind === 'passphrase') {
    const salt = Buffer.from(random.bytes(16))
    const source = { type: 'scrypt', ...SCRYPT, salt: salt.toString('base64') } as const
    return { source, master: await stretch(key.passphrase, source) }
  }
  const { namedCurve = '' } = key.key.asymmetricKeyDetails ?? {}
  const pair =
    key.key.asymmetricKeyType === 'x25519'
      ? generateKeyPairSync('x25519')
      : generateKeyPairSync('ec', { namedCurve })
  const ephemeral = pair.publicKey.export({ type: 'spki', format: 'der' })
  const recipient = fingerprintOf(key.key)
  const shared = diffieHellman({ privateKey: pair.privateKey, publicKey: key.key })
  return {
    source: { type: 'public-key', ephemeral: ephemeral.toString('base64'), recipient },
    master: masterOf(shared, ephemeral, recipient),
  }
}

const masterOf = (shared: Buffer, ephemeral: Buffer, recipient: string): Buffer =>
  derive(shared, Buffer.concat([ephemeral, Buffer.from(recipient, 'hex')]), 'mk8s backup master')

function stretch(passphrase: Buffer, { salt, ...options }: KeySource & { type: 'scrypt' }): Promise<Buffer> {
  const { cost, blockSize, parallelization } = options
  const maxmem = 256 * cost * blockSize
  return new Promise((resolve, reject) => {
    const costs = { cost, blockSize, parallelization, maxmem }
    scrypt(passphrase, Buffer.from(salt, 'base64'), 32, costs, (error, key) =>
      error === null ? resolve(key) : reject(error),
    )
  })
}

const derive = (key: Buffer, salt: Buffer, info: string): Buffer =>
  Buffer.from(hkdfSync('sha256', key, salt, info, 32))

const checkOf = (master: Buffer): string =>
  derive(master, Buffer.alloc(0), 'mk8s backup check').subarray(0, 16).toString('base64')

const fileKeyOf = (master: Buffer, line: Buffer): Buffer =>
  derive(master, createHash('sha256').update(line).digest(), 'mk8s backup file')

const checksumOf = (line: Buffer): string => crc32(line).toString(16).padStart(8, '0')

// ── reading ──────────────────────────────────────────────────────────────────────────────────────────

export interface SealedFile {
  readonly header: SealHeader
  readonly file: FileSource
  readonly line: Buffer
  readonly bodyOffset: number
}

/** Null for a file that is not encrypted. Throws for an encrypted one that is not whole. */
export function readSealed(file: FileSource): SealedFile | null {
  const head = file.read(0, SEALED_MAGIC.length + HEADER_BYTES_MAX)
  const start = head.subarray(0, SEALED_MAGIC.length)
  if (!start.equals(Buffer.from(SEALED_MAGIC).subarray(0, start.length))) return null
  const lineEnd = head.indexOf('\n', SEALED_MAGIC.length) + 1
  const bodyOffset = head.indexOf('\n', lineEnd) + 1
  if (lineEnd === 0 || bodyOffset === 0) {
    if (file.size < SEALED_MAGIC.length + HEADER_BYTES_MAX)
      throw truncated(file.path, 'it ends within its head')
    throw damaged(file.path, 'its head has no end')
  }
  const line = head.subarray(SEALED_MAGIC.length, lineEnd)
  if (head.toString('latin1', lineEnd, bodyOffset - 1) !== checksumOf(line))
    throw damaged(file.path, 'its head was changed')
  const header = parseHeader(file.path, line)
  const size = bodyOffset + header.size + TAG_BYTES * Math.max(1, Math.ceil(header.size / CHUNK_BYTES))
  if (file.size < size) throw truncated(file.path, `it has ${file.size} of ${size} bytes`)
  if (file.size > size) throw damaged(file.path, `it has ${file.size - size} bytes too many`)
  return { header, file, line, bodyOffset }
}

function parseHeader(path: string, line: Buffer): SealHeader {
  let value: unknown
  try {
    value = JSON.parse(line.toString('utf8'))
  } catch {
    throw damaged(path, 'its head is not JSON')
  }
  const version = isMap(value) ? value['formatVersion'] : undefined
  if (typeof version === 'number' && version > BACKUP_FORMAT_VERSION)
    throw newerFormat(path, version, BACKUP_FORMAT_VERSION)
  if (!isMap(value) || !isHeader(value)) throw damaged(path, 'its head lacks what it must have')
  return value
}

function isHeader(value: Record<string, unknown>): value is Record<string, unknown> & SealHeader {
  const { size, key, createdAt, clusterId, check } = value
  const texts = [createdAt, clusterId, check]
  if (!Number.isSafeInteger(size) || (size as number) < 0 || !isMap(key)) return false
  if (texts.some(text => typeof text !== 'string')) return false
  if (key['type'] === 'public-key')
    return typeof key['ephemeral'] === 'string' && typeof key['recipient'] === 'string'
  const bounded = Object.entries(SCRYPT_MAX).every(([name, max]) => {
    const number = key[name]
    return Number.isSafeInteger(number) && (number as number) > 0 && (number as number) <= max
  })
  const isPower = Number.isInteger(Math.log2(Number(key['cost'])))
  return key['type'] === 'scrypt' && typeof key['salt'] === 'string' && bounded && isPower
}

/** Throws `backup/key` unless the key is the right one. */
export async function openSealed(sealed: SealedFile, key: OpeningKey | null): Promise<ByteSource> {
  const { header, file, line, bodyOffset } = sealed
  const master = await findMaster(file.path, header.key, key)
  if (checkOf(master) !== header.check)
    throw wrongKey(
      `the passphrase does not open the backup ${file.path}`,
      'it was encrypted with another one',
      'give the file of the right passphrase',
    )
  return new UnsealedSource(file, bodyOffset, header.size, fileKeyOf(master, line))
}

async function findMaster(path: string, source: KeySource, key: OpeningKey | null): Promise<Buffer> {
  if (source.type === 'scrypt') {
    if (key?.kind === 'passphrase') return await stretch(key.passphrase, source)
    throw wrongKey(
      `the backup ${path} is encrypted`,
      'it needs its passphrase',
      'give the file that holds it: --passphrase-file FILE',
    )
  }
  if (key?.kind !== 'private-key')
    throw wrongKey(
      `the backup ${path} is encrypted`,
      `it needs the private key whose public half has the SHA-256 ${source.recipient}`,
      'give its file: --private-key FILE',
    )
  if (fingerprintOf(key.key) !== source.recipient)
    throw wrongKey(
      `the private key does not open the backup ${path}`,
      `it is for the key ${source.recipient}, not for ${fingerprintOf(key.key)}`,
      'give the file of the right key',
    )
  return masterOf(
    agree(path, source.ephemeral, key.key),
    Buffer.from(source.ephemeral, 'base64'),
    source.recipient,
  )
}

function agree(path: string, ephemeral: string, privateKey: KeyObject): Buffer {
  try {
    const key = Buffer.from(ephemeral, 'base64')
    return diffieHellman({ privateKey, publicKey: createPublicKey({ key, type: 'spki', format: 'der' }) })
  } catch {
    throw damaged(path, 'the key in its head is not one')
  }
}

class UnsealedSource implements ByteSource {
  readonly size: number
  readonly #file: FileSource
  readonly #bodyOffset: number
  readonly #key: Buffer
  #chunk = -1
  #plain = Buffer.alloc(0)

  constructor(file: FileSource, bodyOffset: number, size: number, key: Buffer) {
    this.#file = file
    this.#bodyOffset = bodyOffset
    this.size = size
    this.#key = key
  }

  read(offset: number, length: number): Buffer {
    const end = Math.min(this.size, offset + length)
    const pieces: Buffer[] = []
    for (let at = offset; at < end; ) {
      const chunk = Math.floor(at / CHUNK_BYTES)
      const start = chunk * CHUNK_BYTES
      const piece = this.#open(chunk).subarray(at - start, Math.min(CHUNK_BYTES, end - start))
      pieces.push(piece)
      at += piece.length
    }
    return Buffer.concat(pieces)
  }

  #open(chunk: number): Buffer {
    if (this.#chunk === chunk) return this.#plain
    const start = chunk * CHUNK_BYTES
    const length = Math.min(CHUNK_BYTES, this.size - start)
    const offset = this.#bodyOffset + chunk * (CHUNK_BYTES + TAG_BYTES)
    const bytes = this.#file.read(offset, length + TAG_BYTES)
    if (bytes.length < length + TAG_BYTES) throw truncated(this.#file.path, 'it became shorter meanwhile')
    const decipher = createDecipheriv(CIPHER, this.#key, nonceOf(chunk, start + length === this.size))
    decipher.setAuthTag(bytes.subarray(length))
    try {
      this.#plain = Buffer.concat([decipher.update(bytes.subarray(0, length)), decipher.final()])
    } catch {
      throw damaged(this.#file.path, `the bytes ${offset} to ${offset + bytes.length} were changed`)
    }
    this.#chunk = chunk
    return this.#plain
  }
}
