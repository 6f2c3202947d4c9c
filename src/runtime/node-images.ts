/** The images of this node, for commands and other nodes, whichever runtime keeps them. */
import { existsSync } from 'node:fs'
import { must } from '../base/assert.ts'
import { Mk8sError } from '../base/errors.ts'
import type { ImageHandlers, ImportOptions, NodeImage, RemoveOptions } from '../client/node-images.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { canInstall, installPackages } from '../host/packages.ts'
import { ImageSpool } from './image-spool.ts'
import { BUSYBOX_PACKAGES, busyboxImage, hasStaticBusybox } from './images/busybox-image.ts'
import { exportArchive, importArchive } from './images/import-archive.ts'
import { machineArchitecture } from './images/oci-archive.ts'
import { PAUSE_IMAGE } from './images/pause-image.ts'
import { imageNameProblem, longImageName } from './kubelet/image-name.ts'
import { containerdPaths } from './kubelet/runtime/cri/containerd-config.ts'
import { CriClient } from './kubelet/runtime/cri/cri-client.ts'
import { exportImages } from './kubelet/runtime/oci/images/export-images.ts'
import type { ImageStore } from './kubelet/runtime/oci/images/image-store.ts'
import { cleanArchive, importImages } from './kubelet/runtime/oci/images/import-images.ts'
import { usedLayers } from './kubelet/runtime/oci/used-layers.ts'
import type { Runtime } from './kubelet/runtime/runtime.ts'

const CHANGES_MAX = 16
const SHORT_ID = /^[0-9a-f]{12,63}$/

export interface NodeImagesParts {
  readonly config: Pick<NodeConfig, 'dataDir' | 'runtime' | 'criSocket'>
  /** Undefined when the container runtime keeps the images. */
  readonly store: ImageStore | undefined
  /** Knows what pods use. */
  readonly runtime: Pick<Runtime, 'listContainers' | 'listSandboxes'>
}

export class NodeImages implements ImageHandlers {
  readonly #parts: NodeImagesParts
  readonly #spool: ImageSpool
  readonly #store: ImageStore | undefined
  /** One change at a time: nothing is collected while an archive comes in. */
  #changing: Promise<unknown> = Promise.resolve()
  #waiting = 0

  constructor(parts: NodeImagesParts) {
    this.#parts = parts
    this.#spool = new ImageSpool(parts.config.dataDir)
    this.#store = parts.store
  }

  /** Takes away what an import that was cut off has left. */
  async prepare(): Promise<void> {
    await this.#spool.prepare()
    if (this.#store === undefined) return
    await this.#store.prepare()
    await this.#store.collect(() => usedLayers(this.#parts.config.dataDir))
  }

  async list(): Promise<readonly NodeImage[]> {
    if (this.#store !== undefined) return listOwn(this.#store)
    return this.#withClient(async client => {
      const images = await client.listImages()
      return images.map(({ id, repoTags, repoDigests, size }) => {
        const names = repoTags.length > 0 ? repoTags : repoDigests.length > 0 ? repoDigests : [id]
        return { id, names, sizeBytes: size }
      })
    })
  }

  async import(archive: AsyncIterable<Uint8Array>, options: ImportOptions = {}): Promise<readonly string[]> {
    this.#checkRuntime()
    return this.spooled(archive, options, file => this.importFile(file))
  }

  /** The whole archive as a file while `work` goes on. */
  spooled<T>(
    archive: AsyncIterable<Uint8Array>,
    options: ImportOptions,
    work: (file: string) => Promise<T>,
  ): Promise<T> {
    return this.#spool.during(archive, options, work)
  }

  /** An archive that lies on this machine. */
  async importFile(file: string): Promise<readonly string[]> {
    const store = this.#store
    const about = (error: unknown): never => {
      throw error instanceof Mk8sError ? withoutPath(error, file) : error
    }
    if (store !== undefined) return this.#change(() => importImages(store, file)).catch(about)
    const socketPath = this.#socket()
    // ctr takes what a damaged archive still has for an image, and does not unpack archives.
    const work = async (directory: string) => {
      const { bytes, names } = await cleanArchive(directory, file)
      const before = new Set((await this.list()).flatMap(image => image.names))
      return importArchive(socketPath, { archive: bytes }).catch(async error => {
        // It names images before it has unpacked their layers.
        await this.#takeBack(names.filter(name => !before.has(name)))
        throw error
      })
    }
    return this.#change(() => this.#spool.scratch(work)).catch(about)
  }

  async #takeBack(names: readonly string[]): Promise<void> {
    await this.#withClient(async client => {
      for (const name of names) await client.removeImage(name)
    }).catch(() => {})
  }

  async export(names: readonly string[]): Promise<AsyncIterable<Uint8Array>> {
    return this.#exportNamed(await this.#inFull(names))
  }

  async #exportNamed(names: readonly string[]): Promise<AsyncIterable<Uint8Array>> {
    const store = this.#store
    if (store === undefined) {
      const socketPath = this.#socket()
      const found = await this.#withClient(client =>
        Promise.all(names.map(name => exportedName(client, name))),
      )
      return this.#spool.outgoing(file => exportArchive(socketPath, found, file))
    }
    const records = await Promise.all(names.map(async name => (await store.find(name)) ?? name))
    for (const record of records) if (typeof record === 'string') throw noImage(record)
    return exportImages(
      store.blobs,
      records.filter(record => typeof record !== 'string'),
    )
  }

  async remove(names: readonly string[], options: RemoveOptions = {}): Promise<readonly string[]> {
    this.#checkRuntime()
    return this.#change(async () => {
      const given = await this.#inFull(names)
      const wanted = options.ifPresent === true ? await this.#present(given) : given
      if (options.force !== true) await this.#refuseUsed(wanted)
      return this.#store === undefined ? this.#removeByRuntime(wanted) : this.#removeOwn(wanted)
    })
  }

  /** An image may be called by the beginning of its id, as it is listed. */
  async #inFull(names: readonly string[]): Promise<readonly string[]> {
    if (!names.some(name => SHORT_ID.test(name))) return names
    const images = await this.list()
    return names.map(name => {
      const found = images.filter(({ id }) => id.startsWith(`sha256:${name}`))
      const isId = SHORT_ID.test(name) && !images.some(image => isCalled(image, name))
      return isId && found.length === 1 ? (found[0]?.id ?? name) : name
    })
  }

  async #present(names: readonly string[]): Promise<readonly string[]> {
    const images = await this.list()
    return names.filter(name => images.some(image => isCalled(image, name)))
  }

  async #refuseUsed(names: readonly string[]): Promise<void> {
    const { runtime } = this.#parts
    const images = await this.list()
    const [containers, sandboxes] = await Promise.all([runtime.listContainers(), runtime.listSandboxes()])
    for (const name of names) {
      const found = images.find(image => isCalled(image, name))
      if (found === undefined) continue
      const users = containers.filter(container => isCalled(found, container.image))
      const pods = sandboxes
        .filter(({ metadata }) => users.some(({ podUid }) => podUid === metadata.uid))
        .map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)
      if (pods.length === 0) continue
      throw new Mk8sError('refused', `the image ${name} is in use`, {
        why: `containers of ${[...new Set(pods)].sort().join(', ')} are made of it`,
        hint: 'delete the pods, or use --force',
      })
    }
  }

  async #removeByRuntime(names: readonly string[]): Promise<readonly string[]> {
    return this.#withClient(async client => {
      const found = await Promise.all(
        names.map(async name => ({ name, image: await client.imageStatus(name) })),
      )
      for (const { name, image } of found) {
        if (image === null) throw noImage(name)
        if (image.repoTags.includes(PAUSE_IMAGE))
          throw new Mk8sError('refused', `${PAUSE_IMAGE} is what every pod begins with`)
      }
      for (const name of names) await client.removeImage(name)
      return [
        ...new Set(found.flatMap(({ image }) => [...(image?.repoTags ?? []), ...(image?.repoDigests ?? [])])),
      ]
    })
  }

  /** What containers still stand on stays until they are gone. */
  async #removeOwn(names: readonly string[]): Promise<readonly string[]> {
    const store = must(this.#store, 'a store of images')
    for (const name of names) if ((await store.find(name)) === null) throw noImage(name)
    const removed: string[] = []
    for (const name of names) removed.push(...(await store.remove(name)))
    await store.collect(() => usedLayers(this.#parts.config.dataDir))
    return removed
  }

  async #change<T>(work: () => Promise<T>): Promise<T> {
    if (this.#waiting >= CHANGES_MAX)
      throw new Mk8sError('refused', `${CHANGES_MAX} changes of images are under way already`)
    this.#waiting++
    const done = this.#changing.then(work).finally(() => this.#waiting--)
    this.#changing = done.catch(() => {})
    return done
  }

  #checkRuntime(): void {
    if (this.#store === undefined) this.#socket()
  }

  /** The socket of the runtime that keeps the node's images. */
  #socket(): string {
    const { dataDir, runtime, criSocket } = this.#parts.config
    if (runtime !== 'containerd') {
      throw new Mk8sError('refused', `the runtime ${runtime} has no images`, {
        why: 'it records the names of images and runs programs of the host',
        hint: 'install the node with --runtime oci or --runtime containerd',
      })
    }
    const socketPath = criSocket === '' ? containerdPaths(dataDir).socket : criSocket
    if (existsSync(socketPath)) return socketPath
    throw new Mk8sError('node/not-running', 'the container runtime is not running', {
      why: `there is no ${socketPath}`,
      hint: 'mk8s start',
    })
  }

  async #withClient<T>(work: (client: CriClient) => Promise<T>): Promise<T> {
    const client = await CriClient.open(this.#socket())
    try {
      return await work(client)
    } finally {
      client.close()
    }
  }
}

/** The file is ours, and its name says nothing to whoever sent it. */
const withoutPath = ({ code, message, why, hint }: Mk8sError, file: string): Mk8sError =>
  new Mk8sError(code, message.replace(file, 'the archive'), {
    ...(why === undefined ? {} : { why: why.replace(file, 'the archive') }),
    ...(hint === undefined ? {} : { hint }),
  })

const isCalled = ({ id, names }: NodeImage, name: string): boolean =>
  id === name || id === `sha256:${name}` || names.includes(name) || names.includes(longImageName(name))

/** The store of containerd exports by name only. */
async function exportedName(client: CriClient, name: string): Promise<string> {
  const image = await client.imageStatus(name)
  if (image === null) throw noImage(name)
  const isId = image.id === name || image.id === `sha256:${name}`
  return isId ? ([...image.repoTags, ...image.repoDigests][0] ?? name) : longImageName(name)
}

const noImage = (image: string) =>
  new Mk8sError('refused', `there is no image ${image} on this node`, { hint: 'mk8s images list' })

async function listOwn(store: ImageStore): Promise<readonly NodeImage[]> {
  const byId = Map.groupBy(await store.list(), ({ id }) => id)
  return [...byId].map(([id, records]) => ({
    id,
    names: records.map(({ name }) => name),
    sizeBytes: records[0]?.sizeBytes ?? 0,
  }))
}

/** An image of the machine's static busybox, which is installed when it is not there. */
export async function busyboxArchive(name: string): Promise<Uint8Array> {
  const why = imageNameProblem(name)
  if (why !== undefined) {
    const hint = 'name it like localhost/busybox:1'
    throw new Mk8sError('usage', `${JSON.stringify(name)} cannot be an image's name`, { why, hint })
  }
  const architecture = machineArchitecture()
  if (architecture === undefined) {
    throw new Mk8sError('host/unsupported', `images cannot be made on ${process.arch} yet`)
  }
  if (!hasStaticBusybox() && (await canInstall(BUSYBOX_PACKAGES))) await installPackages(BUSYBOX_PACKAGES)
  return busyboxImage(longImageName(name), architecture)
}
