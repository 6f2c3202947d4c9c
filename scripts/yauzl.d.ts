/** The part of yauzl 3 that the set-up uses; the package ships no types. */
declare module 'yauzl' {
  import type { Readable } from 'node:stream'
  export interface Entry {
    readonly fileName: string
  }
  export interface ZipFile {
    eachEntry(): AsyncIterable<Entry>
    openReadStreamPromise(entry: Entry): Promise<Readable>
  }
  export function openPromise(path: string, options: { lazyEntries: boolean }): Promise<ZipFile>
}
