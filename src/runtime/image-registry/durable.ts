/** Small files and directories that are on the disk when a promise resolves. */
import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { systemCodeOf } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import { flushDirectory } from '../../host/flush.ts'
import { rename } from '../../host/rename.ts'

const DIRECTORY_MODE = 0o700
const FILE_MODE = 0o600

/** Makes it and its parents; each new one is noted durably in the one above. */
export async function makeDirectoryDurably(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: DIRECTORY_MODE })
  if (first === undefined) return
  for (let at = path; at.length >= first.length; at = dirname(at)) await flushDirectory(dirname(at))
}

/** Moves what is whole and flushed to its place. */
export async function moveDurably(from: string, to: string): Promise<void> {
  await makeDirectoryDurably(dirname(to))
  await rename(from, to)
  await flushDirectory(dirname(to))
}

/** Never a half-written file, and never one that a power cut takes back. */
export async function writeDurably(
  path: string,
  content: string | Uint8Array,
  { temporary, random }: { readonly temporary: string; readonly random: Random },
): Promise<void> {
  const coming = join(temporary, random.uuid())
  try {
    const handle = await open(coming, 'wx', FILE_MODE)
    try {
      await handle.writeFile(content)
      await handle.datasync()
    } finally {
      await handle.close()
    }
    await moveDurably(coming, path)
  } catch (error) {
    await rm(coming, { force: true })
    throw error
  }
}

/** Null when there is none. */
export async function readText(path: string): Promise<string | null> {
  return (await ifThere(readFile(path, 'utf8'))) ?? null
}

/** Undefined when there is no such file. */
export async function ifThere<T>(look: Promise<T>): Promise<T | undefined> {
  try {
    return await look
  } catch (error) {
    const code = systemCodeOf(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw error
  }
}

export const isThere = async (path: string): Promise<boolean> => (await ifThere(stat(path))) !== undefined

/** Nothing when there is no such directory. */
export const namesIn = async (path: string): Promise<string[]> => (await ifThere(readdir(path))) ?? []

export const openForAppending = (path: string): Promise<FileHandle> =>
  open(path, constants.O_RDWR | constants.O_CREAT, FILE_MODE)
