/** What a manifest refers to, read out of its bytes (pure). */
import { type Digest, parseDigest } from './names.ts'
import { RegistryError } from './registry-error.ts'

export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json'
const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json'
const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json'
const IMAGES = [OCI_MANIFEST, DOCKER_MANIFEST]
const INDEXES = [OCI_INDEX, DOCKER_LIST]
export const MANIFEST_TYPES: readonly string[] = [...IMAGES, ...INDEXES]

/** The specification wants at least this much. */
export const MANIFEST_BYTES_MAX = 4 * 1024 * 1024
const DESCRIPTORS_MAX = 10_000

export interface ManifestDocument {
  readonly mediaType: string
  /** What the repository has to have. */
  readonly blobs: readonly Digest[]
  readonly manifests: readonly Digest[]
  readonly subject: Digest | null
  readonly artifactType: string
  readonly annotations: Readonly<Record<string, string>>
}

interface Descriptor {
  readonly mediaType?: unknown
  readonly digest?: unknown
  readonly size?: unknown
  readonly urls?: unknown
}

interface Raw {
  readonly schemaVersion?: unknown
  readonly mediaType?: unknown
  readonly config?: unknown
  readonly layers?: unknown
  readonly manifests?: unknown
  readonly subject?: unknown
  readonly artifactType?: unknown
  readonly annotations?: unknown
}

const invalid = (detail: string) => new RegistryError('MANIFEST_INVALID', { detail })

/** `contentType` is the request's, without parameters; what the document says itself has to agree. */
export function readManifest(content: Uint8Array, contentType: string): ManifestDocument {
  const raw = parse(content)
  const own = typeof raw.mediaType === 'string' ? raw.mediaType : ''
  const mediaType = contentType || own || guess(raw)
  if (own !== '' && own !== mediaType) {
    throw invalid(`mediaType is ${own}, and the request says ${mediaType}`)
  }
  if (!MANIFEST_TYPES.includes(mediaType)) throw invalid(`${mediaType || 'no media type'} is not accepted`)
  if (raw.schemaVersion !== 2) throw invalid('schemaVersion is not 2')
  const isIndex = INDEXES.includes(mediaType)
  if (isIndex && (raw.layers !== undefined || raw.config !== undefined)) {
    throw invalid('an index has neither config nor layers')
  }
  if (!isIndex && raw.manifests !== undefined) throw invalid('an image manifest has no manifests')
  const subject = raw.subject === undefined ? null : digestOf(raw.subject, 'subject')
  const config = isIndex ? [] : [raw.config]
  const layers = isIndex ? [] : listOf(raw.layers, 'layers').filter(each => !isElsewhere(each))
  const blobs = [...config, ...layers].map((each, index) =>
    digestOf(each, index === 0 ? 'config' : `layers[${index - 1}]`),
  )
  const manifests = isIndex ? listOf(raw.manifests, 'manifests') : []
  return {
    ...{ mediaType, blobs, subject, artifactType: artifactTypeOf(raw) },
    manifests: manifests.map((each, index) => digestOf(each, `manifests[${index}]`)),
    annotations: annotationsOf(raw.annotations),
  }
}

function parse(content: Uint8Array): Raw {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(content))
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Raw
  } catch {
    throw invalid('it is not JSON')
  }
  throw invalid('it is not a JSON object')
}

const guess = ({ manifests }: Raw): string => (manifests === undefined ? OCI_MANIFEST : OCI_INDEX)

function listOf(value: unknown, what: string): readonly Descriptor[] {
  if (!Array.isArray(value)) throw invalid(`${what} is not a list`)
  if (value.length > DESCRIPTORS_MAX) throw invalid(`${what} has more than ${DESCRIPTORS_MAX} entries`)
  return value as readonly Descriptor[]
}

function digestOf(value: unknown, what: string): Digest {
  const { digest, size } = (value ?? {}) as Descriptor
  const parsed = typeof digest === 'string' ? parseDigest(digest) : undefined
  if (parsed === undefined) throw invalid(`${what} has no digest that is known`)
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw invalid(`${what} has no size`)
  }
  return parsed
}

/** Layers that nobody may distribute are fetched from where they say. */
const isElsewhere = (each: Descriptor | null): boolean =>
  Array.isArray(each?.urls) && each.urls.length > 0 && /foreign|nondistributable/.test(String(each.mediaType))

function artifactTypeOf({ artifactType, config }: Raw): string {
  if (typeof artifactType === 'string' && artifactType !== '') return artifactType
  const { mediaType } = (config ?? {}) as Descriptor
  return typeof mediaType === 'string' ? mediaType : ''
}

function annotationsOf(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null) return {}
  return Object.fromEntries(Object.entries(value).filter(([, each]) => typeof each === 'string'))
}
