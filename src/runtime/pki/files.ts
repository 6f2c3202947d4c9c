/** Reading and writing the files of a pki directory: a file is whole and on disk before it has its name. */
import { chmod, mkdir, open, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Mk8sError, messageOf, systemCodeOf } from '../../base/errors.ts'
import { flushDirectory } from '../../host/flush.ts'
import { rename } from '../../host/rename.ts'

export interface FileToWrite {
  readonly path: string
  readonly text: string
  readonly mode: number
}

/** The file's text, or null when there is none. */
export async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return null
    throw new Mk8sError('config/unreadable', `cannot read ${path}`, { why: messageOf(error), cause: error })
  }
}

/** Makes the directory, for its owner only. */
export async function makePrivateDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 })
    await chmod(path, 0o700)
  } catch (error) {
    throw new Mk8sError('host/disk', `cannot make the directory ${path}`, {
      why: messageOf(error),
      cause: error,
    })
  }
}

/** All files flushed under temporary names first, then named in the order given, then the directory flushed. */
export async function writeFilesDurably(files: readonly FileToWrite[]): Promise<void> {
  if (files.length === 0) return
  try {
    await Promise.all(files.map(writeTemporary))
    for (const file of files) await rename(temporaryName(file.path), file.path)
    await Promise.all([...new Set(files.map(file => dirname(file.path)))].map(flushDirectory))
  } catch (error) {
    throw new Mk8sError('host/disk', `cannot write ${files.map(file => file.path).join(', ')}`, {
      why: messageOf(error),
      hint: 'Check that the disk has room and that the directory may be written.',
      cause: error,
    })
  }
}

const temporaryName = (path: string): string => `${path}.new`

async function writeTemporary(file: FileToWrite): Promise<void> {
  const handle = await open(temporaryName(file.path), 'w', file.mode)
  try {
    await handle.chmod(file.mode)
    await handle.writeFile(file.text)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** The paths of a certificate and its key. */
export function pairPaths(directory: string, name: string): { certificate: string; key: string } {
  return { certificate: join(directory, `${name}.crt`), key: join(directory, `${name}.key`) }
}
