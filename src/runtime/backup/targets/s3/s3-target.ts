/** A bucket of an S3-compatible service as a backup target: the files directly below a prefix. */
import { Mk8sError, messageOf } from '../../../../base/errors.ts'
import { secretLine, secretText } from '../credentials.ts'
import {
  type BackupTarget,
  mustBeFileName,
  PART_SUFFIX,
  probeTarget,
  type TargetCredentials,
  type TargetFile,
  type TargetParts,
} from '../target.ts'
import { S3Client, type S3Limits } from './client.ts'
import { refusalCode } from './failures.ts'
import { parseS3Place, type S3Place } from './place.ts'
import { abortUpload, upload, uploadName } from './upload.ts'
import { elements, textOf } from './xml.ts'

/** Of at most 1,000 names each. */
const LIST_PAGES_MAX = 1_000
/** Services that do not know unfinished uploads, and keys that may not see them. */
const NO_UPLOADS = new Set(['NotImplemented', 'MethodNotAllowed', 'AccessDenied', 'NoSuchUpload'])

export function openS3(
  url: URL,
  credentials: TargetCredentials,
  parts: TargetParts,
  limits?: S3Limits,
): BackupTarget {
  const place = parseS3Place(url)
  const sessionToken = secretLine(credentials, 'session-token')
  const key = {
    accessKeyId: neededLine(credentials, 'access-key-id', place),
    secretAccessKey: neededLine(credentials, 'secret-access-key', place),
    ...(sessionToken === undefined ? {} : { sessionToken }),
  }
  const authority = secretText(credentials, 'ca.crt')
  const client = new S3Client(place, key, parts, {
    ...(limits === undefined ? {} : { limits }),
    ...(authority === undefined ? {} : { authority }),
  })
  return new S3Target(place, client, parts)
}

function neededLine(credentials: TargetCredentials, key: string, { shown }: S3Place): string {
  const value = secretLine(credentials, key)
  if (value !== undefined) return value
  throw new Mk8sError('config/invalid', `backups cannot go to ${shown}`, {
    why: `the Secret has no ${key}`,
    hint: 'an S3 target needs a Secret with access-key-id and secret-access-key',
  })
}

interface Unfinished extends TargetFile {
  readonly key: string
  readonly uploadId: string
}

class S3Target implements BackupTarget {
  readonly url: string
  readonly #place: S3Place
  readonly #client: S3Client
  readonly #parts: TargetParts

  constructor(place: S3Place, client: S3Client, parts: TargetParts) {
    this.url = place.shown
    this.#place = place
    this.#client = client
    this.#parts = parts
  }

  async put(
    name: string,
    bytes: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<{ readonly bytes: number }> {
    mustBeFileName(name)
    const mark = Buffer.from(this.#parts.random.bytes(16)).toString('hex')
    const parts = { client: this.#client, shown: this.url, mark }
    return { bytes: await upload(parts, { key: this.#keyOf(name), name, bytes }, signal) }
  }

  async list(signal: AbortSignal): Promise<readonly TargetFile[]> {
    return [...(await this.#listFiles(signal)), ...(await this.#listUnfinished(signal))]
  }

  async remove(name: string, signal: AbortSignal): Promise<void> {
    mustBeFileName(name)
    const key = this.#keyOf(name)
    await this.#client.send({ what: `removing ${name}`, method: 'DELETE', key }, signal).catch(error => {
      if (refusalCode(error) !== 'NoSuchKey' && refusalCode(error) !== 'NotFound') throw error
    })
    if (!name.endsWith(PART_SUFFIX)) return
    for (const unfinished of await this.#listUnfinished(signal)) {
      if (unfinished.name === name)
        await abortUpload(this.#client, unfinished.key, unfinished.uploadId, signal)
    }
  }

  async check(signal: AbortSignal): Promise<void> {
    await probeTarget(this, this.#parts.random, signal)
  }

  async *get(name: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    mustBeFileName(name)
    const request = { what: `reading ${name}`, method: 'GET', key: this.#keyOf(name) } as const
    const answer = await this.#client.open(request, signal).catch(error => {
      throw refusalCode(error) === 'NoSuchKey' ? this.#unreadable(name, 'there is no such file') : error
    })
    try {
      yield* answer as AsyncIterable<Buffer>
    } catch (error) {
      signal.throwIfAborted()
      throw this.#unreadable(name, messageOf(error), error)
    }
  }

  async #listFiles(signal: AbortSignal): Promise<TargetFile[]> {
    const files: TargetFile[] = []
    const query: Record<string, string> = { 'list-type': '2', prefix: this.#place.prefix, delimiter: '/' }
    for (let page = 0; page < LIST_PAGES_MAX; page++) {
      const body = await this.#ask(query, signal)
      for (const found of elements(body, 'Contents')) {
        const name = this.#nameOf(textOf(found, 'Key') ?? '')
        if (name === null) continue
        files.push({ name, bytes: Number(textOf(found, 'Size')), modifiedMs: timeOf(found, 'LastModified') })
      }
      const next = textOf(body, 'NextContinuationToken')
      if (textOf(body, 'IsTruncated') !== 'true' || next === undefined) return files
      query['continuation-token'] = next
    }
    throw this.#tooMany()
  }

  async #listUnfinished(signal: AbortSignal): Promise<Unfinished[]> {
    const unfinished: Unfinished[] = []
    const query: Record<string, string> = { uploads: '', prefix: this.#place.prefix }
    for (let page = 0; page < LIST_PAGES_MAX; page++) {
      const body = await this.#ask(query, signal).catch(error => {
        if (NO_UPLOADS.has(refusalCode(error))) return ''
        throw error
      })
      for (const found of elements(body, 'Upload')) {
        const upload = this.#unfinishedOf(found)
        if (upload !== null) unfinished.push(upload)
      }
      if (textOf(body, 'IsTruncated') !== 'true') return unfinished
      query['key-marker'] = textOf(body, 'NextKeyMarker') ?? ''
      query['upload-id-marker'] = textOf(body, 'NextUploadIdMarker') ?? ''
    }
    throw this.#tooMany()
  }

  /** Its bytes are not told: each upload would have to be asked for them. */
  #unfinishedOf(found: string): Unfinished | null {
    const key = textOf(found, 'Key') ?? ''
    const uploadId = textOf(found, 'UploadId') ?? ''
    const name = this.#nameOf(key)
    if (name === null || uploadId === '') return null
    const listed = `${name}.${uploadName(uploadId)}${PART_SUFFIX}`
    return { name: listed, bytes: 0, modifiedMs: timeOf(found, 'Initiated'), key, uploadId }
  }

  async #ask(query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<string> {
    const what = 'listing what is there'
    const { body } = await this.#client.send({ what, method: 'GET', key: '', query }, signal)
    return body
  }

  #keyOf(name: string): string {
    return `${this.#place.prefix}${name}`
  }

  /** Null for what does not lie directly there. */
  #nameOf(key: string): string | null {
    const name = key.startsWith(this.#place.prefix) ? key.slice(this.#place.prefix.length) : ''
    return name === '' || name.includes('/') ? null : name
  }

  #unreadable(name: string, why: string, cause?: unknown): Mk8sError {
    return new Mk8sError('config/unreadable', `cannot read ${name} of ${this.url}`, { why, cause })
  }

  #tooMany(): Mk8sError {
    return new Mk8sError('backup/target', `${this.url}: listing what is there failed`, {
      why: `there are more than ${LIST_PAGES_MAX} pages of files`,
      hint: 'give the backups a prefix of their own',
    })
  }
}

const timeOf = (xml: string, name: string): number => Date.parse(textOf(xml, name) ?? '') || 0
