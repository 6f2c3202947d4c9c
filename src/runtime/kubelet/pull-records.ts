/**
 * Which credentials the images of this node were pulled with, so that a pod uses what is there only if it could have
 * pulled it. Unless the node's policy says otherwise, what was not pulled by the kubelet is for all.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { readOrEmpty, writeFileDurably } from '../../host/files.ts'
import { longImageName } from './image-name.ts'
import { loginsFor } from './runtime/cri/credentials-for.ts'
import type { RegistryCredentials } from './runtime/runtime.ts'

interface PulledRecord {
  readonly imageId: string
  /** Pulled without a pod's credentials once. */
  readonly isForAll: boolean
  /** Hashes of logins that it was pulled with, by its registry and name. */
  readonly logins: readonly string[]
}

export interface PullAttempt {
  readonly image: string
  readonly credentials: readonly RegistryCredentials[]
}

/** `imagePullCredentialsVerificationPolicy` */
export type VerificationPolicy = 'NeverVerifyPreloadedImages' | 'NeverVerify' | 'AlwaysVerify'

/** The oldest are forgotten, and verified anew. */
const LOGINS_MAX = 100

export class PullRecords {
  readonly #pulling: string
  readonly #pulled: string
  /** How many pods pull an image, by its name: what one of them has failed at another may still bring. */
  readonly #underWay = new Map<string, number>()

  readonly #policy: VerificationPolicy

  constructor(directory: string, policy: VerificationPolicy = 'NeverVerifyPreloadedImages') {
    this.#policy = policy
    this.#pulling = join(directory, 'pulling')
    this.#pulled = join(directory, 'pulled')
  }

  /** The image is there, but whether this pod may have it, its registry has to say. */
  mustPull(imageId: string, attempt: PullAttempt): boolean {
    if (this.#policy === 'NeverVerify') return false
    const record = this.#read(imageId)
    if (record === undefined && this.#policy === 'AlwaysVerify') return true
    // It may have come by a pull of which nothing is known but its beginning.
    if (record === undefined) return readOrEmpty(this.#intentFile(attempt.image)) !== ''
    if (record.isForAll) return false
    return !loginHashes(attempt).some(login => record.logins.includes(login))
  }

  began({ image }: PullAttempt): void {
    const name = longImageName(image)
    this.#underWay.set(name, (this.#underWay.get(name) ?? 0) + 1)
    mkdirSync(this.#pulling, { recursive: true, mode: 0o700 })
    writeFileDurably(this.#intentFile(image), JSON.stringify({ image }), 0o600)
  }

  /** By the first of the credentials that fit. */
  succeeded(imageId: string, attempt: PullAttempt): void {
    const before = this.#read(imageId)
    const [login] = loginHashes(attempt)
    const logins = new Set([...(before?.logins ?? []), ...(login === undefined ? [] : [login])])
    const record: PulledRecord = {
      imageId,
      isForAll: login === undefined || before?.isForAll === true,
      logins: [...logins].slice(-LOGINS_MAX),
    }
    mkdirSync(this.#pulled, { recursive: true, mode: 0o700 })
    writeFileDurably(this.#pulledFile(imageId), JSON.stringify(record), 0o600)
    this.#ended(attempt.image)
  }

  /** Nothing came. */
  failed({ image }: PullAttempt): void {
    this.#ended(image)
  }

  #ended(image: string): void {
    const name = longImageName(image)
    const left = (this.#underWay.get(name) ?? 1) - 1
    if (left > 0) return void this.#underWay.set(name, left)
    this.#underWay.delete(name)
    rmSync(this.#intentFile(image), { force: true })
  }

  #read(imageId: string): PulledRecord | undefined {
    const text = readOrEmpty(this.#pulledFile(imageId))
    return text === '' ? undefined : (JSON.parse(text) as PulledRecord)
  }

  #intentFile(image: string): string {
    return join(this.#pulling, `${hashOf(longImageName(image))}.json`)
  }

  #pulledFile(imageId: string): string {
    return join(this.#pulled, `${hashOf(imageId)}.json`)
  }
}

/** Of one image only: an account may have one repository and not the other. */
function loginHashes({ image, credentials }: PullAttempt): string[] {
  const name = longImageName(image).replace(/(:[^:/@]+)?(@.*)?$/, '')
  return loginsFor(image, credentials).map(({ username, password }) =>
    hashOf(JSON.stringify([name, username, password])),
  )
}

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex')
