/** Writes ustar archives (pure). Times are zero unless one is given, so that the same entries give the same bytes. */

export type TarEntry =
  | { readonly type: 'file'; readonly name: string; readonly mode: number; readonly content: Buffer }
  | { readonly type: 'directory'; readonly name: string; readonly mode: number }
  | { readonly type: 'link'; readonly name: string; readonly target: string }
  | { readonly type: 'symlink'; readonly name: string; readonly target: string }

export const TAR_BLOCK = 512
/** Eleven octal digits. */
export const TAR_SIZE_MAX = 8 ** 11 - 1
const NAME_LENGTH_MAX = 100
const TYPE_FLAGS = { file: '0', link: '1', symlink: '2', directory: '5' } as const

export interface TarOptions {
  /** Wall time of every entry. */
  readonly modifiedMs?: number
  /** Name of the user and the group that everything belongs to. */
  readonly owner?: string
}

/** The bytes of the archive, before compression. Throws RangeError for a name of more than 100 bytes. */
export function renderTar(entries: readonly TarEntry[], options: TarOptions = {}): Buffer {
  const parts: Buffer[] = []
  for (const entry of entries) {
    const content = entry.type === 'file' ? entry.content : Buffer.alloc(0)
    parts.push(
      renderHeader(entry, content.length, options),
      content,
      Buffer.alloc(tarPadding(content.length)),
    )
  }
  return Buffer.concat([...parts, Buffer.alloc(2 * TAR_BLOCK)])
}

/** What fills the last block of a file of this size. */
export const tarPadding = (size: number): number => (TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK

/** The block before a file's bytes, for archives that are written piece by piece. */
export function renderFileHeader(
  file: { readonly name: string; readonly mode: number; readonly size: number },
  options: TarOptions = {},
): Buffer {
  if (file.size > TAR_SIZE_MAX) throw new RangeError(`${file.name} is too large for an archive`)
  const { name, mode } = file
  return renderHeader({ type: 'file', name, mode, content: Buffer.alloc(0) }, file.size, options)
}

function renderHeader(entry: TarEntry, size: number, { modifiedMs = 0, owner = '' }: TarOptions): Buffer {
  const name = entry.type === 'directory' ? `${entry.name}/` : entry.name
  const target = 'target' in entry ? entry.target : ''
  if (Buffer.byteLength(name) > NAME_LENGTH_MAX || Buffer.byteLength(target) > NAME_LENGTH_MAX) {
    throw new RangeError(`the name ${name} is too long for an archive`)
  }
  const header = Buffer.alloc(TAR_BLOCK)
  const octal = (value: number, at: number, length: number) =>
    header.write(value.toString(8).padStart(length - 1, '0'), at, 'latin1')
  header.write(name, 0)
  octal('mode' in entry ? entry.mode : 0o777, 100, 8)
  octal(0, 108, 8)
  octal(0, 116, 8)
  octal(size, 124, 12)
  octal(Math.floor(modifiedMs / 1_000), 136, 12)
  header.write(' '.repeat(8), 148)
  header.write(TYPE_FLAGS[entry.type], 156)
  header.write(target, 157)
  header.write('ustar\0', 257, 'latin1')
  header.write('00', 263)
  header.write(owner, 265)
  header.write(owner, 297)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return header
}
