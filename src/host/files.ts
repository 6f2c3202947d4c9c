/** Small durable writes, whole reads, and failures of the disk in words. */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { Mk8sError, messageOf, systemCodeOf } from '../base/errors.ts'
import { renameSync } from './rename.ts'

const reasons: Readonly<Record<string, string>> = {
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the quota is used up',
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  ENOTDIR: 'a part of the path is a file',
}

/** Writes the whole file under a temporary name, flushes and renames it: never a half-written file. */
export function writeFileDurably(path: string, content: string, mode: number): void {
  const temporary = `${path}.${process.pid}.tmp`
  try {
    const descriptor = openSync(temporary, 'w', mode)
    try {
      // Not `writeSync`, which may write a part only where the disk is almost full.
      writeFileSync(descriptor, content)
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw diskFailure(path, error)
  }
}

/** Makes the directory and its parents; a directory that is there keeps its mode. */
export function makeDirectory(path: string, mode: number): void {
  try {
    mkdirSync(dirname(path), { recursive: true })
    mkdirSync(path, { recursive: true, mode })
  } catch (error) {
    throw diskFailure(path, error)
  }
}

/** Undefined also for a file that may not be read. Files of /proc have no size to go by, and are read whole too. */
export function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/** For files whose absence says as much as an empty one. */
export const readOrEmpty = (path: string): string => readIfThere(path) ?? ''

export function diskFailure(path: string, error: unknown): Mk8sError {
  return new Mk8sError('host/disk', `${path} cannot be written`, {
    why: reasons[systemCodeOf(error) ?? ''] ?? messageOf(error),
    hint: 'free or repair the disk, or choose another --data-dir',
    cause: error,
  })
}
