/** The executable on disk: the next one beside it, the switch by rename, and the one before, kept as `NAME.previous`. */
import { createHash } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  createReadStream,
  existsSync,
  fsyncSync,
  openSync,
  rmSync,
  statfsSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import type { Readable } from 'node:stream'
import { Mk8sError } from '../../base/errors.ts'
import { diskFailure } from '../../host/files.ts'
import { flushDirectorySync } from '../../host/flush.ts'
import { linkOver, moveOver } from '../../host/replace-file.ts'

export const stagedPath = (program: string): string => beside(program, 'next')
export const previousPath = (program: string): string => beside(program, 'previous')

/** Windows runs only what ends in `.exe`. */
const beside = (program: string, word: string): string =>
  program.endsWith('.exe') ? program.replace(/exe$/, `${word}.exe`) : `${program}.${word}`

const MODE = 0o755
/** Room beside the executable that is to be left. */
const ROOM_BYTES_MIN = 16 * 1024 * 1024

/** Before anything is brought: the directory takes a file, and has room for one as large as this. */
export function assertRoom(program: string, bytes: number): void {
  const directory = dirname(program)
  const path = stagedPath(program)
  try {
    closeSync(openSync(path, 'w', MODE))
    rmSync(path)
    const { bavail, bsize } = statfsSync(directory)
    if (bavail * bsize >= bytes + ROOM_BYTES_MIN) return
  } catch (error) {
    throw diskFailure(directory, error)
  }
  throw new Mk8sError('host/disk', `${directory} has no room for another executable`, {
    why: `it needs ${Math.ceil((bytes + ROOM_BYTES_MIN) / 1e6)} MB`,
    hint: 'free some space there',
  })
}

/** Writes the next executable beside the one in use, whole and flushed, or not at all. */
export async function stageExecutable(program: string, source: Readable, sum: string): Promise<void> {
  const path = stagedPath(program)
  try {
    const found = await writeFlushed(path, source)
    if (found !== sum)
      throw new Mk8sError('upgrade/damaged', 'the executable is not what the signed list of sums says', {
        why: `its SHA-256 is ${found}, not ${sum}: it was cut or changed on its way`,
        hint: 'get it again',
      })
  } catch (error) {
    rmSync(path, { force: true })
    throw error instanceof Mk8sError ? error : diskFailure(path, error)
  }
}

async function writeFlushed(path: string, source: Readable): Promise<string> {
  const hash = createHash('sha256')
  const descriptor = openSync(path, 'w', MODE)
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      hash.update(chunk)
      for (let at = 0; at < chunk.length; ) at += writeSync(descriptor, chunk, at)
    }
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  chmodSync(path, MODE)
  return hash.digest('hex')
}

/** Keeps what is in use as the one before. */
export const keepPrevious = (program: string): void => placeLink(program, previousPath(program))

export function switchExecutable(program: string): void {
  moveOver(stagedPath(program), program)
  flushDirectorySync(dirname(program))
}

export const switchBack = (program: string): void => placeLink(previousPath(program), program)

export const discardStaged = (program: string): void => rmSync(stagedPath(program), { force: true })

export const hasPrevious = (program: string): boolean => existsSync(previousPath(program))

export async function sumOfFile(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) hash.update(chunk)
  return hash.digest('hex')
}

/** There is a whole file under the second name at every moment. */
function placeLink(from: string, to: string): void {
  try {
    linkOver(from, to)
    flushDirectorySync(dirname(to))
  } catch (error) {
    throw diskFailure(to, error)
  }
}
