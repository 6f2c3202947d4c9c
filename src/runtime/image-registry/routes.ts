/** Which request of the distribution specification a method and a path are (pure). */
import { type Digest, isRepositoryName, isTag, parseDigest } from './names.ts'
import { RegistryError } from './registry-error.ts'

export type Route =
  | { readonly kind: 'base' }
  | { readonly kind: 'catalog' }
  | { readonly kind: 'tags'; readonly repository: string }
  | { readonly kind: 'referrers'; readonly repository: string; readonly digest: Digest }
  | { readonly kind: 'manifest'; readonly repository: string; readonly reference: string }
  | { readonly kind: 'blob'; readonly repository: string; readonly digest: Digest }
  | { readonly kind: 'uploads'; readonly repository: string }
  | { readonly kind: 'upload'; readonly repository: string; readonly id: string }

export type Verb = 'pull' | 'push' | 'delete'

const PATH = new RegExp(
  '^/v2/(?<name>.+)/(?:tags/list|blobs/uploads/(?<id>[^/]*)|' +
    '(?<part>manifests|blobs|referrers)/(?<last>[^/]+))$',
)
const UPLOAD_ID = /^[0-9a-f-]{36}$/

/** Throws what the specification wants for names and digests that are none; null for paths that are not its own. */
export function routeOf(path: string, method: string): Route | null {
  if (path === '/v2/' || path === '/v2') return { kind: 'base' }
  if (path === '/v2/_catalog') return { kind: 'catalog' }
  const match = PATH.exec(path.replace(/\/blobs\/uploads$/, '/blobs/uploads/'))
  if (match?.groups === undefined) return null
  const { name: repository = '', id, part, last = '' } = match.groups
  if (!isRepositoryName(repository)) throw new RegistryError('NAME_INVALID', { detail: repository })
  if (id !== undefined) return id === '' ? { kind: 'uploads', repository } : uploadOf(repository, id)
  switch (part) {
    case 'manifests':
      return { kind: 'manifest', repository, reference: referenceOf(last, method) }
    case 'blobs':
      return { kind: 'blob', repository, digest: expectDigest(last) }
    case 'referrers':
      return { kind: 'referrers', repository, digest: expectDigest(last) }
    default:
      return { kind: 'tags', repository }
  }
}

export function verbOf(route: Route, method: string): Verb {
  if (method === 'DELETE') return route.kind === 'upload' ? 'push' : 'delete'
  // Looking after an upload is a part of it.
  if (route.kind === 'upload' || route.kind === 'uploads') return 'push'
  return method === 'GET' || method === 'HEAD' ? 'pull' : 'push'
}

export function expectDigest(text: string): Digest {
  const digest = parseDigest(text)
  if (digest === undefined) throw new RegistryError('DIGEST_INVALID', { detail: 'not a sha256 or sha512' })
  return digest
}

function uploadOf(repository: string, id: string): Route {
  if (!UPLOAD_ID.test(id)) throw new RegistryError('BLOB_UPLOAD_UNKNOWN')
  return { kind: 'upload', repository, id }
}

/** What cannot be pushed is not there. */
function referenceOf(text: string, method: string): string {
  if (isTag(text) || parseDigest(text) !== undefined) return text
  if (text.includes(':')) throw new RegistryError('DIGEST_INVALID', { detail: 'not a sha256 or sha512' })
  throw new RegistryError(method === 'PUT' ? 'MANIFEST_INVALID' : 'MANIFEST_UNKNOWN', {
    detail: 'neither a tag nor a digest',
  })
}
