/** Where everything lies on the registry's volume (pure). No name of a repository's part begins with `_`. */
import { join } from 'node:path'
import type { Digest } from './names.ts'

const SHARD_CHARACTERS = 2

export class Layout {
  readonly blobs: string
  readonly uploads: string
  readonly repositories: string
  /** Of files that are renamed into their place once they are whole. */
  readonly temporary: string

  constructor(root: string) {
    this.blobs = join(root, 'blobs')
    this.uploads = join(root, 'uploads')
    this.repositories = join(root, 'repositories')
    this.temporary = join(root, 'temporary')
  }

  blob({ algorithm, hex }: Digest): string {
    return join(this.blobs, algorithm, hex.slice(0, SHARD_CHARACTERS), hex)
  }

  upload(id: string): string {
    return join(this.uploads, id)
  }

  /** Empty files: which blobs a repository has. */
  blobLinks(repository: string): string {
    return join(this.repositories, repository, '_blobs')
  }

  blobLink(repository: string, { algorithm, hex }: Digest): string {
    return join(this.blobLinks(repository), algorithm, hex)
  }

  /** Each with the media type of the manifest. */
  manifests(repository: string): string {
    return join(this.repositories, repository, '_manifests')
  }

  manifest(repository: string, { algorithm, hex }: Digest): string {
    return join(this.manifests(repository), algorithm, hex)
  }

  /** Each with a digest. */
  tags(repository: string): string {
    return join(this.repositories, repository, '_tags')
  }

  tag(repository: string, tag: string): string {
    return join(this.tags(repository), tag)
  }

  /** The descriptors of what refers to a manifest. */
  referrers(repository: string, { algorithm, hex }: Digest): string {
    return join(this.repositories, repository, '_referrers', algorithm, hex)
  }

  referrer(repository: string, subject: Digest, { algorithm, hex }: Digest): string {
    return join(this.referrers(repository, subject), `${algorithm}-${hex}`)
  }
}
