/** What crun or runc needs of a container before they make it: its root, its volumes, and its config.json. */
import { chown, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Mk8sError, messageOf } from '../../../../base/errors.ts'
import { applyEdits } from '../cdi/apply-edits.ts'
import { annotatedDevices } from '../cdi/cdi-names.ts'
import { readEdits } from '../cdi/read-cdi.ts'
import type { ContainerConfig } from '../runtime.ts'
import { machineAppArmor, prepareAppArmor } from './app-armor.ts'
import { mountImages } from './image-mounts.ts'
import type { ImageRecord } from './images/image-store.ts'
import { mapVolumes } from './map-volumes.ts'
import { deviceAt, hostDevices } from './oci-host.ts'
import { containerFiles, sandboxFiles } from './oci-paths.ts'
import type { ContainerRecord, SandboxRecord } from './oci-records.ts'
import { mountOverlay } from './overlay.ts'
import { renderSpec, type SpecHost } from './render-spec.ts'
import type { SeccompSpec } from './seccomp.ts'
import type { UserNamespace } from './user-namespace.ts'
import { type ContainerUser, readUserLists, userOf } from './users.ts'

export interface NewContainer {
  readonly id: string
  readonly sandbox: SandboxRecord
  readonly sandboxDirectory: string
  readonly config: ContainerConfig
  readonly image: ImageRecord
  /** Those that it has as volumes, by reference. */
  readonly volumeImages: ReadonlyMap<string, ImageRecord>
  readonly podCgroup: string
  readonly pidNamespace: string | undefined
}

export interface BundleParts {
  /** Of the container; what is mounted below is unmounted with it. */
  readonly directory: string
  readonly layersDirectory: string
  readonly host: SpecHost
  readonly cdiDirectories: readonly string[]
}

/** Returns whom the container runs as. */
export async function makeBundle(
  record: ContainerRecord,
  wanted: NewContainer,
  parts: BundleParts,
): Promise<ContainerUser> {
  const { image, sandbox } = wanted
  const namespace = userNamespaceOf(wanted)
  const rootfs = await mountRoot(record, namespace, parts)
  const config = await mountVolumes(wanted, namespace, parts)
  const user = userOf(config.security, image.config.User ?? '', await readUserLists(rootfs))
  const plain = renderSpec({
    ...{ config, user, host: parts.host, cgroup: record.cgroup, image: image.config },
    sandbox: sandbox.config,
    sandboxDirectory: wanted.sandboxDirectory,
    rootfs,
    devices: config.security.privileged === true ? await hostDevices() : [],
    volumeDevices: await volumeDevicesOf(config),
    pidNamespace: wanted.pidNamespace,
    localSeccomp: await readSeccomp(config),
    appArmor: await prepareAppArmor(config.security, machineAppArmor),
  })
  const spec = applyEdits(plain, await readEdits(cdiDevicesOf(config), parts.cdiDirectories))
  await writeFile(containerFiles(parts.directory).spec, JSON.stringify(spec), { mode: 0o600 })
  return user
}

function userNamespaceOf({ sandbox, sandboxDirectory }: NewContainer): UserNamespace | undefined {
  const range = sandbox.config.isolation?.userRange
  return range && { range, file: sandboxFiles(sandboxDirectory).user }
}

async function mountRoot(
  { layers, root }: ContainerRecord,
  user: UserNamespace | undefined,
  { directory, layersDirectory }: BundleParts,
): Promise<string> {
  const { upper, work, mapped, ...files } = containerFiles(directory)
  const rootfs = root ?? files.rootfs
  if (root !== undefined) await mkdir(dirname(root), { recursive: true, mode: 0o711 })
  for (const path of [rootfs, upper, work]) await mkdir(path, { mode: 0o755 })
  // What it writes belongs to it, and its root directory before all.
  if (user !== undefined) await chown(upper, user.range.first, user.range.first)
  const options = `upperdir=${upper},workdir=${work}`
  await mountOverlay(rootfs, { layers, layersDirectory, options, user, mapped: `${mapped}.layers` })
  return rootfs
}

/** Each at its place on this machine, with the owners that the container is to see. */
async function mountVolumes(
  { config: wanted, volumeImages: images }: NewContainer,
  user: UserNamespace | undefined,
  { directory, layersDirectory }: BundleParts,
): Promise<ContainerConfig> {
  const config = await mountImages({ config: wanted, images, layersDirectory, directory, user })
  for (const { hostPath } of config.mounts) await makeMissing(hostPath)
  return user === undefined
    ? config
    : mapVolumes(config, { user, directory: containerFiles(directory).mapped })
}

async function readSeccomp({ security }: ContainerConfig): Promise<SeccompSpec | undefined> {
  if (security.seccomp?.type !== 'Localhost') return undefined
  const path = security.seccomp.path ?? ''
  try {
    return JSON.parse(await readFile(path, 'utf8')) as SeccompSpec
  } catch (error) {
    throw new Mk8sError('kubelet/runtime', `the seccomp profile ${path} cannot be read`, {
      why: messageOf(error),
      cause: error,
    })
  }
}

/** As runtimes do, for paths whose kind nobody has asked about. */
async function makeMissing(path: string): Promise<void> {
  const found = await stat(path).catch(() => null)
  if (found === null) await mkdir(path, { recursive: true, mode: 0o755 })
}

/** Device plugins may name them in annotations too. */
const cdiDevicesOf = ({ cdiDevices = [], annotations }: ContainerConfig): readonly string[] => [
  ...new Set([...cdiDevices, ...annotatedDevices(annotations)]),
]

const volumeDevicesOf = ({ devices = [] }: ContainerConfig) =>
  Promise.all(
    devices.map(async ({ hostPath, containerPath, readOnly }) => ({
      ...(await deviceAt(hostPath, containerPath)),
      readOnly,
    })),
  )
