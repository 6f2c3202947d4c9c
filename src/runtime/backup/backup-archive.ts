/**
 * The archive inside a backup: a tar file, so that `tar` and `sha256sum --check` do for one that is not encrypted.
 * The manifest comes first, the parts follow in its order, and the checksums of all of them are last.
 */
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { renderFileHeader, TAR_BLOCK, tarPadding } from '../../base/tar.ts'
import {
  type BackupManifest,
  CHECKSUMS_NAME,
  MANIFEST_NAME,
  renderChecksums,
  renderManifest,
} from './manifest.ts'

const PIECE_BYTES = 1024 * 1024
const END_BYTES = 2 * TAR_BLOCK
export const ENTRY_MODE = 0o600

/** A part that is complete and will not change any more: in memory, or in a file. */
export interface StagedPart {
  readonly name: string
  readonly size: number
  readonly sha256: string
  readonly content: Buffer | { readonly path: string }
}

export const stageBytes = (name: string, content: Buffer): StagedPart => ({
  name,
  size: content.length,
  sha256: createHash('sha256').update(content).digest('hex'),
  content,
})

export async function stageFile(name: string, path: string): Promise<StagedPart> {
  const hash = createHash('sha256')
  let size = 0
  for await (const piece of piecesOf(path)) {
    hash.update(piece)
    size += piece.length
  }
  return { name, size, sha256: hash.digest('hex'), content: { path } }
}

/** The whole archive: its size, which is known before its bytes are. Its pieces are good until the next one. */
export function planArchive(
  manifest: BackupManifest,
  staged: readonly StagedPart[],
): { readonly size: number; readonly bytes: () => AsyncGenerator<Buffer> } {
  const first = stageBytes(MANIFEST_NAME, renderManifest(manifest))
  const last = stageBytes(CHECKSUMS_NAME, renderChecksums([first, ...staged]))
  const entries = [first, ...staged, last]
  const size = entries.reduce(
    (sum, entry) => sum + TAR_BLOCK + entry.size + tarPadding(entry.size),
    END_BYTES,
  )
  return { size, bytes: () => renderArchive(entries, Date.parse(manifest.createdAt)) }
}

async function* renderArchive(entries: readonly StagedPart[], modifiedMs: number): AsyncGenerator<Buffer> {
  for (const { name, size, content } of entries) {
    yield renderFileHeader({ name, mode: ENTRY_MODE, size }, { modifiedMs })
    if (Buffer.isBuffer(content)) yield content
    else yield* piecesOf(content.path)
    if (tarPadding(size) > 0) yield Buffer.alloc(tarPadding(size))
  }
  yield Buffer.alloc(END_BYTES)
}

/** Each piece is good until the next one is asked for: they share their memory. */
async function* piecesOf(path: string): AsyncGenerator<Buffer> {
  const file = await open(path, 'r')
  const buffer = Buffer.allocUnsafe(PIECE_BYTES)
  try {
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, PIECE_BYTES, null)
      if (bytesRead === 0) return
      yield buffer.subarray(0, bytesRead)
    }
  } finally {
    await file.close()
  }
}
