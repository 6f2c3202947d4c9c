/** An image of one layer as an OCI archive (pure): what `ctr images import`, podman and skopeo take. */
import { createHash } from 'node:crypto'
import { renderTar, type TarEntry } from '../../base/tar.ts'

export type Architecture = 'amd64' | 'arm64'

export interface ImageContent {
  /** In its long form, with a tag: `localhost/mk8s/pause:1`. */
  readonly name: string
  readonly architecture: Architecture
  readonly files: readonly TarEntry[]
  readonly entrypoint?: readonly string[]
  readonly command?: readonly string[]
  readonly env?: readonly string[]
}

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
const CONFIG = 'application/vnd.oci.image.config.v1+json'
const LAYER = 'application/vnd.oci.image.layer.v1.tar'
const INDEX = 'application/vnd.oci.image.index.v1+json'

interface Blob {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly bytes: Buffer
}

/** The architecture of this machine as images call it, where images are made for it. */
export function machineArchitecture(arch: string = process.arch): Architecture | undefined {
  return arch === 'x64' ? 'amd64' : arch === 'arm64' ? 'arm64' : undefined
}

export function renderOciArchive(image: ImageContent): Buffer {
  const layer = blobOf(LAYER, renderTar(image.files))
  const config = blobOf(CONFIG, json(renderConfig(image, layer)))
  const manifest = blobOf(
    MANIFEST,
    json({ schemaVersion: 2, mediaType: MANIFEST, config: refer(config), layers: [refer(layer)] }),
  )
  const annotations = {
    'io.containerd.image.name': image.name,
    'org.opencontainers.image.ref.name': image.name.slice(image.name.lastIndexOf(':') + 1),
  }
  const platform = { architecture: image.architecture, os: 'linux' }
  const index = json({
    schemaVersion: 2,
    mediaType: INDEX,
    manifests: [{ ...refer(manifest), annotations, platform }],
  })
  const file = (name: string, content: Buffer): TarEntry => ({ type: 'file', name, mode: 0o644, content })
  return renderTar([
    file('oci-layout', json({ imageLayoutVersion: '1.0.0' })),
    file('index.json', index),
    { type: 'directory', name: 'blobs', mode: 0o755 },
    { type: 'directory', name: 'blobs/sha256', mode: 0o755 },
    ...[layer, config, manifest].map(({ digest, bytes }) => file(`blobs/${digest.replace(':', '/')}`, bytes)),
  ])
}

function renderConfig({ architecture, entrypoint, command, env }: ImageContent, layer: Blob): object {
  return {
    architecture,
    os: 'linux',
    config: {
      Env: env ?? ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      ...(entrypoint === undefined ? {} : { Entrypoint: entrypoint }),
      ...(command === undefined ? {} : { Cmd: command }),
      WorkingDir: '/',
    },
    rootfs: { type: 'layers', diff_ids: [layer.digest] },
    history: [{ created_by: 'mk8s' }],
  }
}

function blobOf(mediaType: string, bytes: Buffer): Blob {
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  return { mediaType, digest, size: bytes.length, bytes }
}

const refer = ({ mediaType, digest, size }: Blob) => ({ mediaType, digest, size })
const json = (value: object) => Buffer.from(JSON.stringify(value))
