/** What power cuts and bad disks do to the files of a store that is not running. */
import { execFileSync } from 'node:child_process'
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { must } from '../../src/base/assert.ts'
import type { Random } from '../../src/base/random.ts'
import type { DiskFile } from '../../src/runtime/store/log/disk.ts'
import {
  decodeSegmentHeader,
  FRAME_HEADER_BYTES,
  SEGMENT_HEADER_BYTES,
  sealFrame,
} from '../../src/runtime/store/log/frame.ts'
import { scanSegment } from '../../src/runtime/store/log/segment-scan.ts'

/** The log's segments, in order. */
export function segmentsOf(store: string): string[] {
  const directory = join(store, 'wal')
  const names = readdirSync(directory).filter(name => /^\d{16}\.wal$/.test(name))
  return names.sort().map(name => join(directory, name))
}

export interface LogEnd {
  readonly path: string
  /** Where the last frame begins and where the intact ones end. */
  readonly lastFrame: number
  readonly end: number
}

/** Where the log ends, in its last segment. */
export function logEnd(store: string): LogEnd {
  const path = must(segmentsOf(store).at(-1), 'a segment')
  const { end, lastFrame } = scan(path)
  return { path, end, lastFrame }
}

/** The power went while a frame was written: its beginning is there, the rest is what was there before. */
export function tearNextFrame(store: string): void {
  const path = must(segmentsOf(store).at(-1), 'a segment')
  const { end, salt, nextSequence } = scan(path)
  const frame = Buffer.alloc(FRAME_HEADER_BYTES + 6_000, 0x5a)
  sealFrame(frame, salt, nextSequence)
  overwrite(path, end, frame.subarray(0, 2_048))
}

function scan(path: string) {
  const handle = openSync(path, 'r')
  try {
    const file = readOnlyFile(handle, statSync(path).size)
    const outcome = decodeSegmentHeader(file.read(0, SEGMENT_HEADER_BYTES))
    if (outcome.kind !== 'ok') throw new Error(`${path} has no header`)
    const { header } = outcome
    let [at, lastFrame] = [SEGMENT_HEADER_BYTES, SEGMENT_HEADER_BYTES]
    const { end, nextSequence } = scanSegment(file, header, records => {
      lastFrame = at
      at += FRAME_HEADER_BYTES + records.length
    })
    return { end, lastFrame, nextSequence, salt: header.salt }
  } finally {
    closeSync(handle)
  }
}

function readOnlyFile(handle: number, size: number): DiskFile {
  const refuse = () => {
    throw new Error('it is only read')
  }
  return {
    size,
    read(position, length) {
      const bytes = Buffer.alloc(Math.max(0, Math.min(length, size - position)))
      return bytes.subarray(0, readSync(handle, bytes, 0, bytes.length, position))
    },
    write: refuse,
    flush: refuse,
    close: refuse,
  }
}

export function overwrite(path: string, position: number, bytes: Uint8Array): void {
  const handle = openSync(path, 'r+')
  writeSync(handle, bytes, 0, bytes.length, position)
  closeSync(handle)
}

export function flipBit(path: string, position: number, bit: number): void {
  const handle = openSync(path, 'r+')
  const byte = Buffer.alloc(1)
  readSync(handle, byte, 0, 1, position)
  writeSync(handle, Buffer.of((byte[0] ?? 0) ^ (1 << bit)), 0, 1, position)
  closeSync(handle)
}

/** Half of the database's file is gone. */
export function truncateDatabase(store: string): void {
  const path = join(store, 'state.sqlite')
  truncateSync(path, Math.floor(statSync(path).size / 2))
}

/** As after a power cut: the machine was started anew, and the store was not closed. */
export function forgetBoot(store: string): void {
  const database = new DatabaseSync(join(store, 'state.sqlite'))
  database.exec("UPDATE meta SET value = 'another boot' WHERE name = 'bootId'")
  database.exec("UPDATE meta SET value = 0 WHERE name = 'clean'")
  database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  database.close()
}

/** A file system of so many bytes in memory; null where this process may not mount one. */
export class SmallFileSystem {
  readonly path: string
  #mounted = false

  constructor(path: string, bytes: number) {
    this.path = path
    mkdirSync(path, { recursive: true })
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=0700`, 'mk8s-test', path], {
      stdio: 'pipe',
    })
    this.#mounted = true
  }

  resize(bytes: number): void {
    execFileSync('mount', ['-o', `remount,size=${bytes}`, this.path], { stdio: 'pipe' })
  }

  remove(): void {
    if (this.#mounted) execFileSync('umount', ['-l', this.path], { stdio: 'pipe' })
    this.#mounted = false
  }
}

/**
 * A file system on a file, whose power can be cut: what reached the file by then is all that there is afterwards, so
 * that whatever was written and not flushed is gone.
 */
export class PoweredFileSystem {
  readonly path: string
  readonly #image: string
  #mounted = false

  constructor(directory: string, name: string, bytes: number) {
    this.path = join(directory, name)
    this.#image = join(directory, `${name}.image`)
    mkdirSync(this.path, { recursive: true })
    writeFileSync(this.#image, '')
    truncateSync(this.#image, bytes)
    execFileSync('mkfs.ext4', ['-q', '-F', this.#image], { stdio: 'pipe' })
    this.#mount()
  }

  /** This is the moment; programs may still hold their files, and have to end before the power is back. */
  cut(): void {
    execFileSync('cp', ['--sparse=always', this.#image, `${this.#image}.cut`], { stdio: 'pipe' })
  }

  /** The power is back. */
  restore(): void {
    this.remove()
    renameSync(`${this.#image}.cut`, this.#image)
    this.#mount()
  }

  remove(): void {
    if (this.#mounted) execFileSync('umount', [this.path], { stdio: 'pipe' })
    this.#mounted = false
  }

  #mount(): void {
    execFileSync('mount', ['-o', 'loop', this.#image, this.path], { stdio: 'pipe' })
    this.#mounted = true
  }
}

export function whyNoFileSystems(): string | null {
  return process.platform === 'linux' && process.getuid?.() === 0 ? null : 'mounting a file system needs root'
}

/** Every file of the store that holds data. */
export function filesOf(store: string): string[] {
  return [...segmentsOf(store), join(store, 'state.sqlite')]
}

/** Somewhere in the part of the file that is in use; returns where. */
export function flipRandomBit(files: readonly string[], random: Random): string {
  const path = must(files[Math.floor(random.float() * files.length)], 'a file')
  const size = path.endsWith('.wal') ? scan(path).end : statSync(path).size
  const [position, bit] = [Math.floor(random.float() * size), Math.floor(random.float() * 8)]
  flipBit(path, position, bit)
  return `bit ${bit} of byte ${position} of ${basename(path)}`
}
