/** Manifests, indexes and configurations of images, docker's and OCI's (pure). */
import { Mk8sError } from '../../../../../base/errors.ts'
import { isMap } from '../../../../../kube/json-map.ts'
import type { ImageConfig } from '../render-spec.ts'

export interface Descriptor {
  readonly mediaType?: string
  readonly digest: string
  readonly size: number
  readonly platform?: { readonly architecture?: string; readonly os?: string; readonly variant?: string }
  readonly annotations?: Readonly<Record<string, string>>
}

export interface Manifest {
  readonly config: Descriptor
  readonly layers: readonly Descriptor[]
}

export interface Index {
  readonly manifests: readonly Descriptor[]
}

export interface ImageDocument {
  readonly architecture?: string
  readonly os?: string
  readonly config?: ImageConfig
  readonly rootfs: { readonly diff_ids: readonly string[] }
}

export const MANIFEST_TYPES = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
] as const
/** Manifests and configurations are small; what is larger is none. */
export const DOCUMENT_BYTES_MAX = 8 * 1024 * 1024
export const LAYERS_MAX = 127
const DIGEST = /^sha256:[0-9a-f]{64}$/

export function parseDocument(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch (error) {
    throw invalidImage(`${what} is not JSON`, error)
  }
}

export function asIndex(document: unknown): Index | undefined {
  const { manifests } = mapOf<Index>(document)
  if (!Array.isArray(manifests)) return undefined
  for (const each of manifests) checkDescriptor(each)
  return { manifests }
}

export function asManifest(document: unknown): Manifest {
  const { config, layers } = mapOf<Manifest>(document)
  if (config === undefined || !Array.isArray(layers))
    throw invalidImage('it has neither layers nor manifests')
  if (layers.length > LAYERS_MAX) throw invalidImage(`it has more than ${LAYERS_MAX} layers`)
  for (const each of [config, ...layers]) checkDescriptor(each)
  return { config, layers }
}

export function asImage(document: unknown, layers: number): ImageDocument {
  const image = mapOf<ImageDocument>(document) as ImageDocument
  const diffs = image.rootfs?.diff_ids
  if (!Array.isArray(diffs) || diffs.length !== layers) {
    throw invalidImage('its configuration and its manifest name different layers')
  }
  return image
}

/** What an image's configuration is called; absent in old manifests. */
const CONFIG_TYPES = [
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
  'application/octet-stream',
]

/** Registries keep charts, signatures and the like in the same form. */
export function checkIsImage(document: unknown): void {
  const { artifactType, config } = document as { artifactType?: unknown; config?: Partial<Descriptor> }
  const type = config?.mediaType
  if (type === undefined || CONFIG_TYPES.includes(type)) return
  const what = typeof artifactType === 'string' ? artifactType : type
  throw invalidImage(`it is an artifact of type ${String(what).slice(0, 200)}, and no container image`)
}

function mapOf<T>(document: unknown): Partial<T> {
  if (isMap(document)) return document as Partial<T>
  throw invalidImage('it has something else in the place of an object')
}

/** Blobs are found by their digest, so that it has to be one before it becomes a path. */
export function checkDescriptor(descriptor: Descriptor): void {
  const { digest, size } = mapOf<Descriptor>(descriptor)
  if (typeof digest !== 'string' || !DIGEST.test(digest)) {
    throw invalidImage(`${String(digest).slice(0, 100)} is no digest of kind sha256`)
  }
  if (size === undefined || !Number.isSafeInteger(size) || size < 0)
    throw invalidImage(`the size of ${digest} is no number`)
}

/** The one for this machine; undefined when there is none. */
export function choosePlatform({ manifests }: Index, arch: string = process.arch): Descriptor | undefined {
  const wanted = arch === 'x64' ? 'amd64' : arch
  const fits = manifests.filter(({ platform }) => {
    return platform === undefined || (platform.os === 'linux' && platform.architecture === wanted)
  })
  return fits.find(({ platform }) => platform !== undefined) ?? fits[0]
}

const OTHER_CONTENT = 'mk8s/other-content'

/** Other bytes came than those that the digest stands for. */
export const otherContent = (why: string) => invalidImage(why, OTHER_CONTENT)
export const isOtherContent = (error: unknown): boolean =>
  error instanceof Mk8sError && error.cause === OTHER_CONTENT

export const invalidImage = (why: string, cause?: unknown) =>
  new Mk8sError('kubelet/runtime', `the image cannot be used: ${why}`, { cause })
