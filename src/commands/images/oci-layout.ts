/** An image in the OCI layout lies in a directory; to the daemon it goes as the archive of it. */
import { createReadStream, existsSync, type ReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { Readable } from 'node:stream'
import { renderFileHeader, renderTar, TAR_BLOCK, tarPadding } from '../../base/tar.ts'

export const isLayout = (path: string): boolean => existsSync(join(path, 'oci-layout'))

export const readLayout = (directory: string): Readable =>
  Readable.from(archiveOf(directory), { objectMode: false })

async function* archiveOf(directory: string): AsyncGenerator<Uint8Array> {
  for (const entry of await readdir(directory, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name)
    const found = await stat(path)
    if (!found.isFile()) continue
    const name = relative(directory, path).split(sep).join('/')
    yield renderFileHeader({ name, mode: 0o644, size: found.size })
    // What grows meanwhile is of no use.
    if (found.size > 0) yield* createReadStream(path, { end: found.size - 1 }) as ReadStream
    yield Buffer.alloc(tarPadding(found.size) % TAR_BLOCK)
  }
  yield renderTar([])
}
