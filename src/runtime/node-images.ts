/** The images of an installed node, for the commands that look after them: they work without the daemon. */
import { existsSync } from 'node:fs'
import { Mk8sError } from '../base/errors.ts'
import { readNodeConfig } from '../config/config-files.ts'
import { canInstall, installPackages } from '../host/packages.ts'
import { BUSYBOX_PACKAGES, busyboxImage, hasStaticBusybox } from './images/busybox-image.ts'
import { importArchive } from './images/import-archive.ts'
import { machineArchitecture } from './images/oci-archive.ts'
import { PAUSE_IMAGE } from './images/pause-image.ts'
import { imageNameProblem, longImageName } from './kubelet/image-name.ts'
import { containerdPaths } from './kubelet/runtime/cri/containerd-config.ts'
import { CriClient } from './kubelet/runtime/cri/cri-client.ts'
import { ImageStore } from './kubelet/runtime/oci/images/image-store.ts'
import { importImages } from './kubelet/runtime/oci/images/import-images.ts'
import { ociPaths } from './kubelet/runtime/oci/oci-paths.ts'
import { usedLayers } from './kubelet/runtime/oci/used-layers.ts'

export interface NodeImage {
  readonly id: string
  readonly names: readonly string[]
  readonly sizeBytes: number
}

/** The store of a node that keeps its images itself; undefined when its container runtime does. */
function ownStore(dataDir: string): ImageStore | undefined {
  const isOwn = readNodeConfig(dataDir).runtime === 'oci'
  return isOwn ? new ImageStore(ociPaths(dataDir).images) : undefined
}

/** Returns the names of the images that were in it. */
export async function importToNode(
  dataDir: string,
  archive: () => Promise<string | Uint8Array>,
): Promise<readonly string[]> {
  const store = ownStore(dataDir)
  if (store !== undefined) return importImages(store, await archive())
  const socketPath = imageSocket(dataDir)
  return importArchive(socketPath, { archive: await archive() })
}

/** The socket of the runtime that keeps the node's images. */
function imageSocket(dataDir: string): string {
  const { runtime, criSocket } = readNodeConfig(dataDir)
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

export async function listImages(dataDir: string): Promise<readonly NodeImage[]> {
  const store = ownStore(dataDir)
  if (store !== undefined) return listOwn(store)
  return withClient(dataDir, async client => {
    const images = await client.listImages()
    return images.map(({ id, repoTags, repoDigests, size }) => {
      const names = repoTags.length > 0 ? repoTags : repoDigests.length > 0 ? repoDigests : [id]
      return { id, names, sizeBytes: size }
    })
  })
}

/** Returns the names that it had. */
export async function removeImage(dataDir: string, image: string): Promise<readonly string[]> {
  const store = ownStore(dataDir)
  if (store !== undefined) return removeOwn(store, dataDir, image)
  return withClient(dataDir, async client => {
    const found = await client.imageStatus(image)
    if (found === null) throw noImage(image)
    if (found.repoTags.includes(PAUSE_IMAGE)) {
      throw new Mk8sError('refused', `${PAUSE_IMAGE} is what every pod begins with`)
    }
    await client.removeImage(image)
    return [...found.repoTags, ...found.repoDigests]
  })
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

/** What containers still stand on stays until they are gone. */
async function removeOwn(store: ImageStore, dataDir: string, image: string): Promise<readonly string[]> {
  const names = await store.remove(image)
  if (names.length === 0) throw noImage(image)
  await store.collect(() => usedLayers(dataDir))
  return names
}

async function withClient<T>(dataDir: string, work: (client: CriClient) => Promise<T>): Promise<T> {
  const client = await CriClient.open(imageSocket(dataDir))
  try {
    return await work(client)
  } finally {
    client.close()
  }
}
