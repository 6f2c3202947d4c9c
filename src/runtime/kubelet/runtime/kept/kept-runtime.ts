/**
 * The `process` runtime of macOS and Windows: a container is a program of the machine with a keeper (`keeper.ts`), which
 * is mk8s itself. It isolates nothing and limits nothing; volumes are links. Containers outlive the daemon.
 */
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Duplex } from 'node:stream'
import { type Clock, sleep, systemClock } from '../../../../base/clock.ts'
import { Mk8sError, messageOf } from '../../../../base/errors.ts'
import type { Log } from '../../../../base/log.ts'
import type { Random } from '../../../../base/random.ts'
import { daemonEnvironment } from '../../../../host/daemon-environment.ts'
import { type OwnCommand, ownEntry } from '../../../../host/own-program.ts'
import {
  identifyProcess,
  isRunning,
  type ProcessIdentity,
  signalProcess,
  waitUntilGone,
} from '../../../../host/processes.ts'
import { spawnDetached } from '../../../../host/programs.ts'
import { endpointPath, type System } from '../../../../host/system.ts'
import type { RangeOfPods } from '../address-pool.ts'
import { killMarked } from '../process/host-processes.ts'
import { PodSandboxes } from '../process/pod-sandboxes.ts'
import { RecordStore } from '../process/records.ts'
import type { RecordedContainer } from '../render-record.ts'
import type {
  ContainerConfig,
  ContainerStatus,
  ExecResult,
  ImageStatus,
  Runtime,
  RuntimeEvent,
  SandboxConfig,
  SandboxStatus,
} from '../runtime.ts'
import type { ContainerStreams, StreamOptions } from '../streams.ts'
import type { ContainerUsage } from '../usage.ts'
import { LAUNCH_FILE } from './keeper.ts'
import { askKeeper, openStreams } from './keeper-client.ts'
import { type ExitFacts, KeptContainer, readExit } from './kept-container.ts'
import { CONTAINER_MARK, linksFor, noTerminal, planKeptLaunch } from './kept-launch.ts'
import { noCommand, renderContainer, renderUsage, startFailure } from './render-kept.ts'
import { runToEnd } from './run-to-end.ts'

/** How long what was killed may take to go. */
const GONE_MS = 5_000
/** Of an id, enough for the name of an endpoint. */
const SHORT_ID = 16

interface KeptRecord extends RecordedContainer {
  startedAt: number
  finishedAt: number
  exitCode: number
  keeper: ProcessIdentity | null
}

export interface KeptRuntimeParts {
  /** `<data-dir>/containers`. */
  readonly directory: string
  /** This node's part of the pod network; the default network's first part unless given. */
  readonly podRange?: RangeOfPods
  readonly version?: string
  readonly system: System
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export class KeptRuntime implements Runtime {
  readonly name = 'process'
  readonly isVirtual = false
  readonly pullsImages = false
  readonly version: string
  readonly #parts: KeptRuntimeParts
  readonly #containerStore: RecordStore<KeptRecord>
  readonly #sandboxes: PodSandboxes
  readonly #containers = new Map<string, KeptRecord>()
  readonly #live = new Map<string, KeptContainer>()
  readonly #keeper: OwnCommand
  #onEvent: (event: RuntimeEvent) => void = () => {}

  constructor(parts: KeptRuntimeParts) {
    this.#parts = parts
    this.version = parts.version ?? '1.0'
    this.#sandboxes = new PodSandboxes(parts)
    this.#containerStore = new RecordStore(join(parts.directory, 'containers'))
    this.#keeper = ownEntry('keeper', new URL('./keeper.ts', import.meta.url))
  }

  async start(onEvent: (event: RuntimeEvent) => void): Promise<void> {
    this.#onEvent = onEvent
    await mkdir(join(this.#parts.directory, 'k'), { recursive: true, mode: 0o700 })
    await this.#sandboxes.load()
    const containers = await this.#containerStore.load()
    for (const container of containers) this.#containers.set(container.id, container)
    await Promise.all(containers.map(container => this.#adopt(container)))
  }

  async stop(): Promise<void> {
    this.#onEvent = () => {}
    for (const live of this.#live.values()) live.detach()
    this.#live.clear()
  }

  async runSandbox(config: SandboxConfig): Promise<string> {
    const id = this.#newId()
    await this.#sandboxes.run(id, config)
    return id
  }

  async stopSandbox(id: string): Promise<void> {
    const inside = [...this.#containers.values()].filter(container => container.sandboxId === id)
    await Promise.all(inside.map(container => this.stopContainer(container.id, 0)))
    await this.#sandboxes.end(id)
  }

  async removeSandbox(id: string): Promise<void> {
    await this.stopSandbox(id)
    for (const container of [...this.#containers.values()]) {
      if (container.sandboxId === id) await this.removeContainer(container.id)
    }
    await this.#sandboxes.remove(id)
  }

  async sandboxStatus(id: string): Promise<SandboxStatus | null> {
    return this.#sandboxes.status(id)
  }

  async listSandboxes(): Promise<readonly SandboxStatus[]> {
    return this.#sandboxes.list()
  }

  async createContainer(sandboxId: string, config: ContainerConfig): Promise<string> {
    const sandbox = this.#sandboxes.must(sandboxId)
    if (config.command.length === 0) throw noCommand(config.name)
    if (config.tty === true) throw noTerminal(this.#parts.system)
    const record: KeptRecord = {
      ...{ id: this.#newId(), sandboxId, podUid: sandbox.config.metadata.uid, config },
      logPath: join(sandbox.config.logDirectory, config.logPath),
      createdAt: this.#parts.clock.now(),
      ...{ startedAt: 0, finishedAt: 0, exitCode: 0, message: '', keeper: null },
    }
    const directory = this.#containerStore.directoryOf(record.id)
    for (const name of ['root', 'cwd']) await mkdir(join(directory, name), { recursive: true, mode: 0o755 })
    await this.#containerStore.save(record)
    this.#containers.set(record.id, record)
    return record.id
  }

  async startContainer(id: string): Promise<void> {
    const record = this.#mustContainer(id)
    if (record.startedAt !== 0) return
    const directory = this.#containerStore.directoryOf(id)
    const { config, logPath } = record
    const { system, environment, clock } = this.#parts
    const endpoint = this.#endpointOf(id)
    const launch = planKeptLaunch({ id, config, directory, logPath, endpoint, system, environment })
    await this.#link(record)
    await writeFile(join(directory, LAUNCH_FILE), JSON.stringify(launch), { mode: 0o600 })
    const keeper = await spawnDetached(this.#keeper.program, [...this.#keeper.args, directory], {
      env: { ...daemonEnvironment(system, environment), [CONTAINER_MARK]: id },
      stdio: ['ignore', 'ignore', 'ignore'],
      cwd: this.#parts.directory,
    })
    record.keeper = identifyProcess(keeper.pid) ?? null
    record.startedAt = clock.now()
    await this.#containerStore.save(record)
    if (record.keeper === null) throw startFailure(id, 'its keeper ended at once')
    const live = new KeptContainer({ directory, endpoint, keeper: record.keeper, clock })
    this.#live.set(id, live)
    this.#awaitEnd(record, live)
    await live.follow().catch(error => {
      throw startFailure(id, messageOf(error))
    })
  }

  async stopContainer(id: string, gracePeriodMs: number): Promise<void> {
    const live = this.#live.get(id)
    if (live === undefined) return
    if (gracePeriodMs > 0) {
      await live.signal('SIGTERM')
      const late = sleep(this.#parts.clock, gracePeriodMs).then(() => false)
      if (await Promise.race([live.exited.then(() => true), late])) return
    }
    await live.kill()
    await live.exited
  }

  async removeContainer(id: string): Promise<void> {
    await this.stopContainer(id, 0)
    await this.#containerStore.remove(id)
    this.#containers.delete(id)
  }

  async containerStatus(id: string): Promise<ContainerStatus | null> {
    const record = this.#containers.get(id)
    return record === undefined ? null : renderContainer(record)
  }

  async listContainers(podUid?: string): Promise<readonly ContainerStatus[]> {
    const all = [...this.#containers.values()]
    return all.filter(({ podUid: uid }) => podUid === undefined || uid === podUid).map(renderContainer)
  }

  async reopenLog(id: string): Promise<void> {
    if (!this.#live.has(id)) return
    const answer = await askKeeper(this.#endpointOf(id), { do: 'reopen' })
    if (answer === undefined) throw new Mk8sError('kubelet/runtime', 'the log could not be opened anew')
  }

  async exec(
    id: string,
    command: readonly string[],
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<ExecResult> {
    this.#mustRun(id)
    const request = { do: 'exec', command, stdin: false } as const
    return runToEnd(await openStreams(this.#endpointOf(id), request), {
      ...options,
      clock: this.#parts.clock,
    })
  }

  async execStream(
    id: string,
    command: readonly string[],
    options: StreamOptions,
  ): Promise<ContainerStreams> {
    this.#mustRun(id)
    if (options.tty) throw noTerminal(this.#parts.system)
    const streams = await openStreams(this.#endpointOf(id), { do: 'exec', command, stdin: options.stdin })
    await streams.started
    return streams
  }

  async attach(id: string, { stdin, stdout, stderr }: StreamOptions): Promise<ContainerStreams> {
    const { config } = this.#mustRun(id)
    const hasInput = stdin && config.stdin === true
    return openStreams(this.#endpointOf(id), { do: 'attach', stdin: hasInput, stdout, stderr })
  }

  portForward(sandboxId: string, port: number): Promise<Duplex> {
    return this.#sandboxes.connect(sandboxId, port)
  }

  /** Nothing is pulled: every name is taken as it is. */
  async imageStatus(image: string): Promise<ImageStatus> {
    return { image, imageId: `process://${image}` }
  }

  async ensureImage(image: string): Promise<ImageStatus> {
    return this.imageStatus(image)
  }

  async containerUsage(): Promise<readonly ContainerUsage[]> {
    const all = await Promise.all(
      [...this.#live.keys()].map(async id => {
        const answer = await askKeeper(this.#endpointOf(id), { do: 'usage' })
        return answer?.usage === undefined
          ? undefined
          : renderUsage(id, this.#parts.clock.now(), answer.usage)
      }),
    )
    return all.filter(usage => usage !== undefined)
  }

  #endpointOf(id: string): string {
    const short = id.slice(0, SHORT_ID)
    const run = join(this.#parts.directory, 'k')
    return endpointPath(this.#parts.system, { run, instance: 'mk8s-container', name: short })
  }

  async #link({ id, config }: KeptRecord): Promise<void> {
    const root = join(this.#containerStore.directoryOf(id), 'root')
    for (const { from, to } of linksFor(config.mounts, root, this.#parts.system)) {
      await mkdir(dirname(from), { recursive: true })
      await symlink(to, from).catch(error => {
        this.#parts.log.warn('a volume cannot be linked', { container: config.name, path: from, error })
      })
    }
  }

  /** A container that runs goes on; one that ended meanwhile gets its facts. */
  async #adopt(record: KeptRecord): Promise<void> {
    if (record.finishedAt !== 0 || record.startedAt === 0) return
    const { keeper, id } = record
    const directory = this.#containerStore.directoryOf(id)
    const exit = readExit(directory)
    if (keeper === null || exit !== null || !isRunning(keeper)) {
      killMarked(id)
      this.#finish(record, exit ?? { exitCode: 137, finishedAt: this.#parts.clock.now() })
      return this.#containerStore.save(record)
    }
    this.#parts.log.info('found a running container again', { container: record.config.name, id })
    const { clock } = this.#parts
    const live = new KeptContainer({ directory, endpoint: this.#endpointOf(id), keeper, clock })
    this.#live.set(id, live)
    this.#awaitEnd(record, live)
    await live.follow().catch(() => {})
  }

  #finish(record: KeptRecord, { exitCode, finishedAt }: ExitFacts): void {
    record.exitCode = exitCode
    record.finishedAt = Math.max(finishedAt, record.startedAt)
  }

  #awaitEnd(record: KeptRecord, live: KeptContainer): void {
    void live.exited.then(async facts => {
      killMarked(record.id)
      this.#finish(record, facts)
      this.#live.delete(record.id)
      await rm(this.#endpointOf(record.id), { force: true }).catch(() => {})
      if (!this.#containers.has(record.id)) return
      await this.#containerStore.save(record).catch(error => {
        this.#parts.log.warn('the end of a container could not be recorded', { error })
      })
      this.#onEvent({ type: 'container-exited', podUid: record.podUid, containerId: record.id })
    })
  }

  #mustContainer(id: string): KeptRecord {
    const record = this.#containers.get(id)
    if (record === undefined) throw new Mk8sError('kubelet/runtime', `container ${id} does not exist`)
    return record
  }

  #mustRun(id: string): KeptRecord {
    const record = this.#mustContainer(id)
    if (!this.#live.has(id)) throw new Mk8sError('kubelet/runtime', `container ${id} is not running`)
    return record
  }

  #newId(): string {
    return Buffer.from(this.#parts.random.bytes(32)).toString('hex')
  }
}

/** Ends everything that the runtime in this directory started: for uninstall and reset, with no daemon running. */
export async function endKept(directory: string): Promise<void> {
  for (const { id, keeper } of await new RecordStore<KeptRecord>(join(directory, 'containers')).load()) {
    if (keeper !== null) {
      signalProcess(keeper, 'SIGKILL')
      await waitUntilGone(keeper, { clock: systemClock, timeoutMs: GONE_MS })
    }
    killMarked(id)
  }
}
