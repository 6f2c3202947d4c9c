/** Manifests, tags, referrers and lists. */
import { readBounded } from '../../base/read-bounded.ts'
import { answer, answerJson, declaredLength, type Exchange, nextLink, pageAsked } from './exchange.ts'
import { MANIFEST_BYTES_MAX, OCI_INDEX } from './manifest-document.ts'
import type { ManifestStore, StoredManifest } from './manifest-store.ts'
import type { Mirror } from './mirror.ts'
import { compareTags, type Digest, pageOf, parseDigest } from './names.ts'
import { RegistryError } from './registry-error.ts'

export interface ManifestRequestParts {
  readonly manifests: ManifestStore
  readonly mirror: Mirror | null
}

/** Descriptors in one answer. */
const REFERRERS_MAX = 1_000

export class ManifestRequests {
  readonly #parts: ManifestRequestParts

  constructor(parts: ManifestRequestParts) {
    this.#parts = parts
  }

  async get(exchange: Exchange, repository: string, reference: string): Promise<void> {
    const { digest, mediaType, content } = await this.#find(repository, reference)
    const headers = {
      'content-type': mediaType,
      'content-length': content.length,
      'docker-content-digest': digest.text,
      etag: `"${digest.text}"`,
    }
    if (exchange.request.headers['if-none-match'] === headers.etag) return answer(exchange, 304, headers)
    const { response, request } = exchange
    response.writeHead(200, headers)
    response.end(request.method === 'HEAD' ? undefined : content)
  }

  async put(exchange: Exchange, repository: string, reference: string): Promise<void> {
    const { request } = exchange
    const tooLarge = () =>
      new RegistryError('SIZE_INVALID', { status: 413, detail: `more than ${MANIFEST_BYTES_MAX} bytes` })
    if ((declaredLength(request) ?? 0) > MANIFEST_BYTES_MAX) throw tooLarge()
    const body = request.iterator({ destroyOnReturn: false })
    const content = await readBounded(body, MANIFEST_BYTES_MAX, tooLarge)
    const contentType = (request.headers['content-type'] ?? '').split(';')[0]?.trim() ?? ''
    const put = await this.#parts.manifests.put({ repository, reference, contentType, content })
    const { subject } = put.document
    answer(exchange, 201, {
      location: `/v2/${repository}/manifests/${reference}`,
      'docker-content-digest': put.digest.text,
      ...(subject === null ? {} : { 'oci-subject': subject.text }),
    })
  }

  /** By its digest a manifest with all its tags; by a tag just that. */
  async delete(exchange: Exchange, repository: string, reference: string): Promise<void> {
    const { manifests } = this.#parts
    const digest = parseDigest(reference)
    if (digest === undefined) await manifests.deleteTag(repository, reference)
    else await manifests.delete(repository, digest)
    answer(exchange, 202, {})
  }

  async tags(exchange: Exchange, repository: string): Promise<void> {
    const { manifests } = this.#parts
    if (!manifests.has(repository)) {
      throw new RegistryError('NAME_UNKNOWN', { detail: repository })
    }
    const page = pageAsked(exchange.query)
    const { items, isLast } = pageOf(await manifests.tags(repository), page, compareTags)
    const path = `/v2/${repository}/tags/list`
    answerJson(exchange, { name: repository, tags: items }, linkAfter(path, { items, isLast, ...page }))
  }

  catalog(exchange: Exchange): void {
    const page = pageAsked(exchange.query)
    const compare = (a: string, b: string) => (a < b ? -1 : Number(a > b))
    const { items, isLast } = pageOf(this.#parts.manifests.repositories(), page, compare)
    answerJson(exchange, { repositories: items }, linkAfter('/v2/_catalog', { items, isLast, ...page }))
  }

  /** An index of what has this manifest as its subject; empty when nothing has, or there is no such manifest. */
  async referrers(exchange: Exchange, repository: string, subject: Digest): Promise<void> {
    const { query } = exchange
    const type = query.get('artifactType')
    const last = query.get('last') ?? ''
    const all = await this.#parts.manifests.referrers(repository, subject)
    const matching = all
      .filter(({ artifactType }) => type === null || artifactType === type)
      .filter(({ digest }) => digest > last)
    const manifests = matching.slice(0, REFERRERS_MAX)
    const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests }
    const end = manifests.at(-1)?.digest ?? ''
    answerJson(exchange, index, {
      'content-type': OCI_INDEX,
      ...(type === null ? {} : { 'oci-filters-applied': 'artifactType' }),
      ...(matching.length === manifests.length
        ? {}
        : nextLink(`/v2/${repository}/referrers/${subject.text}`, {
            ...(type === null ? {} : { artifactType: type }),
            last: end,
          })),
    })
  }

  async #find(repository: string, reference: string): Promise<StoredManifest> {
    const { manifests, mirror } = this.#parts
    if (mirror !== null) return await mirror.manifest(repository, reference)
    return await manifests.get(repository, reference)
  }
}

function linkAfter(
  path: string,
  { items, isLast, count }: { items: readonly string[]; isLast: boolean; count: number },
) {
  const last = items.at(-1)
  return isLast || last === undefined ? {} : nextLink(path, { n: count, last })
}
