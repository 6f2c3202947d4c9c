/** A disk in memory that can lose what was not flushed, tear, rot and refuse. */
import type { Disk, DiskFile } from '../../../../../src/runtime/store/log/disk.ts'

interface StoredFile {
  /** What a reader sees: the page cache. */
  bytes: Buffer
  /** What survives a power cut. */
  durable: Buffer
}

export class SimulatedDisk implements Disk {
  readonly files = new Map<string, StoredFile>()
  /** Flushes fail from now on. */
  failing: Error | null = null
  /** Flushes wait for this. */
  hang: Promise<void> | null = null
  flushes = 0

  async list(): Promise<string[]> {
    return [...this.files.keys()]
  }

  async createZeroed(name: string, size: number): Promise<void> {
    this.#check()
    this.files.set(name, { bytes: Buffer.alloc(size), durable: Buffer.alloc(size) })
  }

  async open(name: string): Promise<DiskFile> {
    const file = this.file(name)
    return {
      size: file.bytes.length,
      read: (position, length) => Buffer.from(file.bytes.subarray(position, position + length)),
      write(bytes, position) {
        Buffer.from(bytes).copy(file.bytes, position)
      },
      flush: async () => {
        this.#check()
        await this.hang
        this.flushes++
        file.durable = Buffer.from(file.bytes)
      },
      close() {},
    }
  }

  async rename(from: string, to: string): Promise<void> {
    this.files.set(to, this.file(from))
    this.files.delete(from)
  }

  async remove(name: string): Promise<void> {
    this.files.delete(name)
  }

  async flushDirectory(): Promise<void> {
    this.#check()
  }

  /** Only what was flushed is left. */
  cutPower(): void {
    for (const file of this.files.values()) file.bytes = Buffer.from(file.durable)
  }

  file(name: string): StoredFile {
    const file = this.files.get(name)
    if (file === undefined) throw new Error(`no file ${name}`)
    return file
  }

  #check(): void {
    if (this.failing !== null) throw this.failing
  }
}
