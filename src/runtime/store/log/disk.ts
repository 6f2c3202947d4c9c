/**
 * The disk as the write-ahead log sees it: an interface, so that tests can tear, corrupt, lose and fail, and
 * its real form on a directory. Writes reach the page cache at once; only `flush` makes them durable.
 */
import * as fs from 'node:fs'
import { open, readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type Clock, systemClock } from '../../../base/clock.ts'
import { flushDirectory } from '../../../host/flush.ts'
import { rename } from '../../../host/rename.ts'
import { FlushManner } from './flush-manner.ts'

export interface DiskFile {
  readonly size: number
  /** Reads up to `length` bytes at `position`; fewer only at the end of the file. */
  read(position: number, length: number): Buffer
  write(bytes: Uint8Array, position: number): void
  flush(): Promise<void>
  close(): void
}

export interface Disk {
  list(): Promise<string[]>
  /** A new file of `size` zeros, written out and flushed. */
  createZeroed(name: string, size: number): Promise<void>
  open(name: string): Promise<DiskFile>
  rename(from: string, to: string): Promise<void>
  remove(name: string): Promise<void>
  /** Makes creations, renames and removals durable. */
  flushDirectory(): Promise<void>
}

/**
 * Zeros are written in single pages. One large write would make large folios in the page cache, and Linux then
 * accounts (and may write) a whole folio for every small frame that is overwritten in it.
 */
const PAGE_BYTES = 4096
const PAGES_PER_TURN = 64
const fdatasync = promisify(fs.fdatasync)

export function createDirectoryDisk(directory: string, clock: Pick<Clock, 'monotonic'> = systemClock): Disk {
  fs.mkdirSync(directory, { recursive: true, mode: 0o700 })
  const manner = new FlushManner()
  const flush = async (fd: number) => {
    const begun = clock.monotonic()
    if (manner.isQuick) fs.fdatasyncSync(fd)
    else await fdatasync(fd)
    manner.took(clock.monotonic() - begun)
  }
  return {
    list: () => readdir(directory),
    async createZeroed(name, size) {
      const handle = await open(join(directory, name), 'w', 0o600)
      try {
        await writeZeros(handle.fd, size)
        await handle.datasync()
      } finally {
        await handle.close()
      }
    },
    open: async name => openFile(join(directory, name), flush),
    rename: (from, to) => rename(join(directory, from), join(directory, to)),
    remove: name => unlink(join(directory, name)),
    async flushDirectory() {
      await flushDirectory(directory)
    },
  }
}

async function writeZeros(fd: number, size: number): Promise<void> {
  const zeros = Buffer.alloc(PAGE_BYTES)
  for (let at = 0, pages = 1; at < size; pages++) {
    at += fs.writeSync(fd, zeros, 0, Math.min(PAGE_BYTES, size - at), at)
    if (pages % PAGES_PER_TURN === 0) await setImmediate()
  }
}

function openFile(path: string, flush: (fd: number) => Promise<void>): DiskFile {
  const fd = fs.openSync(path, 'r+')
  const size = fs.fstatSync(fd).size
  return {
    size,
    read(position, length) {
      const bytes = Buffer.allocUnsafeSlow(Math.max(0, Math.min(length, size - position)))
      let done = 0
      while (done < bytes.length) {
        const got = fs.readSync(fd, bytes, done, bytes.length - done, position + done)
        if (got === 0) break
        done += got
      }
      return bytes.subarray(0, done)
    },
    write(bytes, position) {
      for (let done = 0; done < bytes.length; ) {
        done += fs.writeSync(fd, bytes, done, bytes.length - done, position + done)
      }
    },
    flush: () => flush(fd),
    close: () => fs.closeSync(fd),
  }
}
