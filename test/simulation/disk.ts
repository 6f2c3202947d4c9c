/**
 * A member's disk. What was not flushed is lost in a power cut, sector by sector and in any order; flushes take
 * time, may fail, and what was flushed may rot.
 */
import type { Disk, DiskFile } from '../../src/runtime/store/log/disk.ts'
import type { SimulationOptions } from './options.ts'
import type { World } from './world.ts'

const SECTOR_BYTES = 512

interface StoredFile {
  /** What a reader sees: the page cache. */
  bytes: Buffer
  /** What survives a power cut. */
  durable: Buffer
  /** Writes since the last flush. */
  pending: { readonly position: number; readonly bytes: Buffer }[]
  /** Frames that were flushed, oldest first. */
  flushed: { readonly position: number; readonly length: number }[]
}

export class SimulatedDisk {
  readonly #world: World
  readonly #options: SimulationOptions
  readonly #stream: string
  #names = new Map<string, StoredFile>()
  #durableNames = new Map<string, StoredFile>()
  #pendingNames: ((names: Map<string, StoredFile>) => void)[] = []
  #slowUntil = 0
  #stalledUntil = 0
  #faulty = true

  constructor(world: World, options: SimulationOptions, owner: number) {
    this.#world = world
    this.#options = options
    this.#stream = `disk ${owner}`
  }

  slowDown(duration: number): void {
    this.#slowUntil = this.#world.now + duration
  }

  /** Nothing becomes durable until then. */
  stall(duration: number): void {
    this.#stalledUntil = this.#world.now + duration
  }

  becomeSound(): void {
    this.#faulty = false
    this.#slowUntil = 0
    this.#stalledUntil = 0
  }

  /** Only what was flushed is left, and of the rest whatever sectors happened to be written. */
  cutPower(): void {
    const { random } = { random: this.#world.random(this.#stream) }
    const made = Math.floor(random.float() * (this.#pendingNames.length + 1))
    for (const change of this.#pendingNames.slice(0, made)) change(this.#durableNames)
    this.#pendingNames = []
    this.#names = new Map(this.#durableNames)
    for (const file of this.#names.values()) {
      for (const { position, bytes } of file.pending) this.#tear(file, position, bytes)
      file.pending = []
      file.bytes = Buffer.from(file.durable)
    }
  }

  #tear(file: StoredFile, position: number, bytes: Buffer): void {
    const share = this.#world.random(this.#stream).float()
    for (let at = 0; at < bytes.length; ) {
      const end = Math.min(bytes.length, at + SECTOR_BYTES - ((position + at) % SECTOR_BYTES))
      if (this.#world.random(this.#stream).float() < share) {
        file.durable = grown(file.durable, position + end)
        bytes.copy(file.durable, position + at, at, end)
      }
      at = end
    }
  }

  /** Flips a bit in a frame that was flushed and is not the last one of the log; false when there is none. */
  rot(): boolean {
    const { random } = { random: this.#world.random(this.#stream) }
    const segments = [...this.#names].filter(([name]) => /^\d+\.wal$/.test(name)).sort()
    const [name, file] = segments.at(-1) ?? []
    const frame = file?.flushed[Math.floor(random.float() * (file.flushed.length - 1))]
    if (!file || !frame || file.flushed.length < 2) return false
    const at = frame.position + Math.floor(random.float() * frame.length)
    for (const bytes of [file.bytes, file.durable])
      bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(random.float() * 8))
    this.#world.trace(() => `${this.#stream} rots in ${name} at ${at}`)
    return true
  }

  /** The disk as one life of its member sees it; a later life sees the same files through another one. */
  open(isAlive: () => boolean, wait: (delay: number) => Promise<void>): Disk {
    const check = () => {
      if (!isAlive()) throw new Error('this life is over')
    }
    const file = (name: string): StoredFile => {
      const found = this.#names.get(name)
      if (!found) throw new Error(`no file ${name}`)
      return found
    }
    const rename = (from: string, to: string) => (names: Map<string, StoredFile>) => {
      const moved = names.get(from)
      if (moved) names.set(to, moved)
      names.delete(from)
    }
    const change = (act: (names: Map<string, StoredFile>) => void) => {
      check()
      act(this.#names)
      this.#pendingNames.push(act)
    }
    return {
      list: async () => [...this.#names.keys()],
      createZeroed: async (name, size) => {
        await wait(this.#latency())
        const created = { bytes: Buffer.alloc(size), durable: Buffer.alloc(size), pending: [], flushed: [] }
        change(names => void names.set(name, created))
      },
      open: async name => this.#openFile(file(name), check, wait),
      rename: async (from, to) => {
        file(from).flushed = []
        change(rename(from, to))
      },
      remove: async name => change(names => void names.delete(name)),
      flushDirectory: async () => {
        await wait(this.#latency())
        check()
        for (const act of this.#pendingNames.splice(0)) act(this.#durableNames)
      },
    }
  }

  #openFile(file: StoredFile, check: () => void, wait: (delay: number) => Promise<void>): DiskFile {
    return {
      size: file.bytes.length,
      read: (position, length) => Buffer.from(file.bytes.subarray(position, position + length)),
      write: (bytes, position) => {
        check()
        const copy = Buffer.from(bytes)
        file.bytes = grown(file.bytes, position + copy.length)
        copy.copy(file.bytes, position)
        file.pending.push({ position, bytes: copy })
      },
      flush: async () => {
        const flushing = file.pending.slice()
        await wait(this.#latency())
        check()
        if (this.#faulty && this.#world.chance(this.#stream, this.#options.flushErrors)) {
          throw new Error('EIO: i/o error, fdatasync')
        }
        if (this.#options.skipsFlush) return
        for (const { position, bytes } of flushing) {
          file.durable = grown(file.durable, position + bytes.length)
          bytes.copy(file.durable, position)
          if (position > 0) file.flushed.push({ position, length: bytes.length })
        }
        file.pending = file.pending.filter(write => !flushing.includes(write))
      },
      close: () => {},
    }
  }

  #latency(): number {
    const { flush, flushSpread } = this.#options
    const slow = this.#world.now < this.#slowUntil ? 150 : 0
    const random = this.#world.random(this.#stream)
    const stall = Math.max(0, this.#stalledUntil - this.#world.now)
    return stall + flush + random.float() ** 4 * (this.#faulty ? flushSpread : 0) + slow * random.float()
  }
}

function grown(bytes: Buffer, length: number): Buffer {
  if (bytes.length >= length) return bytes
  const larger = Buffer.alloc(length)
  bytes.copy(larger)
  return larger
}
