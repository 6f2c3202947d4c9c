/**
 * Unpacks one layer of an image into a directory for overlay: files with their owners, modes, times and attributes,
 * and marks for what the layer takes away. Nothing in an archive can lead out of the directory.
 */
import { createHash } from 'node:crypto'
import { chmod, lchown, link, lstat, lutimes, mkdir, open, rm, symlink } from 'node:fs/promises'
import { join, posix } from 'node:path'
import { PassThrough, Readable, type Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { extract, type Header } from 'tar-stream'
import { Mk8sError, systemCodeOf } from '../../../../../base/errors.ts'
import { resolveInside } from '../resolve-inside.ts'
import {
  deviceNumber,
  makeSpecialFiles,
  NODE_TYPES,
  opaque,
  type SpecialFile,
  whiteout,
} from './special-files.ts'

/** Of one layer, unpacked. */
const LAYER_BYTES_MAX = 64 * 1024 ** 3
const LAYER_ENTRIES_MAX = 5_000_000
const GZIP = Buffer.from([0x1f, 0x8b])
const ZSTD = Buffer.from([0x28, 0xb5, 0x2f, 0xfd])
const WHITEOUT = '.wh.'
const OPAQUE = '.wh..wh..opq'
const ATTRIBUTE = 'SCHILY.xattr.'
const MODE_BITS = 0o7777

export interface UnpackedLayer {
  /** Of the archive before compression. */
  readonly diffId: string
  readonly bytes: number
}

/** `lower`: directories of the layers below, the topmost first, for links to what lies in them. */
export async function unpackLayer(
  packed: AsyncIterable<Uint8Array>,
  directory: string,
  lower: readonly string[] = [],
): Promise<UnpackedLayer> {
  const hash = createHash('sha256')
  const writer = new LayerWriter(directory, lower)
  const plain = await decompress(packed)
  const archive = extract()
  let bytes = 0
  const counted = async function* () {
    for await (const chunk of plain as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > LAYER_BYTES_MAX) throw invalid(`the layer is larger than ${LAYER_BYTES_MAX} bytes`)
      hash.update(chunk)
      yield chunk
    }
  }
  const feeding = pipeline(counted, archive)
  feeding.catch(error => archive.destroy(error))
  for await (const entry of archive) {
    await writer.add(entry.header, entry as AsyncIterable<Uint8Array>)
    entry.resume()
  }
  await feeding
  await writer.finish()
  return { diffId: `sha256:${hash.digest('hex')}`, bytes }
}

/** By the first bytes, since media types lie. */
async function decompress(packed: AsyncIterable<Uint8Array>): Promise<Readable> {
  const source = Readable.from(packed, { objectMode: false })
  const head = await firstBytes(source)
  const step: Transform = head.subarray(0, 2).equals(GZIP)
    ? createGunzip()
    : head.subarray(0, 4).equals(ZSTD)
      ? createZstdDecompress()
      : new PassThrough()
  // What fails, fails the one that reads.
  pipeline(source, step).catch(error => step.destroy(error))
  return step
}

async function firstBytes(source: Readable): Promise<Buffer> {
  let head: Buffer = Buffer.alloc(0)
  while (head.length < 4) {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    source.once('readable', resolve).once('end', resolve).once('error', reject)
    await promise
    const chunk = source.read() as Buffer | null
    if (chunk === null) break
    head = Buffer.concat([head, chunk])
  }
  if (head.length > 0) source.unshift(head)
  return head
}

class LayerWriter {
  readonly #directory: string
  readonly #lower: readonly string[]
  /** Made last; by path, so that what gives way to another entry takes its own along. */
  readonly #special = new Map<string, SpecialFile[]>()
  /** Set last, since what is put into a directory changes them. */
  readonly #times = new Map<string, Date>()
  readonly #made = new Set<string>()
  #entries = 0

  constructor(directory: string, lower: readonly string[]) {
    this.#directory = directory
    this.#lower = lower
  }

  async add(header: Header, content: AsyncIterable<Uint8Array>): Promise<void> {
    if (++this.#entries > LAYER_ENTRIES_MAX)
      throw invalid(`the layer has more than ${LAYER_ENTRIES_MAX} entries`)
    const name = insideName(header.name)
    if (name === '.') return this.#dress(this.#directory, header)
    const base = posix.basename(name)
    const parent = await this.#parent(posix.dirname(name))
    if (base === OPAQUE) return this.#later(opaque(parent))
    if (base.startsWith(WHITEOUT)) {
      const name = base.slice(WHITEOUT.length)
      if (['', '.', '..'].includes(name)) throw invalid(`${base} takes nothing away that has a name`)
      const hidden = join(parent, name)
      await this.#clear(hidden)
      return this.#later(whiteout(hidden))
    }
    await this.#write(join(parent, base), header, content)
  }

  async finish(): Promise<void> {
    await makeSpecialFiles([...this.#special.values()].flat())
    for (const [path, time] of [...this.#times].reverse()) await lutimes(path, time, time)
  }

  /**
   * Makes room for another entry. What is remembered of the old one goes along: a link that takes its place would
   * lead whatever is done by those paths later out of the layer.
   */
  async #clear(path: string): Promise<void> {
    const found = await lstat(path).catch(() => null)
    if (found?.isDirectory()) {
      await rm(path, { recursive: true, force: true })
      for (const paths of [this.#made, this.#times, this.#special]) forgetBelow(paths, path)
    } else if (found !== null) await rm(path, { force: true })
    this.#made.delete(path)
    this.#times.delete(path)
    this.#special.delete(path)
  }

  #later(file: SpecialFile): void {
    this.#special.set(file.path, [...(this.#special.get(file.path) ?? []), file])
  }

  async #write(path: string, header: Header, content: AsyncIterable<Uint8Array>): Promise<void> {
    switch (header.type) {
      case 'directory':
        await this.#makeDirectory(path)
        break
      case 'file':
      case 'contiguous-file':
        await this.#clear(path)
        await writeContent(path, content)
        break
      case 'symlink':
        await this.#clear(path)
        await symlink(header.linkname ?? '', path)
        break
      case 'link':
        return this.#link(path, header.linkname ?? '')
      case 'character-device':
      case 'block-device':
      case 'fifo': {
        await this.#clear(path)
        const device = deviceNumber(header.devmajor ?? 0, header.devminor ?? 0)
        const mode = NODE_TYPES[header.type] | ((header.mode ?? 0) & MODE_BITS)
        return this.#later({ kind: 'node', path, mode, device })
      }
      default:
        return
    }
    await this.#dress(path, header)
  }

  async #makeDirectory(path: string): Promise<void> {
    if (this.#made.has(path)) return
    try {
      await mkdir(path)
      this.#special.delete(path)
    } catch (error) {
      if (systemCodeOf(error) !== 'EEXIST') throw error
      // A directory stays; anything else gives way.
      if (!(await lstat(path)).isDirectory()) {
        await this.#clear(path)
        await mkdir(path)
      }
    }
    this.#made.add(path)
  }

  /** The directory that a name lies in, made if the archive has not made it; links lead within the layer only. */
  async #parent(name: string): Promise<string> {
    const plain = join(this.#directory, name)
    if (name === '.' || this.#made.has(plain)) return plain
    const resolved = await resolveInside(this.#directory, name)
    if (resolved !== null) return resolved
    const parent = await this.#parent(posix.dirname(name))
    const path = join(parent, posix.basename(name))
    await this.#makeDirectory(path)
    await chmod(path, 0o755)
    return path
  }

  async #link(path: string, target: string): Promise<void> {
    const name = insideName(target)
    await this.#clear(path)
    for (const root of [this.#directory, ...this.#lower]) {
      const parent = await resolveInside(root, posix.dirname(name))
      if (parent === null) continue
      const from = join(parent, posix.basename(name))
      try {
        await link(from, path)
        return
      } catch (error) {
        if (systemCodeOf(error) !== 'ENOENT') throw error
      }
    }
    throw invalid(`the link ${path.slice(this.#directory.length)} leads to ${target}, which is not there`)
  }

  async #dress(path: string, { uid, gid, mode, mtime, type, pax }: Header): Promise<void> {
    await lchown(path, uid ?? 0, gid ?? 0)
    if (type !== 'symlink') await chmod(path, (mode ?? 0o755) & MODE_BITS)
    if (mtime !== undefined && mtime !== null) {
      if (type === 'directory') this.#times.set(path, mtime)
      else await lutimes(path, mtime, mtime)
    }
    for (const [key, value] of Object.entries(pax ?? {})) {
      if (!key.startsWith(ATTRIBUTE)) continue
      const name = key.slice(ATTRIBUTE.length)
      // The archive's reader takes values for text: one that is none would come out wrong.
      if (name.startsWith('trusted.overlay.') || value.includes('\ufffd')) continue
      this.#later({ kind: 'attribute', path, name, value: Buffer.from(value) })
    }
  }
}

function forgetBelow(paths: Map<string, unknown> | Set<string>, directory: string): void {
  for (const path of paths.keys()) if (path.startsWith(`${directory}/`)) paths.delete(path)
}

async function writeContent(path: string, content: AsyncIterable<Uint8Array>): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    // Not `write`, which may write a part only where the disk is almost full.
    for await (const chunk of content) await file.writeFile(chunk)
  } finally {
    await file.close()
  }
}

/** Without a leading slash or `./`; throws for what leads up. */
function insideName(name: string): string {
  const normal = posix.normalize(name).replace(/^\/+/, '').replace(/\/+$/, '')
  if (normal === '..' || normal.startsWith('../')) throw invalid(`the name ${name} leads out of the image`)
  return normal === '' ? '.' : normal
}

const invalid = (why: string) =>
  new Mk8sError('kubelet/runtime', `a layer of the image cannot be unpacked: ${why}`)
