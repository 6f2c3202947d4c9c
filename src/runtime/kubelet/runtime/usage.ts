/** What containers use and which images a machine holds, as runtimes tell the kubelet. */

export interface ContainerUsage {
  readonly id: string
  /** When it was looked at. */
  readonly timeMs: number
  /** Since the container's start. */
  readonly cpuNanos: number
  /** What cannot be taken from it without swapping: usage without pages of files that nobody has read lately. */
  readonly workingSetBytes: number
  readonly usageBytes: number
  readonly rssBytes: number
  readonly pageFaults: number
  readonly majorPageFaults: number
  readonly processes: number
  /** What it wrote beside its volumes; absent where that is not known. */
  readonly writable?: { readonly bytes: number; readonly inodes: number }
}

export interface StoredImage {
  readonly id: string
  /** With a tag or a digest. */
  readonly names: readonly string[]
  readonly sizeBytes: number
  /** Never collected. */
  readonly isPinned: boolean
}
