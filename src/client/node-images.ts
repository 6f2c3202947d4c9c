/** What a node's daemon can do with the images of its container runtime, for commands and other nodes. */

/** What `docker save` and other tools call archives. */
export const ARCHIVE_NAME = /\.(tar|tgz|tzst|tar\.(gz|zst))$/

export interface NodeImage {
  readonly id: string
  readonly names: readonly string[]
  readonly sizeBytes: number
}

/** What became of an archive, or of a removal, on one node. */
export interface NodeImport {
  readonly node: string
  /** Names of the images that were in it, or are gone; empty when it failed. */
  readonly images: readonly string[]
  /** Why it failed; empty when it did not. */
  readonly problem: string
}

export interface ImportOptions {
  /** Of the whole archive, when that is known. */
  readonly sizeBytes?: number | undefined
}

export interface RemoveOptions {
  /** Also what pods use. */
  readonly force?: boolean | undefined
  /** What is not there is none of it. */
  readonly ifPresent?: boolean | undefined
}

export interface ImageHandlers {
  list(): Promise<readonly NodeImage[]>
  /** All of the archive or nothing; returns the names of the images that were in it. */
  import(archive: AsyncIterable<Uint8Array>, options?: ImportOptions): Promise<readonly string[]>
  /** Also into every other node of the cluster. Absent on a worker. */
  importEverywhere?(
    archive: AsyncIterable<Uint8Array>,
    options?: ImportOptions,
  ): Promise<readonly NodeImport[]>
  /** An OCI archive of these images. */
  export(names: readonly string[]): Promise<AsyncIterable<Uint8Array>>
  /** Returns the names that they had. What containers of pods are made of stays, unless forced. */
  remove(names: readonly string[], options?: RemoveOptions): Promise<readonly string[]>
  /** From every node of the cluster that has them. Absent on a worker. */
  removeEverywhere?(names: readonly string[], options?: RemoveOptions): Promise<readonly NodeImport[]>
}
