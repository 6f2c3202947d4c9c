/**
 * One file into S3: in one request when it is small, otherwise in parts of which only one is in memory. The file has
 * its name only once the server has checked all of it; afterwards its size and its mark are looked at once more.
 */
import { createHash } from 'node:crypto'
import { Mk8sError } from '../../../../base/errors.ts'
import type { S3Client } from './client.ts'
import { refusalCode } from './failures.ts'
import { escapeXml, textOf } from './xml.ts'

/** Amazon takes 5 MiB to 5 GiB, and 10,000 of them. */
const PART_BYTES = 8 * 1024 * 1024
const PARTS_MAX = 10_000
/** For the tidying after a failure, which may be that of the server. */
const ABORT_MS = 10_000
const MARK = 'x-amz-meta-mk8s-upload'

export interface UploadParts {
  readonly client: S3Client
  /** As people are told. */
  readonly shown: string
  /** Tells this upload from any other of the same name. */
  readonly mark: string
}

/** Resolves with the number of bytes. */
export async function upload(
  { client, shown, mark }: UploadParts,
  file: { readonly key: string; readonly name: string; readonly bytes: AsyncIterable<Uint8Array> },
  signal: AbortSignal,
): Promise<number> {
  const parts = cutIntoParts(file.bytes)[Symbol.asyncIterator]()
  const what = `writing ${file.name}`
  const first = await parts.next()
  if (first.done === true) throw new RangeError('a file has at least one part')
  const headers = { 'content-type': 'application/octet-stream', [MARK]: mark }
  const bytes = first.value.last
    ? await putWhole(first.value.bytes)
    : await new Multipart(client, { key: file.key, what, headers }, signal).send(first.value, parts)
  await checkUploaded()
  return bytes

  async function putWhole(body: Uint8Array): Promise<number> {
    await client.send({ what, method: 'PUT', key: file.key, headers, body }, signal)
    return body.length
  }

  async function checkUploaded(): Promise<void> {
    const look = { what: `looking at ${file.name}`, method: 'HEAD', key: file.key } as const
    const { headers: found } = await client.send(look, signal)
    const ours = found[MARK] === mark
    if (ours && found['content-length'] === String(bytes)) return
    if (ours) await client.send({ what: `removing ${file.name}`, method: 'DELETE', key: file.key }, signal)
    throw new Mk8sError('backup/target', `${shown}: ${what} failed`, {
      why: ours
        ? `${found['content-length']} of ${bytes} bytes arrived`
        : 'what lies there now is not what was written',
      hint: 'look whether anything else writes into the bucket',
    })
  }
}

interface Part {
  /** Only until the next part is asked for. */
  readonly bytes: Uint8Array
  readonly last: boolean
}

/** Parts of the same size but the last, in one piece of memory; an empty file is one empty part. */
async function* cutIntoParts(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Part, undefined> {
  const buffer = Buffer.allocUnsafe(PART_BYTES)
  let filled = 0
  for await (const piece of bytes) {
    for (let at = 0; at < piece.length; ) {
      if (filled === PART_BYTES) {
        yield { bytes: buffer, last: false }
        filled = 0
      }
      const taken = Math.min(PART_BYTES - filled, piece.length - at)
      buffer.set(piece.subarray(at, at + taken), filled)
      at += taken
      filled += taken
    }
  }
  yield { bytes: buffer.subarray(0, filled), last: true }
}

interface MultipartFile {
  readonly key: string
  readonly what: string
  readonly headers: Readonly<Record<string, string>>
}

class Multipart {
  readonly #client: S3Client
  readonly #file: MultipartFile
  readonly #signal: AbortSignal
  readonly #tags: string[] = []

  constructor(client: S3Client, file: MultipartFile, signal: AbortSignal) {
    this.#client = client
    this.#file = file
    this.#signal = signal
  }

  async send(first: Part, rest: AsyncIterator<Part, undefined>): Promise<number> {
    const id = await this.#create()
    try {
      let bytes = 0
      for (let part: Part | undefined = first; part !== undefined; part = (await rest.next()).value) {
        this.#signal.throwIfAborted()
        await this.#sendPart(id, part.bytes)
        bytes += part.bytes.length
      }
      await this.#complete(id)
      return bytes
    } catch (error) {
      await rest.return?.()
      await abortUpload(this.#client, this.#file.key, id, AbortSignal.timeout(ABORT_MS)).catch(() => {})
      throw error
    }
  }

  async #create(): Promise<string> {
    const { key, what, headers } = this.#file
    const query = { uploads: '' }
    const { body } = await this.#client.send({ what, method: 'POST', key, query, headers }, this.#signal)
    const id = textOf(body, 'UploadId')
    if (id !== undefined && id !== '') return id
    throw new Mk8sError('backup/target', `${what} failed`, { why: 'the server gave the upload no id' })
  }

  async #sendPart(uploadId: string, body: Uint8Array): Promise<void> {
    const { key, what } = this.#file
    const number = this.#tags.length + 1
    if (number > PARTS_MAX) {
      throw new Mk8sError('backup/target', `${what} failed`, {
        why: `it has more than ${PARTS_MAX} parts of ${PART_BYTES} bytes, which S3 does not take`,
        hint: 'use another kind of target',
      })
    }
    const query = { partNumber: String(number), uploadId }
    const { headers } = await this.#client.send({ what, method: 'PUT', key, query, body }, this.#signal)
    this.#tags.push(headers.etag ?? '')
  }

  /** An upload that is gone may be one whose completion was not answered: what lies there tells. */
  async #complete(uploadId: string): Promise<void> {
    const { key, what } = this.#file
    const query = { uploadId }
    try {
      await this.#client.send(
        { what, method: 'POST', key, query, body: Buffer.from(renderParts(this.#tags)) },
        this.#signal,
      )
    } catch (error) {
      if (refusalCode(error) !== 'NoSuchUpload') throw error
    }
  }
}

/** Nothing happens when there is no such upload. */
export async function abortUpload(client: S3Client, key: string, uploadId: string, signal: AbortSignal) {
  const query = { uploadId }
  const what = 'ending an unfinished upload'
  await client.send({ what, method: 'DELETE', key, query }, signal).catch(error => {
    if (refusalCode(error) !== 'NoSuchUpload') throw error
  })
}

const renderParts = (tags: readonly string[]): string => {
  const parts = tags.map(
    (tag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${escapeXml(tag)}</ETag></Part>`,
  )
  return `<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`
}

/** A short name of an upload, whose own id may hold any characters. */
export const uploadName = (uploadId: string): string =>
  createHash('sha256').update(uploadId).digest('hex').slice(0, 16)
