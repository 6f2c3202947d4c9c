/**
 * A directory of the server that leads, `file:///path`: a disk of its own, or a file system that all servers mount.
 * It is never created: a file system that is not mounted must not be taken for an empty one.
 */
import { createReadStream } from 'node:fs'
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Mk8sError, messageOf, systemCodeOf } from '../../../base/errors.ts'
import type { Random } from '../../../base/random.ts'
import { writeFileWhole } from '../output.ts'
import {
  type BackupTarget,
  mustBeFileName,
  PART_SUFFIX,
  probeTarget,
  type TargetCredentials,
  type TargetFile,
  type TargetParts,
} from './target.ts'

export function openDirectory(url: URL, _none: TargetCredentials, { random }: TargetParts): BackupTarget {
  return new DirectoryTarget(pathOf(url), random)
}

function pathOf(url: URL): string {
  try {
    if (url.search !== '' || url.hash !== '') throw new Error('it has a query or a fragment')
    const path = fileURLToPath(url)
    if (path === '/') throw new Error('it is the root directory')
    return path
  } catch (error) {
    throw new Mk8sError('config/invalid', `backups cannot go to ${url.href}`, {
      why: messageOf(error),
      hint: 'give the absolute path of a directory, for example /mnt/backups',
    })
  }
}

class DirectoryTarget implements BackupTarget {
  readonly url: string
  readonly #path: string
  readonly #random: Random

  constructor(path: string, random: Random) {
    this.#path = path
    this.url = path
    this.#random = random
  }

  async put(
    name: string,
    bytes: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<{ readonly bytes: number }> {
    mustBeFileName(name)
    await this.#mustBeThere()
    let count = 0
    async function* counted() {
      for await (const piece of bytes) {
        signal.throwIfAborted()
        count += piece.length
        yield piece
      }
      signal.throwIfAborted()
    }
    // Another server may write the same name into the same file system.
    const unique = Buffer.from(this.#random.bytes(6)).toString('hex')
    const path = join(this.#path, name)
    try {
      await writeFileWhole(path, counted(), { force: true, part: `${path}.${unique}${PART_SUFFIX}` })
    } catch (error) {
      signal.throwIfAborted()
      throw this.#unwritten(error)
    }
    return { bytes: count }
  }

  async list(): Promise<readonly TargetFile[]> {
    await this.#mustBeThere()
    const entries = await readdir(this.#path, { withFileTypes: true })
    const files = await Promise.all(
      entries.filter(entry => entry.isFile()).map(async ({ name }) => await this.#fileOf(name)),
    )
    return files.filter(file => file !== null)
  }

  async remove(name: string): Promise<void> {
    mustBeFileName(name)
    await rm(join(this.#path, name), { force: true })
  }

  async check(signal: AbortSignal): Promise<void> {
    await probeTarget(this, this.#random, signal)
  }

  async *get(name: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    mustBeFileName(name)
    const path = join(this.#path, name)
    try {
      for await (const piece of createReadStream(path, { signal })) yield piece
    } catch (error) {
      signal.throwIfAborted()
      const why = systemCodeOf(error) === 'ENOENT' ? 'there is no such file' : messageOf(error)
      throw new Mk8sError('config/unreadable', `cannot read ${path}`, { why, cause: error })
    }
  }

  /** Null: it went away meanwhile. */
  async #fileOf(name: string): Promise<TargetFile | null> {
    try {
      const { size, mtimeMs } = await stat(join(this.#path, name))
      return { name, bytes: size, modifiedMs: mtimeMs }
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return null
      throw error
    }
  }

  async #mustBeThere(): Promise<void> {
    const found = await stat(this.#path).catch(error => error as Error)
    if (!(found instanceof Error) && found.isDirectory()) return
    const why = found instanceof Error ? reasonOf(found) : 'it is not a directory'
    throw new Mk8sError('host/disk', `backups cannot go to ${this.#path}`, {
      why: `${why} on this server, which leads now`,
      hint: `make or mount it on every server: mkdir -p ${this.#path}`,
      cause: found,
    })
  }

  #unwritten(error: unknown): unknown {
    if (!(error instanceof Mk8sError)) return error
    return new Mk8sError(error.code, error.message, {
      ...(error.why === undefined ? {} : { why: error.why }),
      hint: `make room in ${this.#path}, or let it be written to, on the server that leads`,
      cause: error.cause,
    })
  }
}

const reasonOf = (error: Error): string =>
  systemCodeOf(error) === 'ENOENT' ? 'there is no such directory' : messageOf(error)
