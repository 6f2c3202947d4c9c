/** Writes a tar archive (ustar) of a few files that are in memory. Pure. */
import { assert } from '../../base/assert.ts'

export interface TarFile {
  readonly name: string
  readonly content: string
}

const BLOCK_BYTES = 512
const NAME_BYTES_MAX = 100
const FILE_MODE = '0000600'

/** The bytes of the archive, before compression. */
export function renderTar(files: readonly TarFile[], modifiedMs: number): Buffer {
  const parts: Buffer[] = []
  for (const { name, content } of files) {
    const body = Buffer.from(content, 'utf8')
    const padding = (BLOCK_BYTES - (body.length % BLOCK_BYTES)) % BLOCK_BYTES
    parts.push(header(name, body.length, modifiedMs), body, Buffer.alloc(padding))
  }
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK_BYTES)])
}

function header(name: string, size: number, modifiedMs: number): Buffer {
  assert(Buffer.byteLength(name) <= NAME_BYTES_MAX, 'the name of a file in an archive is short')
  const block = Buffer.alloc(BLOCK_BYTES)
  const put = (text: string, offset: number) => block.write(text, offset, 'utf8')
  put(name, 0)
  put(FILE_MODE, 100)
  put('0000000', 108)
  put('0000000', 116)
  put(octal(size, 11), 124)
  put(octal(Math.floor(modifiedMs / 1_000), 11), 136)
  put(' '.repeat(8), 148)
  put('0', 156)
  put('ustar', 257)
  put('00', 263)
  put('root', 265)
  put('root', 297)
  const sum = block.reduce((total, byte) => total + byte, 0)
  put(`${octal(sum, 6)}\0 `, 148)
  return block
}

const octal = (value: number, digits: number): string => value.toString(8).padStart(digits, '0')
