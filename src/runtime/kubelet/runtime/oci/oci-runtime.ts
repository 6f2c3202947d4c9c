/**
 * The `oci` runtime: containers by crun or runc, watched by conmon, on images of our own store and a pod network made
 * by CNI plugins. No daemon beside ours; everything that runs goes on without it and is found again.
 */

import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { must } from '../../../../base/assert.ts'
import type { Clock } from '../../../../base/clock.ts'
import { Mk8sError } from '../../../../base/errors.ts'
import type { Log } from '../../../../base/log.ts'
import type { Random } from '../../../../base/random.ts'
import { cniDirectory, findProgram } from '../../../../host/container-programs.ts'
import { readOrEmpty, writeFileDurably } from '../../../../host/files.ts'
import { currentBootId } from '../../../../host/processes.ts'
import type { Registries } from '../../../../kube/registries/registries.ts'
import { CDI_DIRECTORIES } from '../cdi/read-cdi.ts'
import type { PodResources } from '../cgroup-limits.ts'
import { writeCpus, writeLimits } from '../cgroup-limits.ts'
import { readGroupUsage } from '../cgroup-usage.ts'
import { shareMount } from '../cri/managed-containerd.ts'
import { cgroupTrees } from '../cri/pod-cgroups.ts'
import { PodGroups } from '../pod-groups.ts'
import { POD_NETWORK_FILE, renderPodNetwork } from '../pod-network.ts'
import type {
  ContainerConfig,
  ContainerResources,
  ContainerStatus,
  ExecResult,
  ImageContent,
  ImageStatus,
  NewerField,
  Peers,
  RegistryCredentials,
  Runtime,
  RuntimeEvent,
  RuntimeHandler,
  SandboxConfig,
  SandboxNetwork,
  SandboxStatus,
} from '../runtime.ts'
import type { ContainerStreams, StreamOptions } from '../streams.ts'
import { configFile } from './cni.ts'
import { imagesOfMounts } from './image-mounts.ts'
import { imageContent } from './images/image-content.ts'
import { type ImageRecord, ImageStore, storedImages } from './images/image-store.ts'
import { ImagePuller } from './images/pull-image.ts'
import { isLive, OciContainers, renderStatus } from './oci-containers.ts'
import {
  chooseProgram,
  findPrograms,
  handlersOf,
  type ProgramFinding,
  programFor,
  readSpecHost,
} from './oci-host.ts'
import { type OciPaths, ociPaths, passageOf } from './oci-paths.ts'
import type { ContainerRecord, SandboxRecord } from './oci-records.ts'
import { OciSandboxes, renderSandboxNetwork, renderSandboxStatus } from './oci-sandboxes.ts'
import { OciStreams } from './oci-streams.ts'
import { endPause, isPauseRunning, pauseNamespace, startPause } from './pause.ts'
import { layersOf } from './used-layers.ts'

export interface OciRuntimeParts {
  readonly dataDir: string
  /** Name of the control group of this node's pods. */
  readonly nodeId: string
  readonly podRange: {
    readonly cidrs: readonly string[]
    readonly mtu?: number | null
    onChange(listener: (cidrs: readonly string[]) => void): unknown
  }
  /** Directories whose mounts pods may see and make: they become shared mounts. */
  readonly sharedDirectories: readonly string[]
  /** The program that holds process namespaces open. */
  readonly pause: Uint8Array
  /** Words in front of network plugins, where the pods' network is not the daemon's own. */
  readonly enter?: readonly string[]
  /** Where specifications of devices lie, if elsewhere than usual. */
  readonly cdiDirectories?: readonly string[]
  /** As the cluster has them configured now. */
  readonly registries?: () => Promise<Registries>
  readonly peers?: Peers
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export class OciRuntime implements Runtime {
  readonly isVirtual = false
  readonly pullsImages = true
  readonly isolates = true
  readonly hasOwnFiles = true
  readonly mountsImages = true
  readonly obeys: ReadonlySet<NewerField> = new Set([
    ...['strictGroups', 'recursiveReadOnly', 'stopSignal', 'cdi'],
  ] as NewerField[])
  readonly choosesNetwork = true
  handlers: readonly RuntimeHandler[] = []
  readonly groups: PodGroups
  readonly #parts: OciRuntimeParts
  readonly #paths: OciPaths
  readonly #images: ImageStore
  readonly #puller: ImagePuller
  readonly #sandboxes: OciSandboxes
  readonly #containers: OciContainers
  readonly #streams: OciStreams
  /** Sandboxes whose process namespace is about to be held. */
  readonly #beginning = new Set<string>()
  #programs: readonly ProgramFinding[] = []
  #chosen: ProgramFinding | null = null
  #onEvent: (event: RuntimeEvent) => void = () => {}

  constructor(parts: OciRuntimeParts) {
    const { dataDir, nodeId, clock, log, registries, peers, enter = [] } = parts
    this.#parts = parts
    this.groups = new PodGroups(nodeId)
    const paths = ociPaths(dataDir)
    this.#paths = paths
    this.#images = new ImageStore(paths.images)
    this.#puller = new ImagePuller({
      store: this.#images,
      clock,
      env: process.env,
      ...(registries && { registries }),
      ...(peers && { peers }),
    })
    const cni = { configs: paths.cniConfig, plugins: cniDirectory() ?? '', enter }
    this.#sandboxes = new OciSandboxes({ paths, cni, nodeId, clock, log })
    this.#containers = new OciContainers({
      ...{ paths, clock, log },
      layersDirectory: this.#images.layersDirectory,
      passage: passageOf(nodeId),
      conmon: findProgram('conmon') ?? 'conmon',
      host: readSpecHost(),
      cdiDirectories: parts.cdiDirectories ?? CDI_DIRECTORIES,
      onExit: record => this.#tellExit(record),
    })
    this.#streams = new OciStreams({
      ...{ containers: this.#containers, sandboxes: this.#sandboxes, clock },
      newId: () => this.#newId(),
    })
  }

  get name(): string {
    return this.#chosen?.name ?? 'crun'
  }

  /** For whoever imports images into it. */
  get store(): ImageStore {
    return this.#images
  }

  get content(): ImageContent {
    const { clock } = this.#parts
    return imageContent({ store: this.#images, coming: digest => this.#puller.coming(digest), clock })
  }

  get version(): string {
    return this.#chosen?.version ?? ''
  }

  async start(onEvent: (event: RuntimeEvent) => void): Promise<void> {
    const { log, nodeId, pause, sharedDirectories } = this.#parts
    this.#onEvent = onEvent
    this.#prepareDirectories()
    for (const shared of sharedDirectories) await shareMount(shared)
    await this.#images.prepare()
    await this.#images.clearIncoming()
    const probe = { directory: join(this.#paths.directory, 'probe'), cgroup: `/${nodeId}/probe`, pause }
    this.#programs = await findPrograms(this.#paths.state, probe)
    this.#chosen = chooseProgram(this.#programs)
    for (const { name, problem } of this.#programs) {
      if (problem !== '') log.info(`${name} cannot run containers here`, { why: problem })
    }
    this.handlers = handlersOf(this.#programs)
    await this.#sandboxes.start()
    await this.#containers.start()
  }

  async stop(): Promise<void> {
    this.#onEvent = () => {}
    this.#containers.stop()
    this.#streams.stop()
  }

  async problem(): Promise<string> {
    if ((await configFile({ configs: this.#paths.cniConfig })) !== undefined) return ''
    const reason = 'NetworkPluginNotReady message:no network configuration'
    return `container runtime network not ready: NetworkReady=false reason:${reason}`
  }

  async runSandbox(config: SandboxConfig): Promise<string> {
    const id = this.#newId()
    const { program } = this.#programFor(config.runtimeHandler)
    const record = await this.#sandboxes.make(id, config, program.path)
    if (config.isolation?.sharing.processes !== true || config.isolation.sharing.hostPid) return id
    try {
      this.#beginning.add(id)
      record.pauseId = `${id}-pause`
      await this.#sandboxes.save(record)
      await startPause(this.#pauseOf(record))
      return id
    } catch (error) {
      await this.removeSandbox(id)
      throw error
    } finally {
      this.#beginning.delete(id)
    }
  }

  async stopSandbox(id: string): Promise<void> {
    const record = this.#sandboxes.get(id)
    if (record === undefined) return
    await Promise.all(this.#inside(id).map(container => this.#containers.stopContainer(container.id, 0)))
    if (record.pauseId !== null) await endPause(this.#pauseOf(record))
    record.pauseId = null
    const roots = this.#inside(id).flatMap(container => this.#containers.placesOf(container.id))
    await this.#sandboxes.stop(id, roots)
  }

  async removeSandbox(id: string): Promise<void> {
    await this.stopSandbox(id)
    await Promise.all(this.#inside(id).map(container => this.#containers.remove(container.id)))
    await this.#sandboxes.remove(id)
  }

  async sandboxStatus(id: string): Promise<SandboxStatus | null> {
    const record = this.#sandboxes.get(id)
    return record === undefined ? null : renderSandboxStatus(record)
  }

  async listSandboxes(): Promise<readonly SandboxStatus[]> {
    for (const record of this.#sandboxes.all()) {
      // The pod's processes went with the one that held their namespace, and no other can join it.
      if (record.pauseId === null || this.#beginning.has(record.id)) continue
      if (!isPauseRunning(this.#pauseOf(record))) record.state = 'not-ready'
    }
    return this.#sandboxes.all().map(renderSandboxStatus)
  }

  async sandboxNetwork(id: string): Promise<SandboxNetwork | null> {
    return renderSandboxNetwork(this.#sandboxes.must(id))
  }

  async createContainer(sandboxId: string, config: ContainerConfig): Promise<string> {
    const sandbox = this.#sandboxes.must(sandboxId)
    // Until it is recorded whose layers it stands on.
    return this.#images.gate.whileOpen(async () =>
      this.#containers.create({
        ...{ sandbox, config, image: await this.#mustImage(config.image) },
        volumeImages: await this.#mustImages(imagesOfMounts(config)),
        id: this.#newId(),
        sandboxDirectory: this.#sandboxes.directoryOf(sandboxId),
        pidNamespace: await this.#pidNamespaceOf(sandbox, config),
        podCgroup: this.#sandboxes.cgroupOf(sandbox),
      }),
    )
  }

  async startContainer(id: string): Promise<void> {
    await this.#containers.startContainer(id)
  }

  async stopContainer(id: string, gracePeriodMs: number): Promise<void> {
    await this.#containers.stopContainer(id, gracePeriodMs)
  }

  async removeContainer(id: string): Promise<void> {
    await this.#containers.remove(id)
  }

  async containerStatus(id: string): Promise<ContainerStatus | null> {
    const record = this.#containers.get(id)
    return record === undefined ? null : renderStatus(record)
  }

  async listContainers(podUid?: string): Promise<readonly ContainerStatus[]> {
    const all = this.#containers.all()
    return all.filter(({ podUid: uid }) => podUid === undefined || uid === podUid).map(renderStatus)
  }

  /** The program's own record of its limits is of no use to anybody. */
  async updateContainer(id: string, resources: ContainerResources): Promise<void> {
    const { cpuRequestMillis, cpuLimitMillis, memoryLimitBytes } = resources
    const shares = cpuRequestMillis ?? cpuLimitMillis
    const limits = { cpuRequestMillis: shares, cpuLimitMillis, memoryLimitBytes }
    await writeLimits(this.#containers.must(id).cgroup, limits)
  }

  async setCpus(id: string, cpus: string): Promise<void> {
    await writeCpus(this.#containers.must(id).cgroup, cpus)
  }

  async updateSandbox(id: string, resources: PodResources): Promise<void> {
    await writeLimits(this.#sandboxes.cgroupOf(this.#sandboxes.must(id)), resources)
  }

  async reopenLog(id: string): Promise<void> {
    await this.#containers.reopenLog(id)
  }

  exec(
    id: string,
    command: readonly string[],
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<ExecResult> {
    return this.#streams.exec(id, command, options)
  }

  execStream(id: string, command: readonly string[], options: StreamOptions): Promise<ContainerStreams> {
    return this.#streams.execStream(id, command, options)
  }

  attach(id: string, options: StreamOptions): Promise<ContainerStreams> {
    return this.#streams.attach(id, options)
  }

  async portForward(sandboxId: string, port: number): Promise<Duplex> {
    return this.#streams.portForward(sandboxId, port)
  }

  async imageStatus(image: string): Promise<ImageStatus | null> {
    const found = await this.#images.find(image)
    return found === null ? null : renderImage(image, found)
  }

  async ensureImage(image: string, credentials: readonly RegistryCredentials[] = []): Promise<ImageStatus> {
    return renderImage(image, await this.#puller.pull(image, credentials))
  }

  async containerUsage() {
    const timeMs = this.#parts.clock.now()
    const trees = cgroupTrees()
    const running = this.#containers.all().filter(isLive)
    const found = await Promise.all(
      running.map(async ({ id, cgroup }) => ({ id, usage: await readGroupUsage(cgroup, trees) })),
    )
    return found.flatMap(({ id, usage }) => (usage === null ? [] : [{ id, timeMs, ...usage }]))
  }

  readonly images = {
    list: async () => storedImages(await this.#images.list()),
    remove: async (id: string) => {
      await this.#images.remove(id)
      // While others come in, nothing: the next one to be removed takes its layers along.
      await this.#images.collect(async () => this.#containers.all().flatMap(layersOf))
    },
    directory: async () => this.#paths.images,
  }

  #prepareDirectories(): void {
    const { directory, state, cniConfig, ipam, boot } = this.#paths
    mkdirSync(cniConfig, { recursive: true, mode: 0o700 })
    // Overlay and the programs in containers have to pass.
    mkdirSync(directory, { recursive: true, mode: 0o711 })
    if (readOrEmpty(boot) !== currentBootId()) {
      // What ran before the machine was restarted is gone, and its records would only mislead.
      for (const path of [state, ipam]) rmSync(path, { recursive: true, force: true })
      writeFileDurably(boot, currentBootId(), 0o600)
    }
    const { podRange } = this.#parts
    const write = (podCidrs: readonly string[]) => {
      const options = { ipam, podCidrs, mtu: podRange.mtu ?? null, hasBandwidth: true }
      writeFileDurably(join(cniConfig, POD_NETWORK_FILE), renderPodNetwork(options), 0o600)
    }
    if (podRange.cidrs.length > 0) write(podRange.cidrs)
    podRange.onChange(write)
  }

  #tellExit(record: ContainerRecord): void {
    this.#streams.ended(record.id)
    if (!this.#containers.get(record.id)) return
    this.#onEvent({ type: 'container-exited', podUid: record.podUid, containerId: record.id })
  }

  async #mustImages(names: readonly string[]): Promise<ReadonlyMap<string, ImageRecord>> {
    const found = new Map<string, ImageRecord>()
    for (const name of names) found.set(name, await this.#mustImage(name))
    return found
  }

  async #mustImage(image: string): Promise<ImageRecord> {
    const found = await this.#images.find(image)
    if (found !== null) return found
    throw new Mk8sError('kubelet/runtime', `the image ${JSON.stringify(image)} is not on this machine`)
  }

  /** Handlers of RuntimeClasses are names of programs. */
  #programFor(handler = ''): ProgramFinding {
    if (handler === '') return must(this.#chosen, 'a runtime that was started')
    const found = programFor(handler, this.#programs)
    if (found === undefined) {
      throw new Mk8sError('kubelet/runtime', `no runtime for ${JSON.stringify(handler)} is configured`)
    }
    if (found.problem === '') return found
    throw new Mk8sError('kubelet/runtime', `${handler} cannot run containers here: ${found.problem}`)
  }

  #inside(sandboxId: string): ContainerRecord[] {
    return this.#containers.all().filter(container => container.sandboxId === sandboxId)
  }

  #pauseOf(record: SandboxRecord) {
    const directory = join(this.#sandboxes.directoryOf(record.id), 'pause')
    const isMapped = record.config.isolation?.userRange !== undefined
    return {
      id: record.pauseId ?? '',
      directory,
      rootfs: isMapped ? join(passageOf(this.#parts.nodeId), record.id) : join(directory, 'rootfs'),
      program: this.#containers.programOf(record),
      cgroup: this.#sandboxes.cgroupOf(record),
      pause: this.#parts.pause,
      sandboxDirectory: this.#sandboxes.directoryOf(record.id),
      sandbox: record.config,
    }
  }

  /** Undefined: one of its own, or the host's. */
  async #pidNamespaceOf(sandbox: SandboxRecord, { targetId }: ContainerConfig): Promise<string | undefined> {
    if (sandbox.pauseId !== null) return pauseNamespace(this.#pauseOf(sandbox))
    if (targetId === undefined) return undefined
    return `/proc/${this.#containers.mustRunning(targetId).init?.pid}/ns/pid`
  }

  #newId(): string {
    return Buffer.from(this.#parts.random.bytes(32)).toString('hex')
  }
}

function renderImage(image: string, { id, repoDigest, config, sizeBytes }: ImageRecord): ImageStatus {
  const user = (config.User ?? '').split(':')[0] ?? ''
  const isNumber = /^\d+$/.test(user)
  return {
    image,
    imageId: repoDigest ?? id,
    user: { uid: isNumber ? Number(user) : user === '' ? 0 : null, name: isNumber ? '' : user },
    sizeBytes,
  }
}
