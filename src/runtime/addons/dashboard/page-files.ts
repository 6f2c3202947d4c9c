/** The page's files as they are sent: made by scripts/build-dashboard.ts, compressed there, in memory here. */
import { brotliDecompressSync } from 'node:zlib'
import { readAsset } from '../../../host/assets.ts'

export interface PageFile {
  readonly type: string
  /** Its name changes with its contents. */
  readonly isImmutable: boolean
  readonly tag: string
  readonly brotli: Buffer
  readonly gzip: Buffer
}

interface StoredFile extends Omit<PageFile, 'brotli' | 'gzip'> {
  readonly brotli: string
  readonly gzip: string
}

export function readPageFiles(): ReadonlyMap<string, PageFile> {
  const stored = JSON.parse(readAsset('dashboard.json')) as Record<string, StoredFile>
  return new Map(
    Object.entries(stored).map(([path, file]) => [
      path,
      {
        ...file,
        brotli: Buffer.from(file.brotli, 'base64'),
        gzip: Buffer.from(file.gzip, 'base64'),
      },
    ]),
  )
}

/** In the form that the client takes. */
export function encodedFor(file: PageFile, acceptEncoding: string): { encoding: string; body: Buffer } {
  const accepted = acceptEncoding.split(',').map(each => each.split(';')[0]?.trim())
  if (accepted.includes('br')) return { encoding: 'br', body: file.brotli }
  if (accepted.includes('gzip')) return { encoding: 'gzip', body: file.gzip }
  return { encoding: 'identity', body: brotliDecompressSync(file.brotli) }
}
