/** Where a backup goes: into a file that has its name only once it is whole and on disk, or into a stream. */
import { existsSync } from 'node:fs'
import { type FileHandle, link, open, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Writable } from 'node:stream'
import { Mk8sError, messageOf, systemCodeOf } from '../../base/errors.ts'
import { flushDirectory } from '../../host/flush.ts'
import { rename } from '../../host/rename.ts'

export interface OutputOptions {
  /** An existing file is replaced. */
  readonly force: boolean
  /** What has to go when the process ends before its time. */
  readonly leftovers?: Set<string> | undefined
  /** The name until the file is whole; chosen by this process's id otherwise. */
  readonly part?: string
}

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the quota is used up',
  EROFS: 'the file system is read-only',
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  ENOENT: 'there is no such directory',
  EISDIR: 'it is a directory',
  EFBIG: 'the file system takes no files of that size',
}

/** Mode 0600. Throws `refused` when the file is there, `host/disk` when it cannot be written; nothing is left then. */
export async function writeFileWhole(
  path: string,
  bytes: AsyncIterable<Uint8Array>,
  { force, leftovers, part = `${path}.${process.pid}.part` }: OutputOptions,
): Promise<void> {
  refuseExisting(path, force)
  leftovers?.add(part)
  try {
    await writePart(part, bytes)
    await giveName(part, path, force)
  } catch (error) {
    await rm(part, { force: true }).catch(() => {})
    throw error instanceof Mk8sError ? error : writeFailure(path, error)
  } finally {
    leftovers?.delete(part)
  }
}

export function refuseExisting(path: string, force: boolean): void {
  if (force || !existsSync(path)) return
  throw alreadyThere(path)
}

const alreadyThere = (path: string): Mk8sError =>
  new Mk8sError('refused', `${path} is there already`, {
    hint: 'give another name, or --force to replace it',
  })

async function writePart(part: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  await rm(part, { force: true })
  const file = await open(part, 'wx', 0o600)
  try {
    for await (const piece of bytes) {
      await writeAll(file, piece)
    }
    await file.sync()
  } finally {
    await file.close()
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten
}

/** A link fails when the name is taken meanwhile, which a rename would not notice; not all file systems have links. */
async function giveName(part: string, path: string, force: boolean): Promise<void> {
  if (force) await rename(part, path)
  else
    try {
      await link(part, path)
      await rm(part)
    } catch (error) {
      if (systemCodeOf(error) === 'EEXIST') throw alreadyThere(path)
      refuseExisting(path, force)
      await rename(part, path)
    }
  await flushDirectory(dirname(path))
}

export function writeFailure(path: string, error: unknown): Mk8sError {
  return new Mk8sError('host/disk', `${path} cannot be written`, {
    why: reasons[systemCodeOf(error) ?? ''] ?? messageOf(error),
    hint: 'free space there, or choose another place with -o',
    cause: error,
  })
}

/** No faster than the reader takes it, who has a piece before the next is asked for. Throws `host/disk` when the reader goes away. */
export async function writeToStream(stream: Writable, bytes: AsyncIterable<Buffer>): Promise<void> {
  for await (const piece of bytes) {
    await new Promise<void>((resolve, reject) => {
      stream.write(piece, error => (error ? reject(writeFailure('standard output', error)) : resolve()))
    })
  }
}
