/** A runtime behind a CRI v1 socket: containerd, CRI-O and their like. */

import { mkdir } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import type { Duplex } from 'node:stream'
import { must } from '../../../../base/assert.ts'
import { type Clock, sleep } from '../../../../base/clock.ts'
import { Mk8sError } from '../../../../base/errors.ts'
import type { Log } from '../../../../base/log.ts'
import { NO_REGISTRIES, type Registries, settingsOf } from '../../../../kube/registries/registries.ts'
import { registryOf } from '../../image-name.ts'
import type { PodResources } from '../cgroup-limits.ts'
import { makeGroup, writeLimits } from '../cgroup-limits.ts'
import { PodGroups } from '../pod-groups.ts'
import type {
  ContainerConfig,
  ContainerResources,
  ContainerStatus,
  ExecResult,
  ImageContent,
  ImageStatus,
  NewerField,
  RegistryCredentials,
  Runtime,
  RuntimeEvent,
  RuntimeHandler,
  SandboxConfig,
  SandboxNetwork,
  SandboxStatus,
} from '../runtime.ts'
import type { ContainerStreams, StreamOptions } from '../streams.ts'
import { containerdContent } from './containerd-content.ts'
import { credentialsFor } from './credentials-for.ts'
import { CriClient } from './cri-client.ts'
import type { WireContainerStatus, WireSandbox } from './cri-messages.ts'
import { ExitWatch } from './exit-watch.ts'
import {
  canMountImages,
  cdiSupportOf,
  conditionProblem,
  parseAddresses,
  parseContainer,
  parseImage,
  parseSandbox,
  parseSandboxConfig,
  parseSandboxNetwork,
  parseStoredImage,
  parseUsage,
} from './parse-cri.ts'
import { removePodCgroup } from './pod-cgroups.ts'
import {
  NODE_LABEL,
  POD_UID_LABEL,
  renderContainerConfig,
  renderResources,
  renderSandboxConfig,
} from './render-cri.ts'
import { hasRpcCode } from './rpc.ts'
import { openSpdyPort, openSpdyStreams } from './spdy-client.ts'
import { startTaskExec } from './task-exec.ts'

export interface CriRuntimeParts {
  /** Path of the socket, without a scheme. */
  readonly socketPath: string
  /** Tells this node's pods from others behind the same socket; also the name of their control group. */
  readonly nodeId: string
  /** As the cluster has them configured now. */
  readonly registries?: () => Promise<Registries>
  /** Where it keeps images, if that is known. */
  readonly root?: string
  readonly clock: Clock
  readonly log: Log
}

/** The registry that has the images without a registry in their name. */
const DOCKER_HOST = 'registry-1.docker.io'
/** How long a runtime that has just been started may take until it answers. */
const ANSWER_MS_MAX = 30_000
const ANSWER_POLL_MS = 20
/** The runtime's own records follow its events after a moment. */
const SETTLE_TRIES = 200
const SETTLE_MS = 25
/** What a program may take to be stopped is whole seconds in CRI. */
const toSeconds = (ms: number) => Math.ceil(ms / 1_000)

interface KnownSandbox {
  readonly config: SandboxConfig
  readonly addresses: readonly string[]
}

export class CriRuntime implements Runtime {
  readonly isVirtual = false
  readonly pullsImages = true
  readonly isolates = true
  readonly hasOwnFiles = true
  readonly groups: PodGroups
  handlers: readonly RuntimeHandler[] = []
  readonly content?: ImageContent
  readonly #parts: CriRuntimeParts
  readonly #known = new Map<string, KnownSandbox>()
  /** Containers that have ended, which do not change any more. */
  readonly #ended = new Map<string, ContainerStatus>()
  readonly #running = new Map<string, string>()
  /** Of sandboxes with another network than the runtime gave them. */
  readonly #readdressed = new Map<string, readonly string[]>()
  readonly readdress?: (id: string, addresses: readonly string[]) => void
  #client: CriClient | null = null
  #watch: ExitWatch | null = null
  #onEvent: (event: RuntimeEvent) => void = () => {}
  #name = 'containerd'
  #version = ''
  #obeys: ReadonlySet<NewerField> = new Set()

  constructor(parts: CriRuntimeParts) {
    this.#parts = parts
    this.groups = new PodGroups(parts.nodeId)
    if (parts.root === undefined) return
    this.content = containerdContent(parts.root)
    // The network configuration of our own containerd is known.
    this.readdress = (id, addresses) => void this.#readdressed.set(id, addresses)
  }

  get name(): string {
    return this.#name
  }

  get version(): string {
    return this.#version
  }

  get mountsImages(): boolean {
    return canMountImages(this.#name, this.#version)
  }

  get obeys(): ReadonlySet<NewerField> {
    return this.#obeys
  }

  async start(onEvent: (event: RuntimeEvent) => void): Promise<void> {
    const { clock, log } = this.#parts
    this.#onEvent = onEvent
    const client = await CriClient.open(this.#parts.socketPath)
    this.#client = client
    const { runtimeName, runtimeVersion } = await this.#answer(client)
    this.#name = runtimeName
    this.#version = runtimeVersion.replace(/^v/, '').split(/[~+]/)[0] ?? ''
    const features = await client.features()
    const names = ['recursiveReadOnly', 'strictGroups'] as const
    const hasCdi = cdiSupportOf(this.#name, this.#version) !== 'none'
    this.handlers = features.handlers
    this.#obeys = new Set([...names.filter(name => features[name]), ...(hasCdi ? (['cdi'] as const) : [])])
    this.#watch = new ExitWatch({
      channel: client.channel,
      isContainerd: runtimeName === 'containerd',
      onMaybeEnded: id => void this.#settle(id, { hasRun: true }),
      relist: () => this.#relist(),
      clock,
      log,
    })
    this.#watch.start()
    await this.#relist()
  }

  async stop(): Promise<void> {
    this.#watch?.stop()
    this.#onEvent = () => {}
    this.#client?.close()
  }

  async problem(): Promise<string> {
    return conditionProblem(await this.#cri.conditions())
  }

  async runSandbox(config: SandboxConfig): Promise<string> {
    await mkdir(config.logDirectory, { recursive: true, mode: 0o755 })
    const resources = config.isolation?.resources
    const cgroup = this.#cgroupOf(config)
    await makeGroup(cgroup)
    if (resources !== undefined) await writeLimits(cgroup, resources)
    const id = await this.#cri.runSandbox(
      renderSandboxConfig(config, this.#parts.nodeId),
      config.runtimeHandler,
    )
    await this.#know(id)
    return id
  }

  async stopSandbox(id: string): Promise<void> {
    await unlessGone(() => this.#cri.stopSandbox(id))
  }

  async removeSandbox(id: string): Promise<void> {
    const known = await this.#know(id)
    await unlessGone(() => this.#cri.stopSandbox(id))
    await unlessGone(() => this.#cri.removeSandbox(id))
    this.#known.delete(id)
    this.#readdressed.delete(id)
    for (const { id: containerId, sandboxId } of [...this.#ended.values()]) {
      if (sandboxId === id) this.#ended.delete(containerId)
    }
    if (known === null) return
    const others = await this.#cri.listSandboxes({ [POD_UID_LABEL]: known.config.metadata.uid })
    if (others.length === 0) await removePodCgroup(this.#cgroupOf(known.config))
  }

  #cgroupOf({ metadata, isolation }: SandboxConfig): string {
    return this.groups.pathOf(metadata.uid, isolation?.qosClass ?? 'BestEffort')
  }

  async sandboxStatus(id: string): Promise<SandboxStatus | null> {
    const status = await this.#cri.sandboxStatus(id)
    if (status === null) return null
    const addresses = this.#readdressed.get(id) ?? parseAddresses(status)
    return parseSandbox(status, status.state === 'SANDBOX_READY' ? addresses : [])
  }

  async listSandboxes(): Promise<readonly SandboxStatus[]> {
    const own = await this.#cri.listSandboxes({ [NODE_LABEL]: this.#parts.nodeId })
    return Promise.all(own.map(sandbox => this.#withAddresses(sandbox)))
  }

  async sandboxNetwork(id: string): Promise<SandboxNetwork | null> {
    return parseSandboxNetwork(await this.#cri.sandboxInfo(id))
  }

  async createContainer(sandboxId: string, config: ContainerConfig): Promise<string> {
    const known = await this.#know(sandboxId)
    if (known === null) throw new Mk8sError('kubelet/runtime', `sandbox ${sandboxId} does not exist`)
    const { config: sandbox } = known
    await mkdir(dirname(join(sandbox.logDirectory, config.logPath)), { recursive: true, mode: 0o755 })
    const { nodeId } = this.#parts
    const cdi = cdiSupportOf(this.#name, this.#version)
    const place = { sandboxId, sandbox, nodeId, hostMemoryBytes: totalmem(), cdi }
    return this.#cri.createContainer(
      sandboxId,
      renderContainerConfig(config, place),
      renderSandboxConfig(sandbox, this.#parts.nodeId),
    )
  }

  async startContainer(id: string): Promise<void> {
    const status = await this.containerStatus(id)
    if (status === null) throw new Mk8sError('kubelet/runtime', `container ${id} does not exist`)
    if (status.state !== 'created') return
    await this.#cri.startContainer(id)
    this.#running.set(id, status.podUid)
  }

  async stopContainer(id: string, gracePeriodMs: number): Promise<void> {
    await unlessGone(() => this.#cri.stopContainer(id, toSeconds(gracePeriodMs)))
    await this.#settle(id)
  }

  async removeContainer(id: string): Promise<void> {
    await unlessGone(() => this.#cri.removeContainer(id))
    this.#ended.delete(id)
    this.#running.delete(id)
  }

  async containerStatus(id: string): Promise<ContainerStatus | null> {
    const ended = this.#ended.get(id)
    const status = await this.#cri.containerStatus(id)
    if (status === null) this.#ended.delete(id)
    return status === null ? null : (ended ?? this.#note(status))
  }

  async listContainers(podUid?: string): Promise<readonly ContainerStatus[]> {
    const node = { [NODE_LABEL]: this.#parts.nodeId }
    const selector = podUid === undefined ? node : { ...node, [POD_UID_LABEL]: podUid }
    const listed = await this.#cri.listContainers(selector)
    const found = await Promise.all(listed.map(({ id }) => this.#ended.get(id) ?? this.containerStatus(id)))
    return found.filter(status => status !== null)
  }

  async updateContainer(id: string, resources: ContainerResources): Promise<void> {
    const sandboxId = (await this.containerStatus(id))?.sandboxId ?? ''
    const known = must(await this.#know(sandboxId), `the sandbox of container ${id}`)
    const qosClass = known.config.isolation?.qosClass ?? 'BestEffort'
    const wire = renderResources({ resources }, { hostMemoryBytes: totalmem(), qosClass })
    // What is left out stays as it was.
    const none = { cpuQuota: -1, cpuPeriod: 100_000, memoryLimitInBytes: -1 }
    await this.#cri.updateResources(id, { ...none, ...wire })
  }

  async setCpus(id: string, cpus: string): Promise<void> {
    await this.#cri.updateResources(id, { cpusetCpus: cpus })
  }

  async updateSandbox(id: string, resources: PodResources): Promise<void> {
    const known = await this.#know(id)
    if (known !== null) await writeLimits(this.#cgroupOf(known.config), resources)
  }

  async reopenLog(id: string): Promise<void> {
    await this.#cri.reopenLog(id)
  }

  async exec(
    id: string,
    command: readonly string[],
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<ExecResult> {
    try {
      const { stdout, stderr, exitCode } = await this.#cri.execSync(id, command, options)
      return { stdout: stdout.toString(), stderr: stderr.toString(), exitCode, timedOut: false }
    } catch (error) {
      if (!hasRpcCode(error, 'DeadlineExceeded')) throw error
      return { stdout: '', stderr: '', exitCode: 137, timedOut: true }
    }
  }

  /** containerd's own way keeps the end of the input apart from the end of the connection; CRI's does not. */
  async execStream(
    id: string,
    command: readonly string[],
    options: StreamOptions,
  ): Promise<ContainerStreams> {
    const status = await this.containerStatus(id)
    if (status?.state !== 'running') {
      throw new Mk8sError('kubelet/runtime', `container ${id} is not running`)
    }
    if (this.#name === 'containerd') return startTaskExec(this.#cri, { containerId: id, command, options })
    const { stdin, stdout, stderr, tty } = options
    const request = { containerId: id, cmd: command, stdin, stdout, stderr, tty }
    return openSpdyStreams(await this.#cri.streamingUrl('Exec', request), options, this.#parts.clock)
  }

  async attach(id: string, options: StreamOptions): Promise<ContainerStreams> {
    const { stdin, stdout, stderr, tty } = options
    const url = await this.#cri.streamingUrl('Attach', { containerId: id, stdin, stdout, stderr, tty })
    const streams = await openSpdyStreams(url, options, this.#parts.clock)
    return { ...streams, exited: streams.exited.then(() => this.#exitCodeOf(id)) }
  }

  async portForward(sandboxId: string, port: number): Promise<Duplex> {
    const url = await this.#cri.streamingUrl('PortForward', { podSandboxId: sandboxId, port: [port] })
    return openSpdyPort(url, port, this.#parts.clock)
  }

  async imageStatus(image: string): Promise<ImageStatus | null> {
    const found = await this.#cri.imageStatus(image)
    return found === null ? null : parseImage(image, found)
  }

  /** Throws RpcError with the runtime's own words. */
  async ensureImage(image: string, credentials: readonly RegistryCredentials[] = []): Promise<ImageStatus> {
    const { registries = async () => NO_REGISTRIES } = this.#parts
    const registry = registryOf(image)
    const login =
      credentialsFor(image, credentials) ?? settingsOf(await registries(), registry).login ?? undefined
    const serverAddress = `https://${registry === 'docker.io' ? DOCKER_HOST : registry}`
    await this.#cri.pullImage(image, login && { ...login, serverAddress })
    return must(await this.imageStatus(image), `the image ${image}, which was just pulled`)
  }

  async containerUsage() {
    return (await this.#cri.listContainerStats({ [NODE_LABEL]: this.#parts.nodeId })).map(parseUsage)
  }

  readonly images = {
    list: async () => (await this.#cri.listImages()).map(parseStoredImage),
    remove: (id: string) => this.#cri.removeImage(id),
    directory: async () => (await this.#cri.imageFilesystems())[0]?.fsId?.mountpoint ?? '/',
  }

  get #cri(): CriClient {
    return must(this.#client, 'a connection to the container runtime')
  }

  /** A runtime that was started a moment ago has not opened its socket yet. */
  async #answer(client: CriClient): Promise<{ runtimeName: string; runtimeVersion: string }> {
    const { clock, socketPath } = this.#parts
    const deadline = clock.monotonic() + ANSWER_MS_MAX
    for (;;) {
      try {
        return await client.version()
      } catch (error) {
        if (clock.monotonic() < deadline && hasRpcCode(error, 'Unavailable')) {
          await sleep(clock, ANSWER_POLL_MS)
          continue
        }
        const isOld = hasRpcCode(error, 'Unimplemented')
        throw new Mk8sError('kubelet/runtime', `the container runtime at ${socketPath} does not answer`, {
          why: isOld ? 'it does not speak CRI v1' : (error as Error).message,
          hint: 'see whether it runs, and whether --cri-socket names its socket',
          cause: error,
        })
      }
    }
  }

  /** What does not change about a sandbox, asked for once. */
  async #know(id: string): Promise<KnownSandbox | null> {
    const known = this.#known.get(id)
    if (known !== undefined) return known
    const status = await this.#cri.sandboxStatus(id)
    const config = status === null ? null : parseSandboxConfig(status)
    if (status === null || config === null) return null
    const found = { config, addresses: parseAddresses(status) }
    this.#known.set(id, found)
    return found
  }

  async #withAddresses(sandbox: WireSandbox): Promise<SandboxStatus> {
    const known = sandbox.state === 'SANDBOX_READY' ? await this.#know(sandbox.id) : null
    const addresses = known === null ? [] : (this.#readdressed.get(sandbox.id) ?? known.addresses)
    return parseSandbox(sandbox, addresses)
  }

  #note(wire: WireContainerStatus): ContainerStatus {
    const status = parseContainer(wire)
    if (status.state === 'exited') {
      this.#ended.set(status.id, status)
      if (this.#running.delete(status.id)) this.#tell(status.podUid, status.id)
    } else if (status.state === 'running') this.#running.set(status.id, status.podUid)
    return status
  }

  async #exitCodeOf(id: string): Promise<number> {
    await this.#settle(id)
    return (await this.containerStatus(id))?.exitCode ?? 0
  }

  /** Waits until the runtime's records say what its event said; a short program may end before they say it runs. */
  async #settle(id: string, { hasRun = false } = {}): Promise<void> {
    try {
      for (let tries = 0; tries < SETTLE_TRIES; tries++) {
        const status = await this.containerStatus(id)
        if (status === null) return await this.#settleSandbox(id)
        if (status.state === 'exited' || (status.state === 'created' && !hasRun)) return
        await sleep(this.#parts.clock, SETTLE_MS)
      }
    } catch (error) {
      this.#parts.log.debug('an ended container could not be looked at', { container: id, error })
    }
  }

  /** A sandbox whose own process ended takes its pod down. */
  async #settleSandbox(id: string): Promise<void> {
    const known = this.#known.get(id)
    if (known !== undefined) this.#tell(known.config.metadata.uid, id)
  }

  #tell(podUid: string, containerId: string): void {
    const onEvent = this.#onEvent
    if (podUid !== '') queueMicrotask(() => onEvent({ type: 'container-exited', podUid, containerId }))
  }

  /** Finds what ended unseen. */
  async #relist(): Promise<void> {
    const listed = await this.listContainers()
    const present = new Set(listed.map(({ id }) => id))
    for (const [id, podUid] of [...this.#running]) {
      if (present.has(id)) continue
      this.#running.delete(id)
      this.#tell(podUid, id)
    }
    for (const id of [...this.#ended.keys()]) if (!present.has(id)) this.#ended.delete(id)
  }
}

async function unlessGone(act: () => Promise<void>): Promise<void> {
  try {
    await act()
  } catch (error) {
    if (!hasRpcCode(error, 'NotFound')) throw error
  }
}
