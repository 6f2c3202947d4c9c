/** A pod's volumes on this machine's disk: made before its containers start, refreshed while it runs, removed after. */
import { lstat, mkdir, open, rm, stat } from 'node:fs/promises'
import { isAbsolute, join, normalize } from 'node:path'
import { systemCodeOf } from '../../../base/errors.ts'
import { mountsBelow, unmountBelow } from '../../../host/mounts.ts'
import type { Container, Pod, Volume } from '../../../kube/types.ts'
import type { CsiMounts } from '../csi/csi-mounts.ts'
import type { CsiVolume } from '../csi/csi-volume.ts'
import { type Environment, expandVariables } from '../environment.ts'
import type { Device, Mount } from '../runtime/runtime.ts'
import { writeVolume } from './atomic-writer.ts'
import { FS_TYPE_DEFAULT, mountBlock } from './block-device.ts'
import type { ClaimedPlace, ClaimedPlaces } from './claim-volumes.ts'
import { makeEmptyDir } from './empty-dir.ts'
import { giveToGroup } from './fs-group.ts'
import { makeHostpathDirectory } from './hostpath-directories.ts'
import { isRecursive } from './mount-status.ts'
import { renderVolume, type VolumeParts } from './render-volume.ts'
import { EscapeError, openSubPath, readInside } from './sub-path.ts'
import { VolumeError } from './volume-error.ts'

export class PodVolumes {
  readonly #directory: string
  readonly #csi: CsiMounts | undefined
  #places: ClaimedPlaces = new Map()
  /** Volumes whose files have been given to the pod's group. */
  readonly #given = new Set<string>()
  /** Volumes that a driver has mounted. */
  readonly #published = new Set<string>()
  /** Where block devices are mounted as file systems, by the volumes' names. */
  readonly #mounted = new Map<string, string>()

  /** `directory` is `<data-dir>/pods/<uid>`. */
  constructor(directory: string, csi?: CsiMounts) {
    this.#directory = directory
    this.#csi = csi
  }

  /** Works twice as well as once; throws VolumeError naming the volume. */
  async setUp(parts: VolumeParts): Promise<void> {
    this.#places = parts.places ?? new Map()
    for (const volume of parts.pod.spec?.volumes ?? []) {
      try {
        await this.#setUpOne(volume, parts)
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error)
        throw new VolumeError(`MountVolume.SetUp failed for volume "${volume.name}" : ${why}`)
      }
    }
  }

  async remove(): Promise<void> {
    await this.#csi?.unpublishAll(this.#directory)
    await unmountBelow([this.#directory])
    // What is still mounted would be emptied.
    const [left] = mountsBelow([this.#directory])
    if (left !== undefined) throw new VolumeError(`${left} is still mounted`)
    await rm(this.#directory, { recursive: true, force: true })
  }

  /** Where a volume lies on this machine. */
  pathOf(volume: Volume): string {
    if (volume.hostPath) return volume.hostPath.path
    const place = this.#places.get(volume.name)
    if (place?.csi !== undefined) return this.#csiPath(place.volumeName, place.csi)
    if (place !== undefined) return this.#mounted.get(volume.name) ?? place.path
    return join(this.#directory, 'volumes', kindOf(volume), volume.name)
  }

  /** The mounts of a container; sub-paths are made when they are not there. */
  async mountsOf(
    pod: Pod,
    container: Container,
    environment: Environment,
    canRecurse = false,
  ): Promise<Mount[]> {
    const mounts: Mount[] = []
    for (const [index, mount] of (container.volumeMounts ?? []).entries()) {
      const volume = pod.spec?.volumes?.find(({ name }) => name === mount.name)
      if (volume === undefined) throw new VolumeError(`volume "${mount.name}" is not defined in the pod`)
      const containerPath = normalize(join('/', mount.mountPath))
      const subPath = mount.subPath || expandSubPath(mount.subPathExpr ?? '', environment)
      if (volume.image) {
        const image = { reference: volume.image.reference ?? '', subPath }
        mounts.push({ hostPath: '', containerPath, readOnly: true, image })
        continue
      }
      const target = join(this.#directory, 'volume-subpaths', volume.name, container.name, String(index))
      const hostPath =
        subPath === ''
          ? this.pathOf(volume)
          : await this.#subPath(volume, subPath, {
              target,
              about: `"${mount.name}" of container "${container.name}"`,
            })
      const isFixed = isFromApi(volume) || this.#places.get(volume.name)?.readOnly === true
      const readOnly = mount.readOnly === true || isFixed
      const propagation = mount.mountPropagation as Mount['propagation']
      const recursiveReadOnly = isRecursive(mount, canRecurse)
      mounts.push({ hostPath, containerPath, readOnly, propagation, recursiveReadOnly })
    }
    return mounts
  }

  /** What a file of a volume holds; null when it cannot be read. */
  async readFile(volume: Volume, path: string, bytesMax: number): Promise<string | null> {
    return readInside(this.pathOf(volume), path, bytesMax).catch(() => null)
  }

  /** The raw block devices of a container. */
  devicesOf(pod: Pod, container: Container): Device[] {
    return (container.volumeDevices ?? []).map(({ name, devicePath }) => {
      const volume = pod.spec?.volumes?.find(each => each.name === name)
      if (volume === undefined) throw new VolumeError(`volume "${name}" is not defined in the pod`)
      const readOnly = this.#places.get(name)?.readOnly === true
      return { hostPath: this.pathOf(volume), containerPath: devicePath, readOnly }
    })
  }

  /** Why a link leads nowhere is not told: it would say what there is on this machine, link by link. */
  async #subPath(volume: Volume, subPath: string, { target, about }: SubPathPlace): Promise<string> {
    if (isAbsolute(subPath) || normalize(subPath).split('/').includes('..'))
      throw new VolumeError(`subPath ${JSON.stringify(subPath)} would leave volume "${volume.name}"`)
    try {
      return await openSubPath(this.pathOf(volume), subPath, target)
    } catch (error) {
      if (!isAboutPath(error)) throw error
      throw new VolumeError(`failed to prepare subPath for volumeMount ${about}`)
    }
  }

  async #publish({ volumeName }: ClaimedPlace, volume: CsiVolume): Promise<string> {
    if (this.#csi === undefined) throw new VolumeError('this node has no CSI drivers')
    if (!this.#published.has(volumeName)) await this.#csi.publish(volume, this.#directory, volumeName)
    this.#published.add(volumeName)
    return this.#csiPath(volumeName, volume)
  }

  #csiPath(name: string, volume: CsiVolume): string {
    if (this.#csi === undefined) throw new VolumeError('this node has no CSI drivers')
    return this.#csi.pathOf(this.#directory, name, volume)
  }

  async #setUpClaim(name: string, place: ClaimedPlace, pod: Pod): Promise<void> {
    const path =
      place.csi === undefined ? await this.#claimed(name, place) : await this.#publish(place, place.csi)
    if (place.csi !== undefined && (place.csi.isBlock || this.#csi?.mountsGroup(place.csi))) return
    const { fsGroup, fsGroupChangePolicy } = pod.spec?.securityContext ?? {}
    if (fsGroup === undefined || !place.takesGroup || place.readOnly || this.#given.has(name)) return
    await giveToGroup(path, { group: fsGroup, policy: fsGroupChangePolicy })
    this.#given.add(name)
  }

  async #claimed(name: string, place: ClaimedPlace): Promise<string> {
    if (!(await makeClaimed(place))) return place.path
    const target = join(this.#directory, 'volumes', 'kubernetes.io~local-volume', place.volumeName)
    const { fsType = FS_TYPE_DEFAULT, options = [] } = place.mounting ?? {}
    await mountBlock({ device: place.path, fsType, options, readOnly: place.readOnly }, target)
    this.#mounted.set(name, target)
    return target
  }

  async #setUpOne(volume: Volume, parts: VolumeParts): Promise<void> {
    // The runtime mounts it for each container.
    if (volume.image) return
    const path = this.pathOf(volume)
    if (volume.emptyDir) {
      const mark = join(this.#directory, 'plugins', kindOf(volume), volume.name, 'ready')
      return makeEmptyDir(volume, parts, { path, mark })
    }
    if (volume.hostPath) return checkHostPath(path, volume.hostPath.type ?? '')
    const place = this.#places.get(volume.name)
    if (place !== undefined) return this.#setUpClaim(volume.name, place, parts.pod)
    const files = renderVolume(volume, parts)
    if (files === null) throw new VolumeError('volumes of this kind are not supported yet')
    await writeVolume(path, files, parts.pod.spec?.securityContext?.fsGroup)
  }
}

interface SubPathPlace {
  readonly target: string
  /** Which mount of which container it is for. */
  readonly about: string
}

const PATH_CODES = ['ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES', 'ENAMETOOLONG', 'EEXIST']
const isAboutPath = (error: unknown): boolean =>
  error instanceof EscapeError || PATH_CODES.includes(systemCodeOf(error) ?? '')

const isFromApi = (volume: Volume): boolean =>
  Boolean(volume.configMap || volume.secret || volume.downwardAPI || volume.projected)

/** True for a block device that is to be mounted. */
async function makeClaimed({ sort, path, type }: ClaimedPlace): Promise<boolean> {
  if (sort === 'directory') await makeHostpathDirectory(path)
  else if (sort === 'host-path') await checkHostPath(path, type)
  else return isToBeMounted(sort, path)
  return false
}

async function isToBeMounted(sort: 'local' | 'device' | 'csi', path: string): Promise<boolean> {
  const found = await stat(path).catch(() => null)
  if (found === null) throw new VolumeError(`path "${path}" does not exist`)
  if (sort !== 'device') return found.isBlockDevice()
  if (found.isBlockDevice()) return false
  throw new VolumeError(`"${path}" is no block device, but its volume has volumeMode Block`)
}

function kindOf(volume: Volume): string {
  if (volume.emptyDir) return 'kubernetes.io~empty-dir'
  if (volume.configMap) return 'kubernetes.io~configmap'
  if (volume.secret) return 'kubernetes.io~secret'
  if (volume.downwardAPI) return 'kubernetes.io~downward-api'
  return 'kubernetes.io~projected'
}

/** As upstream calls them. */
const HOST_PATH_TYPES: Readonly<Record<string, string>> = {
  Directory: 'directory',
  DirectoryOrCreate: 'directory',
  File: 'file',
  FileOrCreate: 'file',
  Socket: 'socket file',
  CharDevice: 'character device',
  BlockDevice: 'block device',
}

async function checkHostPath(path: string, type: string): Promise<void> {
  if (type === '') return
  const isThere = (await lstat(path).catch(() => null)) !== null
  if (!isThere && type === 'DirectoryOrCreate') await mkdir(path, { recursive: true, mode: 0o755 })
  if (!isThere && type === 'FileOrCreate') await (await open(path, 'a', 0o644)).close()
  const found = await stat(path).catch(() => null)
  const is = {
    Directory: found?.isDirectory(),
    DirectoryOrCreate: found?.isDirectory(),
    File: found?.isFile(),
    FileOrCreate: found?.isFile(),
    Socket: found?.isSocket(),
    CharDevice: found?.isCharacterDevice(),
    BlockDevice: found?.isBlockDevice(),
  }[type]
  if (!is)
    throw new VolumeError(`hostPath type check failed: ${path} is not a ${HOST_PATH_TYPES[type] ?? type}`)
}

/** A variable that is not set, or is empty, must not lead elsewhere in the volume. */
function expandSubPath(expression: string, environment: Readonly<Environment>): string {
  const missing = new Set<string>()
  const path = expandVariables(expression, environment, name => missing.add(name))
  if (missing.size === 0) return path
  throw new VolumeError(`missing value for ${[...missing].sort().join(', ')}`)
}
