/** A registry of images in a thread or in a process of its own, and what pushes to it by hand. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { must } from '../../src/base/assert.ts'
import type { Collected } from '../../src/runtime/image-registry/collector.ts'
import type { FromRegistry, RegistryConfig, ToRegistry } from '../../src/runtime/image-registry/messages.ts'
import { startRegistryWorker } from '../../src/runtime/image-registry/registry-thread.ts'

export const REGISTRY: Omit<RegistryConfig, 'directory'> = {
  addresses: ['127.0.0.1'],
  port: 0,
  bytesMax: 1024 ** 3,
  access: { anonymousPull: 'cluster', anonymousPush: 'cluster', users: {} },
  trusted: [],
  tls: null,
  mirror: null,
  garbage: { intervalMs: 24 * 60 * 60_000, graceMs: 60 * 60_000, untagged: false },
}

export const sha256 = (content: string | Uint8Array): string =>
  `sha256:${createHash('sha256').update(content).digest('hex')}`

export interface TestRegistry {
  readonly url: string
  readonly host: string
  readonly directory: string
  collect(options: { graceMs: number; untagged: boolean }): Promise<Collected>
  close(): Promise<void>
}

export function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-registry-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** In a thread; ends with the test. `mayReview` stands for the cluster, which knows tokens. */
export async function startRegistry(
  t: TestContext,
  over: Partial<RegistryConfig> = {},
  mayReview: (token: string, verb: string) => boolean = () => false,
): Promise<TestRegistry> {
  const directory = over.directory ?? temporaryDirectory(t)
  const worker = startRegistryWorker({ ...REGISTRY, ...over, directory })
  const post = (message: ToRegistry) => worker.postMessage(message)
  const collections = new Map<number, (message: Extract<FromRegistry, { type: 'collected' }>) => void>()
  const listening = new Promise<number>((resolve, reject) => {
    worker.once('error', reject)
    worker.on('message', (message: FromRegistry) => {
      if (message.type === 'listening') resolve(message.port)
      if (message.type === 'problem') reject(new Error(message.text))
      if (message.type === 'collected') collections.get(message.id)?.(message)
      if (message.type !== 'review') return
      const { id, token, asked } = message
      post({ type: 'reviewed', id, verdict: mayReview(token, asked.verb) })
    })
  })
  t.after(() => worker.terminate())
  const port = await listening
  const scheme = over.tls ? 'https' : 'http'
  let asked = 0
  return {
    ...{ url: `${scheme}://127.0.0.1:${port}`, host: `127.0.0.1:${port}`, directory },
    async collect(options) {
      const id = ++asked
      const done = new Promise<Extract<FromRegistry, { type: 'collected' }>>(resolve =>
        collections.set(id, resolve),
      )
      post({ type: 'collect', id, ...options })
      const { collected, problem } = await done
      return must(collected, problem)
    },
    async close() {
      post({ type: 'close' })
      await once(worker, 'exit')
    },
  }
}

/** In a process, which the test may kill; it says its port when it listens. */
export async function spawnRegistry(
  t: TestContext,
  directory: string,
): Promise<{ readonly url: string; kill(): Promise<void> }> {
  const program = join(import.meta.dirname, 'image-registry-program.ts')
  const child = spawn(process.execPath, [program, directory], { stdio: ['ignore', 'pipe', 'inherit'] })
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  t.after(kill)
  const [first] = (await once(child.stdout, 'data')) as [Buffer]
  return { url: `http://127.0.0.1:${Number(first.toString())}`, kill }
}

/** A whole blob in one request. Returns its digest. */
export async function pushBlob(url: string, repository: string, content: string | Buffer): Promise<string> {
  const digest = sha256(content)
  const response = await fetch(`${url}/v2/${repository}/blobs/uploads/?digest=${digest}`, {
    method: 'POST',
    body: content,
  })
  if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`)
  return digest
}

export interface PushedImage {
  readonly digest: string
  readonly layer: string
  readonly config: string
}

const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json'

export function imageManifest(config: string, layers: readonly string[], over: object = {}): string {
  const descriptor = (mediaType: string, content: string) => ({
    mediaType,
    digest: sha256(content),
    size: Buffer.byteLength(content),
  })
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: descriptor('application/vnd.oci.image.config.v1+json', config),
    layers: layers.map(each => descriptor('application/vnd.oci.image.layer.v1.tar', each)),
    ...over,
  })
}

export function putManifest(url: string, repository: string, reference: string, content: string) {
  const { mediaType } = JSON.parse(content) as { mediaType: string }
  return fetch(`${url}/v2/${repository}/manifests/${encodeURIComponent(reference)}`, {
    method: 'PUT',
    headers: { 'content-type': mediaType },
    body: content,
  })
}

/** An image of one layer, which says what the name says. */
export async function pushImage(
  url: string,
  repository: string,
  tag: string,
  layerContent = `layer of ${repository}:${tag}`,
): Promise<PushedImage> {
  const configContent = JSON.stringify({ architecture: 'amd64', os: 'linux', of: `${repository}:${tag}` })
  const layer = await pushBlob(url, repository, layerContent)
  const config = await pushBlob(url, repository, configContent)
  const manifest = imageManifest(configContent, [layerContent])
  const response = await putManifest(url, repository, tag, manifest)
  if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`)
  return { digest: sha256(manifest), layer, config }
}
