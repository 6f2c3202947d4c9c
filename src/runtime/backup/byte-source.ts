/** The bytes of a backup, read from anywhere in it: of a plain file, or of an encrypted one as it was before. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { Mk8sError, messageOf, systemCodeOf } from '../../base/errors.ts'

export interface ByteSource {
  readonly size: number
  /** Fewer bytes than asked for only at the end. */
  read(offset: number, length: number): Buffer
}

export class FileSource implements ByteSource {
  readonly path: string
  readonly size: number
  readonly #file: number

  /** `shown` is what people are told, for a file that is a copy of another. */
  constructor(path: string, shown = path) {
    this.path = shown
    try {
      this.#file = openSync(path, 'r')
    } catch (error) {
      throw unreadable(path, error)
    }
    const stat = fstatSync(this.#file)
    this.size = stat.size
    if (stat.isFile()) return
    this.close()
    throw new Mk8sError('config/unreadable', `${path} is not a regular file`, {
      hint: 'a backup is one file; mk8s backup list shows those of a directory',
    })
  }

  read(offset: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafe(Math.max(0, Math.min(length, this.size - offset)))
    let done = 0
    try {
      while (done < bytes.length) {
        const got = readSync(this.#file, bytes, done, bytes.length - done, offset + done)
        if (got === 0) break
        done += got
      }
    } catch (error) {
      throw unreadable(this.path, error)
    }
    return bytes.subarray(0, done)
  }

  close(): void {
    closeSync(this.#file)
  }
}

function unreadable(path: string, error: unknown): Mk8sError {
  const why = systemCodeOf(error) === 'ENOENT' ? 'there is no such file' : messageOf(error)
  return new Mk8sError('config/unreadable', `cannot read ${path}`, { why, cause: error })
}
